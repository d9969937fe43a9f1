// What `xenstore-control live-update` says to a daemon, read as the C daemon reads it.

import { SystemError } from "../base/index.ts";
import { openForReading, statOf } from "../sys/index.ts";

const WHOLE_NUMBER = /^[0-9]{1,9}$/;
const EXECUTE_MASK = 0o111;

export interface StockOptions {
  readonly seconds: number;
  /** Of the migration stream; any number. */
  readonly version: number | undefined;
  /** When the time is over, do it all the same. */
  readonly isForced: boolean;
}

/** What follows -s; undefined where it makes no sense. */
export function stockOptions(options: readonly string[]): StockOptions | undefined {
  let seconds = 0;
  let version: number | undefined;
  let isForced = false;
  for (let index = 0; index < options.length; index++) {
    const option = options[index];
    if (option === "-F") {
      isForced = true;
      continue;
    }
    const value = options[++index] ?? "";
    if ((option !== "-t" && option !== "-v") || !WHOLE_NUMBER.test(value)) return undefined;
    if (option === "-t") seconds = Number(value);
    else version = Number(value);
  }
  return { seconds, version, isForced };
}

export const isStreamVersion = (version: number): version is 1 | 2 =>
  version === 1 || version === 2;

/** The C daemon's words for a file that cannot be executed. */
export function whyUnfit(path: string): string | undefined {
  try {
    using file = openForReading(path);
    return (statOf(file.number).mode & EXECUTE_MASK) === 0 ? "File not executable." : undefined;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return "File not accessible.";
  }
}

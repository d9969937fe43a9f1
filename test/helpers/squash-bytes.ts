// Squashes files and bytes within the test's own process.

import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Sink } from "../../lib/bytes/index.ts";
import { MemorySink } from "../../lib/stream/output/index.ts";
import type { Format } from "../../lib/stream/detect.ts";
import { FileSource, type StoredInput } from "../../lib/stream/input/index.ts";
import { squashStream, type SquashReport } from "../../lib/stream/squash/index.ts";
import { openForReading } from "../../lib/sys/index.ts";
import { encode, type StreamPlan } from "./stream-plan.ts";
import { temporaryFolder } from "./temporary.ts";

export interface SquashTestOptions {
  readonly at?: number;
  readonly format?: Format;
  /** The input ends there. */
  readonly cut?: number;
  /** What messages call it; its path without one. */
  readonly name?: string;
}

/** A file as a stored input; one that ends at `cut`, where that is given. */
export function storedPath(
  path: string,
  { cut, name = path }: Pick<SquashTestOptions, "cut" | "name">,
): StoredInput & Disposable {
  const open = () => Object.assign(openForReading(path), { name });
  const file = open();
  const size = cut ?? statSync(path).size;
  const pass = (end: number) =>
    new FileSource(open(), { bytesTotal: Math.min(end, size), start: 0 });
  const first = pass(size);
  return {
    name,
    compression: undefined,
    isSpooled: false,
    identities: [],
    first,
    keep: () => Promise.resolve(undefined),
    file,
    start: 0,
    pass,
    close: () => Promise.resolve(),
    [Symbol.dispose]() {
      first[Symbol.dispose]();
      file[Symbol.dispose]();
    },
  };
}

export async function squashPath(
  path: string,
  sink: Sink,
  options: SquashTestOptions,
): Promise<SquashReport> {
  using input = storedPath(path, options);
  const { at, format } = options;
  const onSpooled = () => undefined;
  return await squashStream(input, sink, { format, at, onSpooled, onWritten: onSpooled });
}

export interface Squashed {
  readonly bytes: Uint8Array;
  readonly report: SquashReport;
}

export async function squashBytes(
  bytes: Uint8Array,
  options: SquashTestOptions,
): Promise<Squashed> {
  using folder = temporaryFolder();
  const path = join(folder.path, "stream");
  writeFileSync(path, bytes);
  const sink = new MemorySink();
  const report = await squashPath(path, sink, { name: "built", ...options });
  return { bytes: sink.contents.slice(), report };
}

export const squashPlan = (plan: StreamPlan, options: SquashTestOptions): Promise<Squashed> =>
  squashBytes(encode(plan).bytes, options);

/** What a squash that must fail says. */
export async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  return "it was done";
}

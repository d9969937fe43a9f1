// A log of lines in a file that is turned over: FILE, then FILE.1, FILE.2 and so on up to as many
// as are wanted. Lines are collected and written together. A log that cannot be written never stops
// the daemon: lines are lost, and how many is said in the first one that can be written again.

import { renameSync } from "node:fs";
import { SystemError } from "../base/index.ts";
import { type Fd, openToAppend, writeFully } from "../sys/index.ts";

/** Collected before they are written although the turn has not ended. */
const COLLECTED_CHARACTERS_MAX = 64 * 1024;

export interface LogFileOptions {
  readonly path: string;
  /** Lines in a file before it is turned over; 0: never. */
  readonly linesMax: number;
  /** How many files there are at most, the current one included. */
  readonly filesMax: number;
  /** Longer lines are cut; 0: never. */
  readonly charactersMax: number;
}

export class LogFile implements Disposable {
  private readonly options: LogFileOptions;
  private file: Fd | undefined;
  private text = "";
  private collected = 0;
  private lines = 0;
  private lost = 0;

  /** Throws SystemError when the file cannot be opened. */
  constructor(options: LogFileOptions) {
    this.options = options;
    this.file = openToAppend(options.path);
  }

  add(line: string): void {
    const { charactersMax } = this.options;
    const cut = charactersMax > 0 && line.length > charactersMax;
    this.text += `${cut ? `${line.slice(0, charactersMax - 2)}..` : line}\n`;
    this.collected += 1;
    if (this.text.length >= COLLECTED_CHARACTERS_MAX) this.flush();
  }

  /** Writes what was collected. */
  flush(): void {
    if (this.collected === 0) return;
    const { text, collected } = this;
    this.text = "";
    this.collected = 0;
    try {
      this.file ??= openToAppend(this.options.path);
      const lost = this.lost === 0 ? "" : `... ${this.lost} lines could not be written\n`;
      const bytes = Buffer.from(lost + text);
      writeFully(this.file, bytes, bytes.length);
      this.lost = 0;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.lost += collected;
      return;
    }
    this.lines += collected;
    if (this.options.linesMax > 0 && this.lines >= this.options.linesMax) this.turnOver();
  }

  /** Opens the file anew: somebody has moved it away (SIGHUP). */
  reopen(): void {
    this.flush();
    this.close();
  }

  [Symbol.dispose](): void {
    this.flush();
    this.close();
  }

  private turnOver(): void {
    const { path, filesMax } = this.options;
    this.close();
    this.lines = 0;
    for (let number = filesMax - 1; number >= 1; number--) {
      try {
        renameSync(number === 1 ? path : `${path}.${number - 1}`, `${path}.${number}`);
      } catch {
        // There are not so many yet, or the folder is read-only: then it grows on.
      }
    }
  }

  private close(): void {
    this.file?.[Symbol.dispose]();
    this.file = undefined;
  }
}

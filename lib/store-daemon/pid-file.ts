// The file with the daemon's process number, locked for as long as the daemon runs.

import { unlinkSync } from "node:fs";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  type Fd,
  lockByte,
  moveOffset,
  openOrCreate,
  resizeFile,
  writeFully,
} from "../sys/index.ts";

/** Owns the file; disposing of it removes it. */
export class PidFile implements Disposable {
  readonly fd: Fd;
  private readonly path: string;

  /**
   * `inherited`: the file as the program before us had it, with its lock, which belongs to the open
   * file. Throws RefusedError when another daemon has it, SystemError.
   */
  constructor(path: string, pid: number, inherited: Fd | undefined) {
    this.path = path;
    this.fd = inherited ?? openOrCreate(path);
    if (inherited === undefined && !lockByte(this.fd, 0, "exclusive")) {
      this.fd[Symbol.dispose]();
      throw new RefusedError(`Cannot write "${path}": another daemon has locked it`);
    }
    if (inherited === undefined) this.write(pid);
  }

  /** By a program that serves in the place of another: what cannot be written does not end it. */
  rewrite(pid: number, log: (line: string) => void): void {
    try {
      this.write(pid);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      log(`${error.message}: "${this.path}" does not name this program, which is process ${pid}`);
    }
  }

  private write(pid: number): void {
    resizeFile(this.fd, 0);
    moveOffset(this.fd, 0);
    const text = Buffer.from(`${pid}\n`);
    writeFully(this.fd, text, text.length);
  }

  [Symbol.dispose](): void {
    try {
      unlinkSync(this.path);
    } catch {
      // Somebody has removed it: that is what was wanted.
    }
    this.fd[Symbol.dispose]();
  }
}

// The file with the daemon's process number, locked for as long as the daemon runs.

import { unlinkSync } from "node:fs";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  type Fd,
  kindOf,
  lockByte,
  moveOffset,
  openOrCreate,
  resizeFile,
  statOf,
  writeFully,
} from "../sys/index.ts";

/** Owns the file; disposing of it removes it. */
export class PidFile implements Disposable {
  readonly fd: Fd;
  private readonly path: string;

  /**
   * `inherited`: the file as the program before us had it, with its lock, which belongs to the open
   * file. Throws RefusedError when another daemon has it or it is no regular file, SystemError.
   */
  constructor(path: string, pid: number, inherited: Fd | undefined) {
    this.path = path;
    this.fd = inherited ?? openOrCreate(path);
    if (inherited !== undefined) return;
    const unfit = this.whyUnfit();
    if (unfit !== undefined) {
      this.fd[Symbol.dispose]();
      throw new RefusedError(`Cannot write "${path}": ${unfit}`);
    }
    try {
      this.write(pid);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  private whyUnfit(): string | undefined {
    // Removed in the end, a device would be gone from the host.
    const kind = kindOf(statOf(this.fd.number));
    if (kind !== "file") return `wanted a regular file, found another kind (${kind})`;
    return lockByte(this.fd, 0, "exclusive") ? undefined : "another daemon has locked it";
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

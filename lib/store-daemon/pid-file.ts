// The file with the daemon's process number, locked for as long as the daemon runs.

import { unlinkSync } from "node:fs";
import { RefusedError } from "../base/index.ts";
import { type Fd, lockByte, openOrCreate, resizeFile, writeFully } from "../sys/index.ts";

/** Owns the file; disposing of it removes it. */
export class PidFile implements Disposable {
  private readonly fd: Fd;
  private readonly path: string;

  /** Throws RefusedError when another daemon has it, SystemError. */
  constructor(path: string, pid: number) {
    this.path = path;
    this.fd = openOrCreate(path);
    if (!lockByte(this.fd, 0, "exclusive")) {
      this.fd[Symbol.dispose]();
      throw new RefusedError(`Cannot write "${path}": another daemon has locked it`);
    }
    resizeFile(this.fd, 0);
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

// A copy of the stream in a file beside the relay. Bodies get there by tee and splice.
//
//   writing   FILE.partial grows
//   whole     the stream has ended well: it is FILE now
//   broken    the disk is full, or the stream never ended: FILE.broken holds what came. The relay
//             goes on: a capture is never a reason to lose a guest
//
// After SIGKILL FILE.partial is left.

import { existsSync, openSync, renameSync } from "node:fs";
import { RefusedError, SystemError } from "../../base/index.ts";
import {
  borrow,
  CANNOT_SPLICE,
  enlargePipe,
  Fd,
  type Loan,
  makeNonBlocking,
  makePipe,
  openNull,
  type Pipe,
  readReady,
  spliceReady,
  syncFile,
  teeReady,
  TRY_AGAIN,
  writeFully,
} from "../../sys/index.ts";

const COPY_BYTES = 64 * 1024;

export type CaptureState = "writing" | "whole" | "broken";

export interface CarriedCapture {
  readonly state: CaptureState;
  readonly reason: string | null;
  readonly bytes: number;
  /** undefined once it is over. */
  readonly file: Fd | undefined;
}

export class Capture implements Disposable {
  readonly path: string;
  state: CaptureState = "writing";
  /** Why it is broken. */
  reason: string | undefined;
  capturedBytes = 0;
  readonly file: Fd;
  private readonly pipe: Pipe;
  private readonly loan: Loan = borrow(COPY_BYTES);
  private canSplice = true;

  /**
   * `carried`: of another program before this one. Throws RefusedError where the file, or one left
   * by an earlier capture, is there already.
   */
  constructor(path: string, carried?: CarriedCapture) {
    this.path = path;
    this.pipe = makePipe();
    enlargePipe(this.pipe.writeEnd);
    makeNonBlocking(this.pipe.readEnd);
    makeNonBlocking(this.pipe.writeEnd);
    if (carried !== undefined) {
      this.file = carried.file ?? openNull();
      this.file.name = path;
      this.capturedBytes = carried.bytes;
      this.state = carried.state;
      this.reason = carried.reason ?? undefined;
      return;
    }
    for (const taken of [path, `${path}.broken`]) {
      if (!existsSync(taken)) continue;
      throw new RefusedError(
        `Cannot capture to "${path}": there is a file "${taken}": move it away or name another`,
      );
    }
    this.file = new Fd(openNew(path), path);
  }

  /** Copies bytes from the front of a pipe, and leaves them there. Returns how many, at least 1. */
  copyFrom(pipe: Fd, bytes: number): number {
    if (this.state !== "writing") return bytes;
    try {
      const copied = teeReady(pipe, this.pipe.writeEnd, bytes);
      if (copied <= 0) return this.giveUp("its pipe takes nothing", bytes);
      this.store(copied);
      return copied;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return this.giveUp(error.message, bytes);
    }
  }

  private giveUp(reason: string, bytes: number): number {
    this.end("broken", reason);
    return bytes;
  }

  private store(bytes: number): void {
    for (let done = 0; done < bytes;) {
      const left = bytes - done;
      const moved = this.canSplice
        ? spliceReady(this.pipe.readEnd, this.file, left, "target")
        : this.copy(left);
      if (moved === CANNOT_SPLICE) this.canSplice = false;
      if (moved === CANNOT_SPLICE || moved === TRY_AGAIN) continue;
      done += moved;
      this.capturedBytes += moved;
    }
  }

  /** For file systems without splice. */
  private copy(bytes: number): number {
    const { address } = this.loan.region;
    const got = readReady(this.pipe.readEnd, address, Math.min(bytes, COPY_BYTES));
    if (got > 0) writeFully(this.file, address, got);
    return got;
  }

  /** The stream has ended; does nothing when the capture is over already. */
  finish(isWhole: boolean): void {
    if (this.state !== "writing") return;
    if (!isWhole) return this.end("broken", "the relay ended before the stream did");
    try {
      syncFile(this.file);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return this.end("broken", error.message);
    }
    this.end("whole", undefined);
  }

  private end(state: "whole" | "broken", reason: string | undefined): void {
    this.state = state;
    this.reason = reason;
    this.file[Symbol.dispose]();
    const name = state === "whole" ? this.path : `${this.path}.broken`;
    try {
      renameSync(`${this.path}.partial`, name);
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error)) throw error;
      this.state = "broken"; // Somebody took it away, or the disk has gone.
      this.reason ??= error.message;
    }
  }

  [Symbol.dispose](): void {
    this.finish(false);
    this.loan[Symbol.dispose]();
    this.pipe.readEnd[Symbol.dispose]();
    this.pipe.writeEnd[Symbol.dispose]();
  }
}

function openNew(path: string): number {
  const partial = `${path}.partial`;
  try {
    return openSync(partial, "wx", 0o600); // A guest's memory: for nobody else.
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RefusedError(`Cannot capture to "${path}": ${why}`, { cause: error });
  }
}

// Waiting for several descriptors at once, for a bounded time, in a program that reads one stream
// from start to end and has small duties beside it. The daemons use loop.ts.

import { borrow, type Loan, pointer } from "./arena.ts";
import { assert } from "../base/index.ts";
import { EINTR, systemError } from "./errno.ts";
import type { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";

const POLLIN = 0x1;
const POLLOUT = 0x4;
const POLLERR = 0x8;
const POLLHUP = 0x10;
const POLLFD_BYTES = 8; // int fd, short events, short revents.
const EVENTS_AT = 4;
const FOUND_AT = 6;
/** Both ends of both directions, what stands beside them, and room for more. */
const MEMBERS_MAX = 32;

/** "failure": only whether the other end has gone, which poll always tells. */
export type Wanted = "readable" | "writable" | "failure";
const EVENTS = { readable: POLLIN, writable: POLLOUT, failure: 0 } as const;

/** Owns its memory; descriptors are lent to it until the next clear(). */
export class PollSet implements Disposable {
  private readonly loan: Loan = borrow(MEMBERS_MAX * POLLFD_BYTES);
  private count = 0;

  clear(): void {
    this.count = 0;
  }

  /** A descriptor to wait for. Returns its place, to ask about it after the wait. */
  add(fd: Fd, wanted: Wanted): number {
    assert(this.count < MEMBERS_MAX, "a poll set is small");
    const at = this.count * POLLFD_BYTES;
    const { view } = this.loan.region;
    view.setInt32(at, fd.number, true);
    view.setInt16(at + EVENTS_AT, EVENTS[wanted], true);
    view.setInt16(at + FOUND_AT, 0, true);
    return this.count++;
  }

  /** Waits; -1 for ever. False when nothing came: the time is over, or a signal came. */
  wait(timeoutMs: number): boolean {
    const ready = libc.poll(pointer(this.loan.region.address), this.count, timeoutMs);
    const errno = ready === -1 ? lastErrno() : 0;
    if (ready >= 0) return ready > 0;
    for (let member = 0; member < this.count; member++) {
      this.loan.region.view.setInt16(member * POLLFD_BYTES + FOUND_AT, 0, true);
    }
    if (errno === EINTR) return false;
    const object = `${this.count} descriptors`;
    throw systemError("Cannot wait for descriptors", { call: "poll", errno, object });
  }

  /** A read would not wait: there are bytes, the end, or an error to be told. */
  isReadable(place: number): boolean {
    return (this.found(place) & (POLLIN | POLLHUP | POLLERR)) !== 0;
  }

  isWritable(place: number): boolean {
    return (this.found(place) & (POLLOUT | POLLERR)) !== 0;
  }

  /** Nobody can read any more what would be written there. */
  hasFailed(place: number): boolean {
    return (this.found(place) & POLLERR) !== 0;
  }

  private found(place: number): number {
    return this.loan.region.view.getInt16(place * POLLFD_BYTES + FOUND_AT, true);
  }

  [Symbol.dispose](): void {
    this.loan[Symbol.dispose]();
  }
}

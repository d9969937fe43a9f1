// A moment without signals: for a step of microseconds that must not stop half way.
//
// The runtime has threads of its own that block nothing, so masking a signal in ours does not hold
// it back. Ignoring it does, for the whole process; a signal that arrives meanwhile is lost, which
// is why this is only for the last step of work that is complete already.
//
// Over an exec the mask does hold them back: only the thread that calls it goes on, with its mask,
// and what arrives waits until the new program has its handlers and lets it through.

import { pointer, reserve } from "./arena.ts";
import { systemError } from "./errno.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";

const SIGHUP = 1;
const SIGINT = 2;
const SIGKILL = 9;
const SIGTERM = 15;
const STOPPING = [SIGHUP, SIGINT, SIGTERM] as const;

/** struct sigaction of glibc and musl on 64-bit machines: handler, 128 bytes of mask, flags. */
const SIGACTION_BYTES = 160;
const SIG_IGN = 1;

const ignore = reserve(SIGACTION_BYTES);
ignore.view.setUint32(0, SIG_IGN, true);
const defaultAction = reserve(SIGACTION_BYTES);
const saved = STOPPING.map((signal) => ({ signal, region: reserve(SIGACTION_BYTES) }));

/** Runs `step` with SIGHUP, SIGINT and SIGTERM ignored; then they do again what they did. */
export function withoutSignals<T>(step: () => T): T {
  const done: typeof saved = [];
  try {
    for (const entry of saved) {
      setAction(entry.signal, ignore.address, entry.region.address);
      done.push(entry);
    }
    return step();
  } finally {
    for (const { signal, region } of done) setAction(signal, region.address, undefined);
  }
}

const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
/** The kernel's own set of signals: a bit each, the lowest for signal 1. */
const KERNEL_MASK_BYTES = 8;
const wantedMask = reserve(KERNEL_MASK_BYTES);
const oldMask = reserve(KERNEL_MASK_BYTES);

const bitsOf = (signals: readonly number[]): number =>
  signals.reduce((mask, signal) => mask | (1 << (signal - 1)), 0);

/**
 * Lets SIGHUP, SIGINT and SIGTERM wait for the program that this one is about to become. Returns
 * those that did not wait before, for releaseSignals().
 */
export function holdSignals(): number[] {
  changeMask(SIG_BLOCK, STOPPING);
  const before = oldMask.view.getUint32(0, true);
  return STOPPING.filter((signal) => (before & bitsOf([signal])) === 0);
}

/** What was held back arrives, for the handlers that are there by now. */
export const releaseSignals = (signals: readonly number[]): void =>
  changeMask(SIG_UNBLOCK, signals);

function changeMask(how: number, signals: readonly number[]): void {
  wantedMask.bytes.fill(0);
  wantedMask.view.setUint32(0, bitsOf(signals), true);
  const { address: wanted } = wantedMask;
  const call = SYSCALL.rt_sigprocmask;
  const result = libc.syscall(call, how, wanted, oldMask.address, KERNEL_MASK_BYTES, 0, 0);
  const errno = result === -1 ? lastErrno() : 0;
  if (result !== -1) return;
  const object = `signals ${signals.join(", ")}`;
  throw systemError("Cannot hold back signals", { call: "rt_sigprocmask", errno, object });
}

/** Ends this process by the signal, so that its parent sees the same as of a child of ours. */
export function dieBySignal(signal: number): void {
  defaultAction.bytes.fill(0); // SIG_DFL is 0.
  if (signal !== SIGKILL) setAction(signal, defaultAction.address, undefined);
  libc.kill(libc.getpid(), signal);
}

function setAction(signal: number, wanted: number, old: number | undefined): void {
  const result = libc.sigaction(signal, pointer(wanted), old === undefined ? null : pointer(old));
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  const object = `signal ${signal}`;
  throw systemError("Cannot hold back signals", { call: "sigaction", errno, object });
}

// One request of passt to its TCP repair helper: sockets to freeze or to let go on, all or none.
//
// The protocol (doc/ and repair.c of passt): passt sends one signed byte (1 on, 0 off, -1 off
// without a window probe) with 1 to 253 sockets as SCM_RIGHTS; the helper does
// setsockopt(TCP_REPAIR) on each and answers with the same byte, or closes.

import {
  isInRepair,
  REPAIR,
  type RepairMode,
  setRepair,
  TCP_STATE,
  tcpStateOf,
} from "../sys/index.ts";

export type RepairCommand = keyof typeof REPAIR;

/** The command that a byte means; undefined for any other byte. */
export function repairCommandOf(byte: number): RepairCommand | undefined {
  switch (byte) {
    case 1:
      return "on";
    case 0:
      return "off";
    case 0xff:
      return "offWithoutProbe";
    default:
      return undefined;
  }
}

/** Why a batch was not done. */
export interface RepairFailure {
  /** Which socket of the batch, from 0. */
  readonly index: number;
  readonly reason: "not_tcp" | "listening" | "kernel";
  /** Of setsockopt, where the kernel refused; else 0. */
  readonly errno: number;
  /** Sockets that had been frozen by then and were let go on again. */
  readonly takenBack: number;
}

/**
 * Does the command on every socket, or, to freeze, on none: what was frozen until one fails goes on
 * again. To let sockets go on is done for all that take it, even if one does not. Returns undefined
 * when all took it.
 */
export function repairBatch(
  sockets: readonly number[],
  command: RepairCommand,
): RepairFailure | undefined {
  return command === "on" ? freeze(sockets) : release(sockets, REPAIR[command]);
}

function freeze(sockets: readonly number[]): RepairFailure | undefined {
  // All are looked at first: a batch with something else in it is not begun. What was frozen before
  // is not ours to take back.
  const wasFrozen: boolean[] = [];
  for (let index = 0; index < sockets.length; index++) {
    const state = isInRepair(sockets[index]!);
    if (state === undefined) return { index, reason: "not_tcp", errno: 0, takenBack: 0 };
    wasFrozen.push(state);
  }
  for (let index = 0; index < sockets.length; index++) {
    const errno = setRepair(sockets[index]!, REPAIR.on);
    if (errno === 0) continue;
    const changed = sockets.slice(0, index).filter((_, before) => wasFrozen[before] === false);
    // To a socket that listens the kernel gives the errno of a missing capability.
    const isListening = tcpStateOf(sockets[index]!) === TCP_STATE.listen;
    const reason = isListening ? "listening" : "kernel";
    return { index, reason, errno, takenBack: takeBack(changed) };
  }
  return undefined;
}

/**
 * Lets sockets go on that were frozen a moment ago: nothing was lost, so no window is asked for.
 */
export function takeBack(sockets: readonly number[]): number {
  let done = 0;
  for (const socket of sockets) {
    if (setRepair(socket, REPAIR.offWithoutProbe) === 0) done += 1;
  }
  return done;
}

function release(sockets: readonly number[], mode: RepairMode): RepairFailure | undefined {
  let failure: RepairFailure | undefined;
  for (const [index, socket] of sockets.entries()) {
    const errno = setRepair(socket, mode);
    if (errno !== 0) failure ??= { index, reason: "kernel", errno, takenBack: 0 };
  }
  return failure;
}

// The state of a back end under a running guest, which goes on with the same back end: the rings
// stand while it is taken. CHECK_DEVICE_STATE is not asked: a passt of 2025 ends when it is.
//
// passt's TCP connections do not survive it (it closes their sockets, or leaves them frozen), so it
// is refused where there are any: agent device swap is what moves them.

import { RefusedError } from "../base/index.ts";
import { type Fd, peerProcessOf } from "../sys/index.ts";
import { beginTransfer } from "./back-end.ts";
import { backEndPid, isPasst, tcpConnectionsOf } from "./back-end-process.ts";
import type { DeviceRecord } from "./device-record.ts";
import { FrontEnd } from "./front-end.ts";
import { PROTOCOL_BIT, hasBit } from "./messages.ts";
import { startRings, stopRings } from "./replay.ts";
import { drainState, makeStatePipe, STATE_BYTES_MAX } from "./state-pipe.ts";

export interface PullOptions {
  readonly record: DeviceRecord;
  readonly socket: Fd;
  readonly path: string;
  readonly waitMs: number;
  readonly losesConnections: boolean;
  readonly target: Fd;
}

/** Returns how many bytes of state were written to `target`. */
export function saveUnderGuest(options: PullOptions): number {
  const { record, socket, path, waitMs, target } = options;
  const acked = record.number("SET_PROTOCOL_FEATURES") ?? 0n;
  if (!hasBit(acked, PROTOCOL_BIT.deviceState)) {
    throw new RefusedError(`Cannot save: "${path}" offers no device state (protocol feature 19)`);
  }
  const peer = peerProcessOf(socket.number);
  const pid = peer === undefined ? undefined : backEndPid(path, peer.pid);
  if (pid !== undefined && isPasst(pid) && !options.losesConnections) {
    const connections = tcpConnectionsOf(pid);
    if (connections !== 0) {
      throw new RefusedError(
        `Cannot save: ${connections ?? "the"} TCP connections of the guest would be lost: use ` +
          "agent device swap --keep, or allow it with --lose-connections",
      );
    }
  }
  using frontEnd = new FrontEnd(socket, waitMs);
  frontEnd.acknowledges = hasBit(acked, PROTOCOL_BIT.replyAck);
  const going = record.startedRings;
  try {
    stopRings(record, frontEnd);
    const pipe = makeStatePipe("readEnd");
    using readEnd = pipe.readEnd;
    using from = beginTransfer(frontEnd, "save", pipe.writeEnd) ?? readEnd;
    return drainState(from, target, { waitMs, bytesMax: STATE_BYTES_MAX });
  } finally {
    startRings(record, going, frontEnd);
  }
}

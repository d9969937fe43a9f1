// What a TCP socket tells of itself, and its repair mode. Of struct tcp_info only the first byte,
// the state, is of use here.

import { pointer, reserve } from "./arena.ts";
import { lastErrno, libc } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_PROTOCOL = 38;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_REPAIR = 19;

const value = reserve(32);
const length = reserve(16);

/** States of a TCP socket as the kernel numbers them. */
export const TCP_STATE = { established: 1, closed: 7, listen: 10 } as const;

/** The state of a TCP socket; undefined for what is no TCP socket, or no socket at all. */
export function tcpStateOf(fd: number): number | undefined {
  if (!hasOption(fd, SOL_SOCKET, SO_PROTOCOL, 4)) return undefined;
  if (value.view.getInt32(0, true) !== IPPROTO_TCP) return undefined;
  return hasOption(fd, IPPROTO_TCP, TCP_INFO, 8) ? value.view.getUint8(0) : undefined;
}

/** Whether a TCP socket is in repair mode; undefined where it cannot tell. */
export const isInRepair = (fd: number): boolean | undefined =>
  hasOption(fd, IPPROTO_TCP, TCP_REPAIR, 4) ? value.view.getInt32(0, true) === 1 : undefined;

/** Modes of TCP_REPAIR: frozen; going on; going on without asking the peer for its window. */
export const REPAIR = { on: 1, off: 0, offWithoutProbe: -1 } as const;
export type RepairMode = (typeof REPAIR)[keyof typeof REPAIR];

/** Freezes a TCP socket, or lets it go on. Needs CAP_NET_ADMIN. Returns the errno, 0 when done. */
export function setRepair(fd: number, mode: RepairMode): number {
  value.view.setInt32(0, mode, true);
  const at = pointer(value.address);
  const result = libc.setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, at, 4);
  return result === -1 ? lastErrno() : 0;
}

function hasOption(fd: number, level: number, name: number, bytes: number): boolean {
  value.view.setInt32(0, 0, true);
  length.view.setUint32(0, bytes, true);
  return libc.getsockopt(fd, level, name, pointer(value.address), pointer(length.address)) === 0;
}

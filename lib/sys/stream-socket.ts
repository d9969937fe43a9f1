// Moving bytes over a connected stream socket without waiting and without making anything: the hot
// path of a daemon. MSG_DONTWAIT asks for that by call, because O_NONBLOCK belongs to the open
// socket, which other programs may share.

import { pointer, reserve } from "./arena.ts";
import { EAGAIN, EINTR } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;

/** Nothing is there, or nothing fits. */
export const SOCKET_WAIT = -1;
/** The connection is of no use any more: reset, or closed by the peer in the middle. */
export const SOCKET_GONE = -2;

/** Above 0: so many bytes came; 0: the peer sends no more; else SOCKET_WAIT or SOCKET_GONE. */
export function receiveNow(fd: number, address: number, bytes: number): number {
  const got = libc.recv(fd, pointer(address), bytes, MSG_DONTWAIT);
  const errno = got === -1 ? lastErrno() : 0;
  if (got >= 0) return got;
  return errno === EAGAIN || errno === EINTR ? SOCKET_WAIT : SOCKET_GONE;
}

/** How many bytes went, at least 1; else SOCKET_WAIT or SOCKET_GONE. */
export function sendNow(fd: number, address: number, bytes: number): number {
  const sent = libc.send(fd, pointer(address), bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  const errno = sent === -1 ? lastErrno() : 0;
  if (sent > 0) return sent;
  return errno === EAGAIN || errno === EINTR || sent === 0 ? SOCKET_WAIT : SOCKET_GONE;
}

/** Whether a descriptor is a socket that connections come to. */
export function isListening(fd: number): boolean {
  credentialsBytes.view.setUint32(0, 4, true);
  const [at, lengthAt] = [pointer(credentials.address), pointer(credentialsBytes.address)];
  if (libc.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, at, lengthAt) !== 0) return false;
  return credentials.view.getInt32(0, true) !== 0;
}

/** struct ucred: pid, uid, gid. */
const credentials = reserve(16);
const credentialsBytes = reserve(16);

export interface PeerProcess {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Who connected, or made the pair; undefined for what is no unix socket. */
export function peerProcessOf(fd: number): PeerProcess | undefined {
  credentialsBytes.view.setUint32(0, 12, true);
  const [at, lengthAt] = [pointer(credentials.address), pointer(credentialsBytes.address)];
  if (libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, at, lengthAt) !== 0) return undefined;
  const { view } = credentials;
  const [pid, uid] = [view.getInt32(0, true), view.getUint32(4, true)];
  return pid === 0 ? undefined : { pid, uid, gid: view.getUint32(8, true) };
}

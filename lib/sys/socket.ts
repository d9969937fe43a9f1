// Unix sockets: made, bound, connected, and descriptors passed over them (SCM_RIGHTS).
//
//   struct msghdr (56 bytes)                      struct cmsghdr, in the control buffer
//   +0  name address      +32 control address     +0  length u64, 16 + 4 a descriptor
//   +8  name bytes u32    +40 control bytes u64   +8  level i32, SOL_SOCKET
//   +16 iovec address     +48 flags i32           +12 type i32, SCM_RIGHTS
//   +24 iovec count u64                           +16 descriptors, i32 each; padded to 8
//
// musl declares the counts as 32 bits and a padding word; in little-endian order that is the same.

import { assert, RefusedError } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import { EAGAIN, EINTR, systemError } from "./errno.ts";
import { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { setWord } from "./memory-words.ts";

const AF_UNIX = 1;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_SNDTIMEO = 21;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const LISTEN_BACKLOG = 128;

const SOCKET_TYPE = { stream: 1, datagram: 2, seqpacket: 5 } as const;
export type SocketKind = keyof typeof SOCKET_TYPE;

/** SCM_MAX_FD of the kernel: one message takes no more. */
export const DESCRIPTORS_MAX = 253;
/** What one sendDescriptors() or receiveDescriptors() moves at most besides descriptors. */
export const MESSAGE_BYTES_MAX = 64 * 1024;

const ADDRESS_PATH_BYTES = 108;
const CMSG_HEADER_BYTES = 16;
const CONTROL_BYTES = CMSG_HEADER_BYTES + Math.ceil((DESCRIPTORS_MAX * 4) / 8) * 8;

const address = reserve(2 + ADDRESS_PATH_BYTES);
const header = reserve(56);
const iovec = reserve(16);
const control = reserve(CONTROL_BYTES);
const payload = reserve(MESSAGE_BYTES_MAX);
const pair = reserve(8);
const timeval = reserve(16);

// Both sides use the same structs, which never change but for the lengths.
setWord(header.view, 16, iovec.address);
setWord(header.view, 24, 1);
setWord(iovec.view, 0, payload.address);

const named = (fd: number): Fd => new Fd(fd, `fd ${fd} (socket)`);

/** Two connected close-on-exec sockets. */
export function makeSocketPair(kind: SocketKind): readonly [Fd, Fd] {
  const type = SOCKET_TYPE[kind] | SOCK_CLOEXEC;
  const result = libc.socketpair(AF_UNIX, type, 0, pointer(pair.address));
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1) {
    const object = `a unix ${kind} socket`;
    throw systemError("Cannot make a socket pair", { call: "socketpair", errno, object });
  }
  return [named(pair.view.getInt32(0, true)), named(pair.view.getInt32(4, true))];
}

/** Where a socket is: a path, or a NUL and a name for the abstract name space. */
export interface UnixAddress {
  readonly path: string;
  readonly kind: SocketKind;
}

export interface Connection extends UnixAddress {
  /** How long connecting, and later each send, waits for a peer that is busy; 0 is for ever. */
  readonly waitMs: number;
}

/** A close-on-exec, blocking socket connected to a path. A peer that stays busy is EAGAIN. */
export function connectUnix({ path, kind, waitMs }: Connection): Fd {
  const length = storeAddress(path);
  const attempt = `Cannot connect to ${quoted(path)}`;
  const fd = newSocket(kind, SOCK_CLOEXEC, attempt);
  limitSendWait(fd, waitMs);
  for (;;) {
    const result = libc.connect(fd, pointer(address.address), length);
    const errno = result === -1 ? lastErrno() : 0;
    if (result === 0) return new Fd(fd, quoted(path));
    if (errno === EINTR) continue; // A unix connect that was interrupted has not begun.
    libc.close(fd);
    throw systemError(attempt, { call: "connect", errno, object: quoted(path) });
  }
}

/** A close-on-exec, non-blocking socket bound to a path; one with connections also listens. */
export function bindUnix({ path, kind }: UnixAddress): Fd {
  const length = storeAddress(path);
  const attempt = `Cannot listen on ${quoted(path)}`;
  const fd = newSocket(kind, SOCK_CLOEXEC | SOCK_NONBLOCK, attempt);
  let call = "bind";
  let result = libc.bind(fd, pointer(address.address), length);
  let errno = result === -1 ? lastErrno() : 0;
  if (result === 0 && kind !== "datagram") {
    call = "listen";
    result = libc.listen(fd, LISTEN_BACKLOG);
    errno = result === -1 ? lastErrno() : 0;
  }
  if (result === 0) return new Fd(fd, quoted(path));
  libc.close(fd);
  throw systemError(attempt, { call, errno, object: quoted(path) });
}

/** The next connection, non-blocking and close-on-exec; undefined when none is waiting. */
export function acceptUnix(listener: Fd): Fd | undefined {
  for (;;) {
    const fd = libc.accept4(listener.number, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
    const errno = fd === -1 ? lastErrno() : 0;
    if (fd !== -1) return named(fd);
    if (errno === EAGAIN) return undefined;
    if (errno === EINTR) continue;
    const object = listener.name;
    throw systemError("Cannot accept a connection", { call: "accept4", errno, object });
  }
}

/**
 * Sends bytes (at least one, so that there is something to carry them) and descriptors in one
 * message. Returns how many bytes went; 0 when the socket is full, and then no descriptor went
 * either.
 */
export function sendDescriptors(socket: Fd, bytes: Uint8Array, fds: readonly number[]): number {
  assert(bytes.length > 0, "descriptors travel with at least one byte");
  assert(bytes.length <= MESSAGE_BYTES_MAX, "a message fits its buffer");
  assert(fds.length <= DESCRIPTORS_MAX, "a message has at most 253 descriptors");
  payload.bytes.set(bytes);
  const lengthBytes = CMSG_HEADER_BYTES + 4 * fds.length;
  setWord(control.view, 0, lengthBytes);
  control.view.setInt32(8, SOL_SOCKET, true);
  control.view.setInt32(12, SCM_RIGHTS, true);
  fds.forEach((fd, index) => control.view.setInt32(CMSG_HEADER_BYTES + 4 * index, fd, true));
  setHeader(bytes.length, fds.length === 0 ? 0 : Math.ceil(lengthBytes / 8) * 8);
  for (;;) {
    const sent = libc.sendmsg(socket.number, pointer(header.address), MSG_NOSIGNAL);
    const errno = sent === -1 ? lastErrno() : 0;
    if (sent !== -1) return sent;
    if (errno === EAGAIN) return 0;
    if (errno === EINTR) continue;
    const object = socket.name;
    throw systemError("Cannot send descriptors", { call: "sendmsg", errno, object });
  }
}

export interface Received extends Disposable {
  /** Our own copy; empty at the end of the connection. */
  readonly bytes: Uint8Array;
  /** Close-on-exec, in the order they were sent. Disposing of the message closes them. */
  readonly descriptors: readonly Fd[];
}

/**
 * One message, at most `bytesMax` of it; undefined when none is waiting on a non-blocking socket.
 */
export function receiveDescriptors(socket: Fd, bytesMax: number): Received | undefined {
  assert(bytesMax > 0, "a message has room for a byte");
  assert(bytesMax <= MESSAGE_BYTES_MAX, "a message fits its buffer");
  for (;;) {
    setHeader(bytesMax, CONTROL_BYTES); // Anew each time: the kernel writes both lengths.
    const got = libc.recvmsg(socket.number, pointer(header.address), MSG_CMSG_CLOEXEC);
    const errno = got === -1 ? lastErrno() : 0;
    if (got !== -1) return received(socket, payload.bytes.slice(0, got));
    if (errno === EAGAIN) return undefined;
    if (errno === EINTR) continue;
    const object = socket.name;
    throw systemError("Cannot receive descriptors", { call: "recvmsg", errno, object });
  }
}

function received(socket: Fd, bytes: Uint8Array): Received {
  const descriptors = [...controlDescriptors()].map(named);
  const close = (): void => descriptors.forEach((fd) => fd[Symbol.dispose]());
  const flags = header.view.getInt32(48, true);
  if ((flags & MSG_CTRUNC) !== 0) {
    close();
    throw new RefusedError(
      `Cannot receive descriptors over ${socket.name}: wanted all that were sent, found that the ` +
        "kernel dropped some (MSG_CTRUNC): the limit of open files may be reached",
    );
  }
  if ((flags & MSG_TRUNC) !== 0) {
    close();
    const wanted = `wanted a message of at most ${iovec.view.getUint32(8, true)} bytes`;
    throw new RefusedError(
      `Cannot receive descriptors over ${socket.name}: ${wanted}, found a longer one (MSG_TRUNC)`,
    );
  }
  return { bytes, descriptors, [Symbol.dispose]: close };
}

/** The descriptors of every SCM_RIGHTS in the control buffer. */
function* controlDescriptors(): Generator<number> {
  const end = header.view.getUint32(40, true);
  let at = 0;
  while (at + CMSG_HEADER_BYTES <= end) {
    const length = control.view.getUint32(at, true);
    assert(length >= CMSG_HEADER_BYTES, "the kernel gives whole control messages");
    const isRights =
      control.view.getInt32(at + 8, true) === SOL_SOCKET &&
      control.view.getInt32(at + 12, true) === SCM_RIGHTS;
    for (let offset = CMSG_HEADER_BYTES; isRights && offset + 4 <= length; offset += 4) {
      yield control.view.getInt32(at + offset, true);
    }
    at += Math.ceil(length / 8) * 8;
  }
}

function setHeader(bytes: number, controlBytes: number): void {
  setWord(iovec.view, 8, bytes);
  setWord(header.view, 32, controlBytes === 0 ? 0 : control.address);
  setWord(header.view, 40, controlBytes);
  header.view.setInt32(48, 0, true);
}

function limitSendWait(fd: number, waitMs: number): void {
  setWord(timeval.view, 0, Math.floor(waitMs / 1000));
  setWord(timeval.view, 8, Math.floor((waitMs % 1000) * 1000));
  const at = pointer(timeval.address);
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, at, timeval.length);
  assert(result === 0, "a new socket takes a send timeout");
}

function newSocket(kind: SocketKind, flags: number, attempt: string): number {
  const fd = libc.socket(AF_UNIX, SOCKET_TYPE[kind] | flags, 0);
  const errno = fd === -1 ? lastErrno() : 0;
  if (fd !== -1) return fd;
  throw systemError(attempt, { call: "socket", errno, object: `a unix ${kind} socket` });
}

/** "@" for the leading NUL of an abstract name, as ss and netstat show it. */
const quoted = (path: string): string => `"${path.replace("\0", "@")}"`;

/** Stores sockaddr_un; returns its length, which for a path includes the NUL behind it. */
function storeAddress(path: string): number {
  const encoded = new TextEncoder().encode(path);
  const isAbstract = path.startsWith("\0");
  const bytes = encoded.length + (isAbstract ? 0 : 1);
  if (bytes > ADDRESS_PATH_BYTES) {
    const limit = `wanted at most ${ADDRESS_PATH_BYTES - 1} bytes`;
    throw new RefusedError(`Cannot use socket ${quoted(path)}: ${limit}, found ${encoded.length}`);
  }
  address.view.setUint16(0, AF_UNIX, true);
  address.bytes.fill(0, 2);
  address.bytes.set(encoded, 2);
  return 2 + bytes;
}

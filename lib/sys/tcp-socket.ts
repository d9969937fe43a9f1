// Listening for TCP connections at a numeric address. Names are not resolved: who listens says
// where, and the runtime's resolver would need its own loop.
//
//   sockaddr_in    +0 family u16, +2 port u16be, +4 address
//   sockaddr_in6   +0 family u16, +2 port u16be, +4 flow u32, +8 address, +24 scope u32

import { isIPv4, isIPv6 } from "node:net";
import { assert } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import { systemError } from "./errno.ts";
import { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";

const [AF_INET, AF_INET6] = [2, 10] as const;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const BACKLOG = 8;
const [ADDRESS_BYTES, ADDRESS6_BYTES] = [16, 28] as const;

const address = reserve(ADDRESS6_BYTES);
const one = reserve(4);
one.view.setInt32(0, 1, true);

export interface TcpAddress {
  /** An IPv4 or IPv6 address. */
  readonly host: string;
  readonly port: number;
}

/** A close-on-exec, non-blocking socket that listens. */
export function bindTcp({ host, port }: TcpAddress): Fd {
  assert(isIPv4(host) || isIPv6(host), "a TCP address is numeric");
  const name = isIPv4(host) ? `${host}:${port}` : `[${host}]:${port}`;
  const attempt = `Cannot listen on ${name}`;
  const family = isIPv4(host) ? AF_INET : AF_INET6;
  const fd = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const socketErrno = fd === -1 ? lastErrno() : 0;
  if (fd === -1) throw systemError(attempt, { call: "socket", errno: socketErrno, object: name });
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, pointer(one.address), 4);
  let call = "bind";
  let result = libc.bind(fd, pointer(address.address), store({ host, port }));
  let errno = result === -1 ? lastErrno() : 0;
  if (result === 0) {
    call = "listen";
    result = libc.listen(fd, BACKLOG);
    errno = result === -1 ? lastErrno() : 0;
  }
  if (result === 0) return new Fd(fd, name);
  libc.close(fd);
  throw systemError(attempt, { call, errno, object: name });
}

/** Returns its length. */
function store({ host, port }: TcpAddress): number {
  address.bytes.fill(0);
  address.view.setUint16(2, port, false);
  if (isIPv4(host)) {
    address.view.setUint16(0, AF_INET, true);
    address.bytes.set(host.split(".").map(Number), 4);
    return ADDRESS_BYTES;
  }
  address.view.setUint16(0, AF_INET6, true);
  for (const [index, word] of wordsOf(host).entries()) {
    address.view.setUint16(8 + index * 2, word, false);
  }
  return ADDRESS6_BYTES;
}

/** The eight words of an IPv6 address; the URL parser knows all the ways to write one. */
function wordsOf(host: string): number[] {
  const plain = new URL(`http://[${host}]/`).hostname.slice(1, -1);
  const [left = "", right] = plain.split("::");
  const words = (part: string) => (part === "" ? [] : part.split(":").map((w) => parseInt(w, 16)));
  const [head, tail] = [words(left), words(right ?? "")];
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
}

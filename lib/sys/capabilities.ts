// Capabilities: what of root's power a program has.
//
// Theory of Operation. They belong to a thread, and the runtime has started threads before any code
// of ours runs: dropping them in ours would leave the others as they were. So they are lowered here
// and then the program is executed anew. What an exec gives is
//
//   permitted' = (inheritable & file) | (bounding & file) | ambient
//
// so the one that is to be kept goes into the ambient set (which is a subset of permitted and
// inheritable), and for root, whose "file" is everything, the bounding set is emptied and
// SECBIT_NOROOT is set. Each thread of the new program then starts with that one and no other.
//
//   struct __user_cap_header (8 bytes)   +0 version u32, +4 pid i32
//   struct __user_cap_data (12 bytes, twice: bits 0-31 and 32-63)  effective, permitted, inheritable

import { assert, RefusedError } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import { EINVAL, systemError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

/** Bit numbers. */
export const CAPABILITY = { setpcap: 8, netAdmin: 12, sysNice: 23 } as const;
const CAPABILITY_BIT_MAX = 63;

const VERSION_3 = 0x20080522;
const DATA_BYTES = 12;
const EFFECTIVE_AT = 0;
const PERMITTED_AT = 4;
const INHERITABLE_AT = 8;

const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_SET_SECUREBITS = 28;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_GET_NO_NEW_PRIVS = 39;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_IS_SET = 1;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
/** NOROOT and NO_SETUID_FIXUP with their locks; KEEP_CAPS stays off, locked. */
const SECURE_BITS = 0b10_1111;

const header = reserve(8);
const data = reserve(2 * DATA_BYTES);

const wordOf = (bit: number): number => Math.floor(bit / 32) * DATA_BYTES;
const maskOf = (bit: number): number => (1 << (bit % 32)) >>> 0;

/** Whether this thread may use the capability now. */
export function hasCapability(bit: number): boolean {
  load();
  return (data.view.getUint32(wordOf(bit) + EFFECTIVE_AT, true) & maskOf(bit)) !== 0;
}

/** Whether this program has that capability and can have no other: what an exec has to leave. */
export function hasOnlyCapability(bit: number): boolean {
  load();
  for (const word of [0, DATA_BYTES]) {
    const wanted = wordOf(bit) === word ? maskOf(bit) : 0;
    if (data.view.getUint32(word + PERMITTED_AT, true) !== wanted) return false;
    if (data.view.getUint32(word + EFFECTIVE_AT, true) !== wanted) return false;
  }
  return (
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0) === 1 &&
    libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) === 1
  );
}

/**
 * Lowers this thread so that the next exec starts with one capability and no way to another. Throws
 * RefusedError when this one is not there.
 */
export function keepOneForExec(bit: number, name: string): void {
  if (!hasCapability(bit)) {
    throw new RefusedError(
      `Cannot keep ${name}: wanted to be started with it (by root, or by a service with ` +
        `AmbientCapabilities=${name}), found that it is absent`,
    );
  }
  if (hasCapability(CAPABILITY.setpcap)) lockRoot();
  data.bytes.fill(0);
  const word = wordOf(bit);
  for (const at of [EFFECTIVE_AT, PERMITTED_AT, INHERITABLE_AT]) {
    data.view.setUint32(word + at, maskOf(bit), true);
  }
  call("capset", libc.capset(pointer(header.address), pointer(data.address)));
  control("PR_CAP_AMBIENT", [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0]);
  control("PR_CAP_AMBIENT", [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit]);
  control("PR_SET_NO_NEW_PRIVS", [PR_SET_NO_NEW_PRIVS, 1, 0]);
  // Without CAP_SETPCAP the bounding set stays; it gives nothing to a program that is not root.

  function lockRoot(): void {
    for (let other = 0; other <= CAPABILITY_BIT_MAX; other++) {
      const isThere = libc.prctl(PR_CAPBSET_READ, other, 0, 0, 0);
      if (isThere === 1 && other !== bit) control("PR_CAPBSET_DROP", [PR_CAPBSET_DROP, other, 0]);
    }
    control("PR_SET_SECUREBITS", [PR_SET_SECUREBITS, SECURE_BITS, 0]);
  }
}

function load(): void {
  header.view.setUint32(0, VERSION_3, true);
  header.view.setInt32(4, 0, true);
  call("capget", libc.capget(pointer(header.address), pointer(data.address)));
}

function control(name: string, [option, first, second]: readonly [number, number, number]): void {
  call(`prctl ${name}`, libc.prctl(option, first, second, 0, 0));
}

/** Give it the result in the very call: errno is read here. */
function call(name: string, result: number): void {
  const errno = result === -1 ? lastErrno() : 0;
  if (result !== -1) return;
  assert(errno !== EINVAL || name !== "capget", "the kernel knows version 3 of capabilities");
  throw systemError("Cannot change capabilities", { call: name, errno, object: "this process" });
}

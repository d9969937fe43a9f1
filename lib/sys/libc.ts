// The C library through bun:ffi: one table of the symbols we call. Only symbols that glibc 2.17 and
// musl export stand here (a missing one would fail the whole table); newer calls go by number, see
// SYSCALL.
//
// Rules that the rest of lib/sys keeps:
// - Addresses are arena addresses (arena.ts): an address taken from a small typed array goes stale.
// - errno is read in the statement after the call, with nothing between (`lastErrno`).
// - Sizes and offsets are whole numbers below 2^53; -1 is passed only to `int` parameters.

import { dlopen, FFIType, read } from "bun:ffi";
import { assert, RefusedError } from "../base/index.ts";

const int = "int";
const i64_fast = FFIType.i64_fast;
const ptr = "ptr";
const u64 = "u64";
const u32 = "u32";

const SYMBOLS = {
  __errno_location: { args: [], returns: ptr },
  accept4: { args: [int, ptr, ptr, int], returns: int },
  bind: { args: [int, ptr, int], returns: int },
  capget: { args: [ptr, ptr], returns: int },
  capset: { args: [ptr, ptr], returns: int },
  chdir: { args: [ptr], returns: int },
  clock_gettime: { args: [int, ptr], returns: int },
  close: { args: [int], returns: int },
  confstr: { args: [int, ptr, u64], returns: i64_fast },
  connect: { args: [int, ptr, int], returns: int },
  dup3: { args: [int, int, int], returns: int },
  epoll_create1: { args: [int], returns: int },
  epoll_ctl: { args: [int, int, int, ptr], returns: int },
  epoll_wait: { args: [int, ptr, int, int], returns: int },
  execve: { args: [ptr, ptr, ptr], returns: int },
  fallocate: { args: [int, int, u64, u64], returns: int },
  fcntl: { args: [int, int, u64], returns: int },
  fdatasync: { args: [int], returns: int },
  fsync: { args: [int], returns: int },
  ftruncate: { args: [int, u64], returns: int },
  getpid: { args: [], returns: int },
  getsockopt: { args: [int, int, int, ptr, ptr], returns: int },
  getrlimit: { args: [int, ptr], returns: int },
  inotify_add_watch: { args: [int, ptr, u32], returns: int },
  inotify_init1: { args: [int], returns: int },
  ioctl: { args: [int, u64, ptr], returns: int },
  isatty: { args: [int], returns: int },
  kill: { args: [int, int], returns: int },
  linkat: { args: [int, ptr, int, ptr, int], returns: int },
  listen: { args: [int, int], returns: int },
  lseek: { args: [int, u64, int], returns: i64_fast },
  madvise: { args: [ptr, u64, int], returns: int },
  memcmp: { args: [ptr, ptr, u64], returns: int },
  memcpy: { args: [ptr, ptr, u64], returns: ptr },
  mincore: { args: [ptr, u64, ptr], returns: int },
  mkfifo: { args: [ptr, u32], returns: int },
  mlock: { args: [ptr, u64], returns: int },
  mmap: { args: [ptr, u64, int, int, int, u64], returns: i64_fast },
  munmap: { args: [ptr, u64], returns: int },
  nanosleep: { args: [ptr, ptr], returns: int },
  open: { args: [ptr, int, u32], returns: int },
  poll: { args: [ptr, u64, int], returns: int },
  pipe2: { args: [ptr, int], returns: int },
  posix_fadvise: { args: [int, u64, u64, int], returns: int },
  prctl: { args: [int, u64, u64, u64, u64], returns: int },
  pread: { args: [int, ptr, u64, u64], returns: i64_fast },
  pwrite: { args: [int, ptr, u64, u64], returns: i64_fast },
  read: { args: [int, ptr, u64], returns: i64_fast },
  recv: { args: [int, ptr, u64, int], returns: i64_fast },
  recvmsg: { args: [int, ptr, int], returns: i64_fast },
  rename: { args: [ptr, ptr], returns: int },
  sched_getscheduler: { args: [int], returns: int },
  sched_setscheduler: { args: [int, int, ptr], returns: int },
  sched_yield: { args: [], returns: int },
  send: { args: [int, ptr, u64, int], returns: i64_fast },
  sendmsg: { args: [int, ptr, int], returns: i64_fast },
  setitimer: { args: [int, ptr, ptr], returns: int },
  setpriority: { args: [int, u32, int], returns: int },
  setrlimit: { args: [int, ptr], returns: int },
  setsockopt: { args: [int, int, int, ptr, u32], returns: int },
  shutdown: { args: [int, int], returns: int },
  sigaction: { args: [int, ptr, ptr], returns: int },
  socket: { args: [int, int, int], returns: int },
  socketpair: { args: [int, int, int, ptr], returns: int },
  splice: { args: [int, ptr, int, ptr, u64, u32], returns: i64_fast },
  sync_file_range: { args: [int, u64, u64, u32], returns: int },
  syscall: { args: [u64, u64, u64, u64, u64, u64, u64], returns: i64_fast },
  tee: { args: [int, int, u64, u32], returns: i64_fast },
  unlink: { args: [ptr], returns: int },
  write: { args: [int, ptr, u64], returns: i64_fast },
} as const;

/**
 * glibc's name; musl answers to every "libc." with itself. No other name is tried: bun:ffi looks
 * for a library that the system does not have in the current directory, and would run what lies
 * there.
 */
const LIBRARY = "libc.so.6";

/** i64_fast gives a bigint only past 2^53; no result of the calls above comes near it. */
type Numbers<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => number | bigint
    ? (...args: A) => number
    : T[K];
};

function load() {
  try {
    const { symbols } = dlopen(LIBRARY, SYMBOLS);
    return symbols as Numbers<typeof symbols>;
  } catch (cause) {
    // Most likely bun:ffi is off: it needs the JIT, which a service manager's sandbox can forbid.
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RefusedError(`Cannot use ${LIBRARY} through bun:ffi: ${reason}`, { cause });
  }
}

export const libc = load();

/** Numbers of the system calls that old C libraries have no symbol for. */
export const SYSCALL =
  process.arch === "arm64"
    ? {
        close_range: 436,
        copy_file_range: 285,
        execveat: 281,
        ioprio_set: 30,
        memfd_create: 279,
        pidfd_open: 434,
        pidfd_send_signal: 424,
        renameat2: 276,
        rt_sigprocmask: 135,
      }
    : {
        close_range: 436,
        copy_file_range: 326,
        execveat: 322,
        ioprio_set: 251,
        memfd_create: 319,
        pidfd_open: 434,
        pidfd_send_signal: 424,
        renameat2: 316,
        rt_sigprocmask: 14,
      };

const errnoAddress = libc.__errno_location(); // Stable for the main thread.
assert(errnoAddress, "the C library tells where errno is");

/**
 * errno of the call just made. Call it in the very next statement, and only when the call failed.
 */
export const lastErrno = (): number => read.i32(errnoAddress, 0);

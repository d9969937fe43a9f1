// Replacing the program of this process: same pid, same descriptors where they are kept.
//
// process.execve of the runtime is of no use here: it marks every descriptor close-on-exec first.
// What an exec keeps: descriptors without FD_CLOEXEC, the signal mask, ignored signals, cwd, umask,
// limits, nice and file locks. What it ends: every mapping and thread, and the name set by prctl.
// The runtime marks the inherited descriptors from 4 up as close-on-exec when it starts, so each
// generation clears the flag anew.
//
// A failed exec returns, and the old program goes on: set the flags again and report it.

import { assert, RefusedError } from "../base/index.ts";
import { cPath, pointer, reserve } from "./arena.ts";
import { systemError } from "./errno.ts";
import type { Fd } from "./file.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";
import { storeStrings, stringsBytes } from "./memory-words.ts";

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC_MASK = 1;
const AT_EMPTY_PATH = 0x1000;

/**
 * A quarter of the usual 8 MiB stack: what the kernel takes of arguments and environment together.
 */
const ARGUMENTS_BYTES_MAX = 2 * 1024 * 1024;

const empty = reserve(1); // "", the path for execveat of a descriptor.
const strings = reserve(ARGUMENTS_BYTES_MAX);

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables by which anyone could make the runtime in this binary run other code than ours. */
const RUNTIME_VARIABLE = /^(BUN|NODE)_/;

/** The environment without the variables that steer the runtime. Give no other to an exec. */
export function cleanEnvironment(environment: Environment): Record<string, string> {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && !RUNTIME_VARIABLE.test(name)) clean[name] = value;
  }
  return clean;
}

/** Whether an exec closes the descriptor. */
export function isClosedOnExec(fd: Fd): boolean {
  return (descriptorFlags(fd) & FD_CLOEXEC_MASK) !== 0;
}

/** Lets the descriptor pass through the next exec. */
export const keepOnExec = (fd: Fd): void =>
  setDescriptorFlags(fd, descriptorFlags(fd) & ~FD_CLOEXEC_MASK);

/** Closes the descriptor at the next exec. */
export const closeOnExec = (fd: Fd): void =>
  setDescriptorFlags(fd, descriptorFlags(fd) | FD_CLOEXEC_MASK);

export interface Program {
  /** argv[0] first; it need not be the path. */
  readonly argv: readonly string[];
  readonly environment: Record<string, string>;
}

/** Runs the program at `path` in place of this one. Returns only by throwing SystemError. */
export function replaceProgram(path: string, program: Program): never {
  const [argv, envp] = storeProgram(path, program);
  libc.execve(cPath(path), pointer(argv), pointer(envp));
  const errno = lastErrno();
  throw systemError(`Cannot execute "${path}"`, { call: "execve", errno, object: `"${path}"` });
}

/** The same for the very file that is open: what was checksummed is what runs. */
export function replaceProgramByFd(fd: Fd, program: Program): never {
  const [argv, envp] = storeProgram(fd.name, program);
  libc.syscall(SYSCALL.execveat, fd.number, empty.address, argv, envp, AT_EMPTY_PATH, 0);
  const errno = lastErrno();
  throw systemError(`Cannot execute "${fd.name}"`, { call: "execveat", errno, object: fd.name });
}

/** Stores argv and envp; returns their addresses. */
function storeProgram(name: string, { argv, environment }: Program): [number, number] {
  assert(argv.length > 0, "a program has at least argv[0]");
  const variables = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
  const bytes = Math.ceil(stringsBytes(argv) / 8) * 8 + stringsBytes(variables);
  if (bytes > ARGUMENTS_BYTES_MAX) {
    const wanted = `wanted at most ${ARGUMENTS_BYTES_MAX} bytes of arguments and environment`;
    throw new RefusedError(`Cannot execute "${name}": ${wanted}, found ${bytes}`);
  }
  const environmentAt = storeStrings(strings, 0, argv);
  storeStrings(strings, environmentAt, variables);
  return [strings.address, strings.address + environmentAt];
}

function descriptorFlags(fd: Fd): number {
  const flags = libc.fcntl(fd.number, F_GETFD, 0);
  const errno = flags === -1 ? lastErrno() : 0;
  if (flags !== -1) return flags;
  throw systemError(`Cannot use ${fd.name}`, { call: "fcntl", errno, object: fd.name });
}

function setDescriptorFlags(fd: Fd, flags: number): void {
  const result = libc.fcntl(fd.number, F_SETFD, flags);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === -1) {
    throw systemError(`Cannot use ${fd.name}`, { call: "fcntl", errno, object: fd.name });
  }
}

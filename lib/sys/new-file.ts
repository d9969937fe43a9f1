// A file that appears whole or not at all.
//
// It is written without a name (O_TMPFILE): whatever ends the process, SIGKILL and power failure
// included, the kernel takes it away. Its states:
//
//   unnamed     commit() syncs it and gives it its name, in one step for a name that must be new;
//               to replace a file, under a temporary name first and then by rename, a moment in
//               which signals wait
//   temporary   where the file system has no unnamed files (NFS, FAT): it has a temporary name
//               beside the target, made with O_EXCL. A small watching process removes it should
//               this process die
//   committed   it stands under its name, and the directory is synced too
//   discarded   gone; what stood under the name stands there untouched

import type { Pointer } from "bun:ffi";
import { randomBytes } from "node:crypto";
import { fchmodSync, fchownSync, lstatSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { assert, RefusedError, SystemError } from "../base/index.ts";
import { cPath, pointer, reserve } from "./arena.ts";
import { EEXIST, EINVAL, EISDIR, EMLINK, ENOENT, ENOSYS, EOPNOTSUPP, EPERM } from "./errno.ts";
import { Fd, openForReading, openForWriting, statOf } from "./file.ts";
import { type Guard, startGuard } from "./guard.ts";
import { lastErrno, libc, SYSCALL } from "./libc.ts";
import { withoutSignals } from "./signals.ts";
import { syncFile, writeError } from "./write.ts";

const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_CLOEXEC = 0o2000000;
/** __O_TMPFILE | O_DIRECTORY, which has another number on arm64. */
const O_TMPFILE = 0o20000000 | (process.arch === "arm64" ? 0o40000 : 0o200000);
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const RENAME_NOREPLACE = 1;
/** Less the umask, as any program makes a file. */
const MODE = 0o666;
const MODE_BITS_MASK = 0o7777;
const NAME_BYTES_MAX = 200;

/** linkat and rename take two paths; cPath() has room for one. */
const otherPath = reserve(4096);

/** What is to happen to a file that stands there already. */
export type Existing = "replace" | "refuse";

/** A file by what it is, not by its name. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

export interface NewFileOptions {
  readonly path: string;
  readonly existing: Existing;
  /** What is read meanwhile: writing over one of these is refused. */
  readonly inputs: readonly FileIdentity[];
}

interface Target {
  /** As the caller named it, for messages. */
  readonly name: string;
  readonly path: string;
  readonly directory: string;
  /** The file there now. */
  readonly stats: Stats | undefined;
}

/** Begins a file at `path`. Throws SystemError or RefusedError before anything has changed. */
export function createNewFile(options: NewFileOptions): NewFile {
  const target = checkTarget(options);
  const fd = openUnnamed(target);
  if (fd === undefined) return createNamedFile(options);
  return new NewFile({ fd, target, existing: options.existing, temporary: undefined });
}

/** The same, with a temporary name from the start: for file systems without unnamed files. */
export function createNamedFile(options: NewFileOptions): NewFile {
  const target = checkTarget(options);
  const path = temporaryName(target);
  const number = libc.open(cPath(path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
  const errno = number === -1 ? lastErrno() : 0;
  if (number === -1) throw writeError(target.name, { call: "open", errno, object: `"${path}"` });
  const fd = new Fd(number, target.name);
  const temporary = { path, guard: startGuard(path) };
  return new NewFile({ fd, target, existing: options.existing, temporary });
}

export class NewFile implements Disposable {
  /** To write to, and to read back. */
  readonly fd: Fd;
  private readonly target: Target;
  private readonly existing: Existing;
  private temporary: Temporary | undefined;
  private isOpen = true;

  constructor(parts: {
    readonly fd: Fd;
    readonly target: Target;
    readonly existing: Existing;
    readonly temporary: Temporary | undefined;
  }) {
    this.fd = parts.fd;
    this.target = parts.target;
    this.existing = parts.existing;
    this.temporary = parts.temporary;
    keepOwnership(this.fd, this.target.stats);
  }

  /** Syncs the file and puts it in its place. When this returns, it is there for good. */
  commit(): void {
    assert(this.isOpen, "a file is committed once");
    syncFile(this.fd);
    if (this.existing === "refuse") this.nameNew();
    else this.replace();
    this.close();
    using directory = openForReading(this.target.directory);
    syncFile(directory);
  }

  private nameNew(): void {
    const { fd, target, temporary } = this;
    if (temporary === undefined) return link(descriptorPath(fd), target.path, target);
    renameNew(temporary.path, target);
    this.temporary = undefined;
    temporary.guard?.dismiss();
  }

  private replace(): void {
    const { fd, target, temporary } = this;
    if (temporary !== undefined) {
      rename(temporary.path, target);
      this.temporary = undefined;
      temporary.guard?.dismiss();
      return;
    }
    const between = temporaryName(target);
    withoutSignals(() => {
      link(descriptorPath(fd), between, target);
      try {
        rename(between, target);
      } catch (error) {
        libc.unlink(cPath(between));
        throw error;
      }
    });
  }

  private close(): void {
    this.isOpen = false;
    this.fd[Symbol.dispose]();
  }

  /** Removes what was not committed. */
  [Symbol.dispose](): void {
    if (!this.isOpen) return;
    this.close();
    if (this.temporary === undefined) return;
    libc.unlink(cPath(this.temporary.path));
    this.temporary.guard?.dismiss();
  }
}

// ---- Before: may it be written at all? --------------------------------------------------------

function checkTarget({ path, existing, inputs }: NewFileOptions): Target {
  const target = resolveTarget(path);
  const { stats } = target;
  if (stats === undefined) return target;
  if (stats.isDirectory()) throw failedToOpen(path, EISDIR);
  if (inputs.some(({ dev, ino }) => dev === stats.dev && ino === stats.ino)) {
    throw new RefusedError(`Cannot write "${path}": it is the input`);
  }
  if (existing === "refuse") throw alreadyThere(path);
  if (!stats.isFile()) throw new RefusedError(`Cannot write "${path}": it is not a regular file`);
  // A rename would replace a file that may not be written: its own mode decides, as for any writer.
  try {
    openForWriting(target.path)[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw writeError(path, error.failure);
  }
  return target;
}

/** Follows links, so that the file behind a link is replaced and not the link. */
function resolveTarget(name: string): Target {
  try {
    const stats = statSync(name, { throwIfNoEntry: false });
    if (stats !== undefined) {
      const path = realpathSync(name);
      return { name, path, directory: dirname(path), stats };
    }
    if (lstatSync(name, { throwIfNoEntry: false }) !== undefined) {
      throw new RefusedError(`Cannot write "${name}": it is a link to nothing`);
    }
    const directory = realpathSync(dirname(name));
    if (name === "" || name.endsWith("/")) throw failedToOpen(name, ENOENT);
    return { name, path: join(directory, basename(name)), directory, stats };
  } catch (error) {
    const errno = error instanceof Error && "errno" in error ? error.errno : undefined;
    throw typeof errno === "number" ? failedToOpen(name, -errno) : error;
  }
}

const failedToOpen = (name: string, errno: number): SystemError =>
  writeError(name, { call: "open", errno, object: `"${name}"` });

const alreadyThere = (name: string) =>
  new RefusedError(`Cannot write "${name}": there is a file of that name already`);

const temporaryName = ({ path, directory }: Target): string => {
  const name = Buffer.from(basename(path)).subarray(0, NAME_BYTES_MAX).toString("utf8");
  return join(directory, `.${name}.${randomBytes(6).toString("hex")}.tmp`);
};

/** undefined where unnamed files, or giving them a name, are not to be had. */
function openUnnamed(target: Target): Fd | undefined {
  const number = libc.open(cPath(target.directory), O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
  const errno = number === -1 ? lastErrno() : 0;
  if (errno === EOPNOTSUPP || errno === EISDIR || errno === ENOENT || errno === EINVAL) {
    return undefined;
  }
  if (number === -1) {
    const object = `"${target.directory}"`;
    throw writeError(target.name, { call: "open", errno, object });
  }
  const fd = new Fd(number, target.name);
  if (lstatSync(descriptorPath(fd), { throwIfNoEntry: false }) !== undefined) return fd;
  fd[Symbol.dispose](); // Without /proc it could never get its name.
  return undefined;
}

const descriptorPath = (fd: Fd): string => `/proc/self/fd/${fd.number}`;

/** The new file belongs to whom the old one belonged, as if it had been written in place. */
function keepOwnership(fd: Fd, old: Stats | undefined): void {
  if (old === undefined) return;
  const own = statOf(fd.number);
  try {
    if (own.uid !== old.uid || own.gid !== old.gid) fchownSync(fd.number, old.uid, old.gid);
    fchmodSync(fd.number, old.mode & MODE_BITS_MASK);
  } catch (error) {
    // Only root can give files away, and some file systems know no owners: the contents count.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "EPERM" && code !== "EINVAL" && code !== "ENOTSUP") throw error;
  }
}

// ---- Afterwards: the name ---------------------------------------------------------------------

function storePath(path: string): Pointer {
  const { written } = new TextEncoder().encodeInto(path, otherPath.bytes.subarray(0, -1));
  otherPath.bytes[written] = 0;
  return pointer(otherPath.address);
}

/** Gives what stands under `from` the name `to`, which must be free. */
function link(from: string, to: string, target: Target): void {
  const source = storePath(from);
  const result = libc.linkat(AT_FDCWD, source, AT_FDCWD, cPath(to), AT_SYMLINK_FOLLOW);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  if (errno === EEXIST) throw alreadyThere(target.name);
  throw writeError(target.name, { call: "linkat", errno, object: `"${to}"` });
}

/** Moves `from` to a name that must be free. */
function renameNew(from: string, target: Target): void {
  const call = SYSCALL.renameat2;
  const to = cPath(target.path);
  const here = 2 ** 32 + AT_FDCWD; // As an unsigned number: the kernel takes its lower 32 bits.
  const result = libc.syscall(call, here, storePath(from), here, to, RENAME_NOREPLACE, 0);
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  if (errno === EEXIST) throw alreadyThere(target.name);
  if (![EINVAL, ENOSYS, EPERM, EMLINK].includes(errno)) {
    throw writeError(target.name, { call: "renameat2", errno, object: `"${target.path}"` });
  }
  link(from, target.path, target); // NFS has links but no such rename.
  libc.unlink(cPath(from));
}

function rename(from: string, target: Target): void {
  const result = libc.rename(storePath(from), cPath(target.path));
  const errno = result === -1 ? lastErrno() : 0;
  if (result === 0) return;
  throw writeError(target.name, { call: "rename", errno, object: `"${target.path}"` });
}

interface Temporary {
  readonly path: string;
  readonly guard: Guard | undefined;
}

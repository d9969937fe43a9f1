// Folders: one that appears whole or not at all, and files opened within one that may be hostile.
//
// A new folder is made beside its place under a hidden temporary name, filled, synced, and renamed.
// Should the process die meanwhile, a small watching process removes it.

import { randomBytes } from "node:crypto";
import {
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { assert, RefusedError } from "../base/index.ts";
import { systemError } from "./errno.ts";
import { Fd, kindOf, openForReading, statOf } from "./file.ts";
import { type Guard, startGuard } from "./guard.ts";
import { syncFile, writeError } from "./write.ts";

/** Guest memory and device state are nobody else's business. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const NAME_BYTES_MAX = 200;

/** A name without a path in it: letters, digits, dots, dashes, underscores. */
export const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;

// ---- New -------------------------------------------------------------------------------------

/**
 * Begins a folder at `path`, where nothing may stand but an empty folder. Throws SystemError or
 * RefusedError before anything has changed.
 */
export function createNewFolder(path: string): NewFolder {
  const resolved = withErrno(path, () => resolveTarget(path));
  const name = Buffer.from(basename(resolved)).subarray(0, NAME_BYTES_MAX).toString("utf8");
  const temporary = join(dirname(resolved), `.${name}.${randomBytes(6).toString("hex")}.tmp`);
  withErrno(path, () => mkdirSync(temporary, { mode: FOLDER_MODE }));
  return new NewFolder({ name: path, path: resolved, temporary });
}

interface Places {
  /** As the caller named it, for messages. */
  readonly name: string;
  readonly path: string;
  readonly temporary: string;
}

export class NewFolder implements Disposable {
  private readonly places: Places;
  private readonly guard: Guard | undefined;
  private isOpen = true;

  constructor(places: Places) {
    this.places = places;
    this.guard = startGuard(places.temporary);
  }

  /** Where it is until it is committed. */
  get temporaryPath(): string {
    return this.places.temporary;
  }

  /** A new file in it, to write to and to read back. Sync it before the folder is committed. */
  createFile(name: string): Fd {
    assert(PLAIN_NAME.test(name), "a file in a new folder has a plain name");
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const full = join(this.places.name, name);
    const path = join(this.places.temporary, name);
    const flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    return new Fd(
      withErrno(full, () => openSync(path, flags, FILE_MODE)),
      full,
    );
  }

  /** The folder is there for good. */
  commit(): void {
    assert(this.isOpen, "a folder is committed once");
    const { name, path, temporary } = this.places;
    {
      using directory = openForReading(temporary);
      syncFile(directory);
    }
    withErrno(name, () => renameSync(temporary, path)); // Replaces an empty folder, nothing else.
    this.isOpen = false;
    this.guard?.dismiss();
    using parent = openForReading(dirname(path));
    syncFile(parent);
  }

  /** Removes what was not committed. */
  [Symbol.dispose](): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    rmSync(this.places.temporary, { recursive: true, force: true });
    this.guard?.dismiss();
  }
}

function resolveTarget(path: string): string {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return join(realpathSync(dirname(path)), basename(path));
  if (!stats.isDirectory()) {
    throw new RefusedError(`Cannot write "${path}": wanted a new folder, found a file`);
  }
  if (readdirSync(path).length > 0) {
    throw new RefusedError(
      `Cannot write "${path}": wanted a new folder, found one with files in it`,
    );
  }
  return realpathSync(path);
}

function withErrno<T>(name: string, attempt: () => T): T {
  try {
    return attempt();
  } catch (error) {
    if (!(error instanceof Error && "errno" in error && typeof error.errno === "number"))
      throw error;
    const call = "syscall" in error ? String(error.syscall) : "open";
    throw writeError(name, { call, errno: -error.errno, object: `"${name}"` });
  }
}

// ---- Existing --------------------------------------------------------------------------------

/**
 * Opens a regular file in a folder whose contents nobody vouches for: never through a link, never
 * out of the folder, never a pipe that would block. Throws SystemError or RefusedError.
 */
export function openInFolder(folder: string, name: string): Fd {
  const path = join(folder, name);
  if (!PLAIN_NAME.test(name)) {
    throw new RefusedError(`Cannot read ${JSON.stringify(path)}: wanted a plain file name`);
  }
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let number: number;
  try {
    number = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (!(error instanceof Error && "errno" in error && typeof error.errno === "number"))
      throw error;
    const errno = -error.errno;
    throw systemError(`Cannot open "${path}"`, { call: "open", errno, object: `"${path}"` });
  }
  const fd = new Fd(number, path);
  const kind = kindOf(statOf(number));
  if (kind === "file") return fd;
  fd[Symbol.dispose]();
  throw new RefusedError(`Cannot read "${path}": wanted a regular file, found a ${kind}`);
}

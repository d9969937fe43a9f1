// A folder of checkpoints: for each stream that was received a journal and a page file, and a lock.
//
//   stream-000001.journal   what layout.ts says
//   stream-000001.pages     slots of 4096 bytes
//   lock                    byte 0: whoever writes; byte 1: whoever reads page contents
//
// Other names are nobody's business here. The newest stream's last COMMIT or PRUNE says which
// restore points are kept, of older streams too.

import { mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { RefusedError } from "../base/index.ts";
import {
  Fd,
  isByteLocked,
  lockByte,
  openForReading,
  openOrCreate,
  syncFile,
  systemError,
} from "../sys/index.ts";
import { readFileHeader } from "./journal-reader.ts";

const JOURNAL_NAME = /^stream-([0-9]{6,9})\.journal$/;
const STREAM_MAX = 999_999_999;
const [WRITER_BYTE, READER_BYTE] = [0, 1];
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

export interface StreamFiles {
  readonly stream: number;
  readonly journal: string;
  readonly pages: string;
}

export function filesOf(folder: string, stream: number): StreamFiles {
  const name = `stream-${String(stream).padStart(6, "0")}`;
  return { stream, journal: join(folder, `${name}.journal`), pages: join(folder, `${name}.pages`) };
}

/** The streams in it, oldest first. Throws RefusedError where one is of a newer version. */
export function listStreams(folder: string): StreamFiles[] {
  const numbers = readNames(folder)
    .map((name) => Number(JOURNAL_NAME.exec(name)?.[1] ?? 0))
    .filter((stream) => stream > 0)
    .sort((left, right) => left - right);
  const streams = numbers.map((stream) => filesOf(folder, stream));
  for (const { journal } of streams) {
    using fd = openForReading(journal);
    readFileHeader(fd);
  }
  return streams;
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw fileError(`Cannot use "${folder}"`, folder, error);
  }
}

/** What node:fs throws, in our own class. */
function fileError(attempt: string, object: string, error: unknown): unknown {
  if (!(error instanceof Error && "errno" in error && typeof error.errno === "number")) {
    return error;
  }
  const call = "syscall" in error ? String(error.syscall) : "open";
  return systemError(attempt, { call, errno: -error.errno, object: `"${object}"` });
}

/** Makes the folder where there is none, for its owner alone. */
export function makeFolder(folder: string): void {
  try {
    const stats = statSync(folder, { throwIfNoEntry: false });
    if (stats?.isDirectory() === true) return;
    if (stats !== undefined) {
      throw new RefusedError(`Cannot use "${folder}": wanted a folder, found a file`);
    }
    mkdirSync(folder, { mode: FOLDER_MODE });
  } catch (error) {
    throw fileError(`Cannot make the folder "${folder}"`, folder, error);
  }
  syncFolder(dirname(resolve(folder)));
}

export function syncFolder(folder: string): void {
  using fd = openForReading(folder);
  syncFile(fd);
}

/** A new file, readable and writable by its owner alone. */
export function createFile(path: string): Fd {
  try {
    return new Fd(openSync(path, "wx+", FILE_MODE), path);
  } catch (error) {
    throw fileError(`Cannot make "${path}"`, path, error);
  }
}

/** An existing file, to read and write. */
export function openFile(path: string): Fd {
  try {
    return new Fd(openSync(path, "r+"), path);
  } catch (error) {
    throw fileError(`Cannot open "${path}"`, path, error);
  }
}

export function removeStream({ journal, pages }: StreamFiles): void {
  // First the journal: pages without one are nobody's.
  removeFile(journal);
  removeFile(pages);
}

/** Nothing happens where there is none. */
export function removeFile(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw fileError(`Cannot remove "${path}"`, path, error);
  }
}

export function renameFile(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    throw fileError(`Cannot rename "${from}"`, from, error);
  }
}

/** Page files whose journal has gone, and journals that were being rewritten. */
export function removeStrays(folder: string, streams: readonly StreamFiles[]): void {
  const known = new Set(streams.flatMap(({ journal, pages }) => [journal, pages]));
  for (const name of readNames(folder)) {
    const path = join(folder, name);
    if (!/^stream-[0-9]{6,9}\.(pages|journal\.new)$/.test(name) || known.has(path)) continue;
    removeFile(path);
  }
}

export function nextStream(streams: readonly StreamFiles[]): number {
  const last = streams.at(-1)?.stream ?? 0;
  if (last < STREAM_MAX) return last + 1;
  throw new RefusedError(`Cannot keep another stream: ${last} were kept in this folder already`);
}

// ---- Locks ------------------------------------------------------------------------------------

/** Held as long as somebody writes to the folder. Throws RefusedError where another one does. */
export function lockForWriting(folder: string): Fd {
  const fd = openOrCreate(join(folder, "lock"));
  if (lockByte(fd, WRITER_BYTE, "exclusive")) return fd;
  fd[Symbol.dispose]();
  throw new RefusedError(
    `Cannot write to "${folder}": another agent receives into it, or prunes it`,
  );
}

/** Whether somebody writes to the folder now. */
export function isBeingWritten(folder: string): boolean {
  const fd = lockFile(folder);
  if (fd === undefined) return false;
  using lock = fd;
  return isByteLocked(lock, WRITER_BYTE);
}

/**
 * Held while page contents are read: no slot that a restore point of this moment needs is used
 * again meanwhile. Take it before the journal is read.
 */
export function lockForReading(folder: string): Disposable {
  const fd = lockFile(folder);
  if (fd === undefined) return { [Symbol.dispose]() {} }; // Nobody has ever written here.
  lockByte(fd, READER_BYTE, "shared");
  return fd;
}

/** Whether somebody reads page contents now. */
export const hasReaders = (lock: Fd): boolean => isByteLocked(lock, READER_BYTE);

function lockFile(folder: string): Fd | undefined {
  try {
    const path = join(folder, "lock");
    return new Fd(openSync(path, "r"), path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw fileError(`Cannot open the lock of "${folder}"`, folder, error);
  }
}

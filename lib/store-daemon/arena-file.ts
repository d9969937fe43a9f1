// The store on disk between two programs, where nobody keeps its memory: written when a daemon is
// told to end, taken by the next one that has the same socket path.
//
//   +0           the arena, in whole pages
//   last page    JSON, then zeros: the fields of TrailerSchema
//
// The file is there whole or not at all, for its owner alone. One from before the host's last start
// is of no use: the domains it speaks of are gone.

import { fchmodSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  borrow,
  createGrowingMemory,
  createNewFile,
  type Fd,
  type GrowingMemory,
  openForReading,
  readAt,
  removeName,
  statOf,
  writeFully,
} from "../sys/index.ts";
import { isArena } from "../xenstore/index.ts";

const PAGE_BYTES = 4096;
const OWNER_ONLY = 0o600;
const BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id";
/** What a store may have: see growing-memory.ts. */
const ARENA_BYTES_MAX = 1024 * 1024 * 1024;

const TrailerSchema = v.strictObject({
  kind: v.literal("agent-arena"),
  version: v.literal(1),
  boot_id: v.string(),
  arena_bytes: v.number(),
});

/** Where the store of the daemon with this socket is left. */
export const arenaPath = (socketPath: string): string => `${socketPath}.arena`;

/** Throws RefusedError. */
export function saveArena(path: string, memory: GrowingMemory): void {
  try {
    writeArena(path, memory);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const { message } = error;
    throw new RefusedError(`${message}: the store is lost, the next daemon begins anew`, {
      cause: error,
    });
  }
}

function writeArena(path: string, memory: GrowingMemory): void {
  const bytes = memory.buffer.byteLength;
  const trailer: v.InferOutput<typeof TrailerSchema> = {
    kind: "agent-arena",
    version: 1,
    boot_id: bootId(),
    arena_bytes: bytes,
  };
  const page = Buffer.alloc(PAGE_BYTES);
  page.write(JSON.stringify(trailer));
  using file = createNewFile({ path, existing: "replace", inputs: [] });
  fchmodSync(file.fd.number, OWNER_ONLY);
  writeFully(file.fd, memory.address, bytes);
  writeFully(file.fd, page, PAGE_BYTES);
  file.commit();
}

/**
 * The store that was left there, in memory of its own; undefined: none, or one of before the host
 * was started. Its content is not looked at. Throws SystemError, RefusedError.
 */
export function loadArena(path: string): GrowingMemory | undefined {
  using file = openIfThere(path);
  if (file === undefined) return undefined;
  const { size } = statOf(file.number);
  const bytes = size - PAGE_BYTES;
  const isSane = size % PAGE_BYTES === 0 && bytes >= PAGE_BYTES && bytes <= ARENA_BYTES_MAX;
  if (!isSane) throw unfit(path, `${size} bytes`);
  const trailer = trailerOf(file, bytes);
  if (trailer?.arena_bytes !== bytes) throw unfit(path, `${size} bytes without its last page`);
  if (trailer.boot_id !== bootId()) {
    removeName(path);
    return undefined;
  }
  using undo = new DisposableStack();
  const memory = undo.use(createGrowingMemory("xenstore", bytes));
  if (readAt(file, memory.address, bytes, 0) !== bytes || !isArena(memory)) {
    throw unfit(path, "something else");
  }
  undo.move();
  return memory;
}

/** What to do about a store that cannot be adopted. */
export const damagedFile = (path: string, why: string): RefusedError =>
  new RefusedError(`${why}: "${path}" is damaged, remove it to begin with an empty store`);

const unfit = (path: string, found: string): RefusedError =>
  damagedFile(path, `Cannot adopt the store: wanted one that was left whole, found ${found}`);

function openIfThere(path: string): Fd | undefined {
  try {
    return openForReading(path);
  } catch (error) {
    if (error instanceof SystemError && error.failure.code === "ENOENT") return undefined;
    throw error;
  }
}

function trailerOf(file: Fd, at: number): v.InferOutput<typeof TrailerSchema> | undefined {
  using loan = borrow(PAGE_BYTES);
  const page = loan.region;
  const got = readAt(file, page.address, PAGE_BYTES, at);
  const text = Buffer.from(page.bytes.subarray(0, got)).toString("utf8").replace(/\0+$/, "");
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), TrailerSchema), text);
  return parsed.success ? parsed.output : undefined;
}

const bootId = (): string => readFileSync(BOOT_ID_PATH, "utf8").trim();

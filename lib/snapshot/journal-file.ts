// The journal of a group: a file with three records, each on the disk before the next thing
// happens.
//
//     intent     all names of the group. Without it nothing was done
//     switched   every disk has its snapshot: what is left is finished, never undone
//     done       nothing is left to do. The file is removed right after it
//
// A record is one line: word, length, CRC-32 of the JSON behind it, JSON. A line that is cut short
// or does not match was never written: power failed before the sync returned, and so before
// anything was done that it announces. Who works on the group holds a lock on the file, which dies
// with him.

import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import type { Journal } from "../transition/index.ts";
import { Fd, lockByte } from "../sys/index.ts";
import { systemErrorOf } from "./file-error.ts";
import { CreatePlanSchema, DeletePlanSchema, RevertPlanSchema } from "./group-plan.ts";
import { SnapshotRefusal } from "./refusal.ts";

export const JOURNAL_SUFFIX = ".journal";
const MAGIC = "agent-snapshot-journal";
/** Guest and image names are nobody else's business. */
const [FOLDER_MODE, FILE_MODE] = [0o700, 0o600];
const JOURNAL_BYTES_MAX = 64 * 1024 * 1024;

export const PlanSchema = v.variant("operation", [
  CreatePlanSchema,
  DeletePlanSchema,
  RevertPlanSchema,
]);
export type AnyPlan = v.InferOutput<typeof PlanSchema>;

const RECORDS = ["intent", "switched", "done"] as const;
type RecordKind = (typeof RECORDS)[number];

export interface JournalState {
  readonly path: string;
  /** undefined: the first record is not whole, so nothing was done. */
  readonly plan: AnyPlan | undefined;
  readonly isSwitched: boolean;
  readonly isDone: boolean;
}

/** Owns an open journal and its lock. */
export class JournalFile implements Disposable {
  readonly path: string;
  private readonly fd: Fd;
  constructor(fd: Fd, path: string) {
    [this.fd, this.path] = [fd, path];
  }

  append(kind: RecordKind, value: unknown): void {
    try {
      const line = Buffer.from(recordLine(kind, value));
      for (let done = 0; done < line.byteLength;) {
        done += writeSync(this.fd.number, line, done, line.byteLength - done);
      }
      fsyncSync(this.fd.number);
    } catch (error) {
      throw systemErrorOf(`Cannot write journal "${this.path}"`, "write", this.path, error);
    }
  }

  remove(): void {
    try {
      unlinkSync(this.path);
    } catch (error) {
      throw systemErrorOf(`Cannot remove journal "${this.path}"`, "unlink", this.path, error);
    }
    syncFolder(dirname(this.path));
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

/** The port of lib/transition for one plan: the file appears with its first record. */
export function fileJournal(folder: string, plan: AnyPlan): Journal & Disposable {
  let file: JournalFile | undefined;
  const close = () => {
    file?.[Symbol.dispose]();
    file = undefined;
  };
  return {
    intend() {
      file = createJournal(folder, plan.group);
      try {
        file.append("intent", plan);
        syncFolder(folder);
      } catch (error) {
        file.remove();
        close();
        throw error;
      }
    },
    switched: () => file?.append("switched", {}),
    done(result) {
      file?.append("done", { result });
      file?.remove();
      close();
    },
    [Symbol.dispose]: close,
  };
}

function createJournal(folder: string, group: string): JournalFile {
  const path = join(folder, `${group}${JOURNAL_SUFFIX}`);
  try {
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    return locked(new Fd(openSync(path, flags, FILE_MODE), path), path);
  } catch (error) {
    throw systemErrorOf(`Cannot make journal "${path}"`, "open", path, error);
  }
}

/** Opens one that was left behind. Throws SnapshotRefusal while its owner lives. */
export function openJournal(path: string): JournalFile {
  try {
    return locked(new Fd(openSync(path, constants.O_RDWR | constants.O_APPEND), path), path);
  } catch (error) {
    throw systemErrorOf(`Cannot open journal "${path}"`, "open", path, error);
  }
}

function locked(fd: Fd, path: string): JournalFile {
  if (lockByte(fd, 0, "exclusive")) return new JournalFile(fd, path);
  fd[Symbol.dispose]();
  throw new SnapshotRefusal(`Cannot recover "${path}": another agent works on this group now`);
}

/** Every journal of the folder, oldest name first. */
export function journalsIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith(JOURNAL_SUFFIX));
    return names.toSorted().map((name) => join(folder, name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw systemErrorOf(`Cannot look into "${folder}"`, "readdir", folder, error);
  }
}

export function readJournal(path: string): JournalState {
  try {
    return parseJournal(path, readFileSync(path).subarray(0, JOURNAL_BYTES_MAX));
  } catch (error) {
    throw systemErrorOf(`Cannot read journal "${path}"`, "read", path, error);
  }
}

/** Pure. What stands behind the first line that is not whole does not count. */
export function parseJournal(path: string, bytes: Uint8Array): JournalState {
  const records = new Map<RecordKind, unknown>();
  const lines = Buffer.from(bytes).toString("utf8").split("\n");
  for (const [index, line] of lines.slice(0, -1).entries()) {
    const wanted = RECORDS[index];
    const value = wanted === undefined ? undefined : recordOf(wanted, line);
    if (wanted === undefined || value === undefined) break;
    records.set(wanted, value.content);
  }
  // "done" of a group that was undone comes without "switched".
  const last = lines.length >= 3 ? recordOf("done", lines[1]!) : undefined;
  const plan = records.has("intent") ? v.safeParse(PlanSchema, records.get("intent")) : undefined;
  if (plan?.success === false) {
    const why = plan.issues[0].message;
    throw new SnapshotRefusal(`Cannot use journal "${path}": it was written otherwise: ${why}`);
  }
  return {
    path,
    plan: plan?.output,
    isSwitched: records.has("switched"),
    isDone: records.has("done") || (records.has("intent") && last !== undefined),
  };
}

function recordLine(kind: RecordKind, value: unknown): string {
  const json = JSON.stringify(value);
  const bytes = Buffer.from(json);
  return `${MAGIC} ${kind} ${bytes.byteLength} ${crc(bytes)} ${json}\n`;
}

function recordOf(kind: RecordKind, line: string): { readonly content: unknown } | undefined {
  const [, magic, word, length, checksum, json = ""] =
    /^(\S+) (\S+) (\d+) ([0-9a-f]{8}) (.*)$/s.exec(line) ?? [];
  const bytes = Buffer.from(json);
  const isWhole = Number(length) === bytes.byteLength && checksum === crc(bytes);
  if (magic !== MAGIC || word !== kind || !isWhole) return undefined;
  return { content: JSON.parse(json) as unknown };
}

const crc = (bytes: Uint8Array): string => Bun.hash.crc32(bytes).toString(16).padStart(8, "0");

function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

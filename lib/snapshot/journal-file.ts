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
//
// Behind the first record there is room for the others, NUL bytes that are on the disk with it. A
// record that takes the place of such bytes changes nothing but them, so that syncing it commits
// nothing of the file system's own: writers of the guest's images would have to wait for that.

import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
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
/** For the two records behind the first. */
const ROOM_BYTES = 512;

export const PlanSchema = v.variant("operation", [
  CreatePlanSchema,
  DeletePlanSchema,
  RevertPlanSchema,
]);
export type AnyPlan = v.InferOutput<typeof PlanSchema>;

type RecordKind = "intent" | "switched" | "done";
/** What may follow. */
const NEXT = {
  nothing: ["intent"],
  intent: ["switched", "done"],
  switched: ["done"],
  done: [],
} as const satisfies { readonly [Kind in RecordKind | "nothing"]: readonly RecordKind[] };

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
  /** Of the records that are whole. */
  private end: number;

  constructor(fd: Fd, path: string, end: number) {
    [this.fd, this.path, this.end] = [fd, path, end];
  }

  append(kind: RecordKind, value: unknown): void {
    try {
      const line = Buffer.from(recordLine(kind, value));
      const room = Buffer.alloc(kind === "intent" ? ROOM_BYTES : 0);
      const bytes = Buffer.concat([line, room]);
      for (let done = 0; done < bytes.byteLength;) {
        const left = bytes.byteLength - done;
        done += writeSync(this.fd.number, bytes, done, left, this.end + done);
      }
      this.end += line.byteLength;
      fdatasyncSync(this.fd.number);
    } catch (error) {
      throw systemErrorOf(`Cannot write journal "${this.path}"`, "write", this.path, error);
    }
  }

  /** Not synced: where it comes back after a power cut, its last record says that all is done. */
  remove(): void {
    try {
      unlinkSync(this.path);
    } catch (error) {
      throw systemErrorOf(`Cannot remove journal "${this.path}"`, "unlink", this.path, error);
    }
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
    return locked(new Fd(openSync(path, flags, FILE_MODE), path), path, () => 0);
  } catch (error) {
    throw systemErrorOf(`Cannot make journal "${path}"`, "open", path, error);
  }
}

/** Opens one that was left behind. Throws SnapshotRefusal while its owner lives. */
export function openJournal(path: string): JournalFile {
  try {
    const fd = new Fd(openSync(path, constants.O_RDWR), path);
    return locked(fd, path, () => wholeBytes(readFileSync(path)));
  } catch (error) {
    throw systemErrorOf(`Cannot open journal "${path}"`, "open", path, error);
  }
}

function locked(fd: Fd, path: string, endOf: () => number): JournalFile {
  if (lockByte(fd, 0, "exclusive")) return new JournalFile(fd, path, endOf());
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
  const records = new Map(recordsIn(bytes).map(({ kind, content }) => [kind, content]));
  const plan = records.has("intent") ? v.safeParse(PlanSchema, records.get("intent")) : undefined;
  if (plan?.success === false) {
    const why = plan.issues[0].message;
    throw new SnapshotRefusal(`Cannot use journal "${path}": it was written otherwise: ${why}`);
  }
  return {
    path,
    plan: plan?.output,
    isSwitched: records.has("switched"),
    isDone: records.has("done"),
  };
}

interface JournalRecord {
  readonly kind: RecordKind;
  readonly content: unknown;
  /** Where the next one begins. */
  readonly end: number;
}

/** Those that are whole, in their order; "done" of a group that was undone has no "switched". */
function recordsIn(bytes: Uint8Array): JournalRecord[] {
  const found: JournalRecord[] = [];
  const whole = Buffer.from(bytes);
  for (let at = 0; ;) {
    const end = whole.indexOf("\n", at) + 1;
    if (end === 0) return found;
    const line = whole.toString("utf8", at, end - 1);
    const record = recordOf(NEXT[found.at(-1)?.kind ?? "nothing"], line);
    if (record === undefined) return found;
    found.push({ ...record, end });
    at = end;
  }
}

const wholeBytes = (bytes: Uint8Array): number => recordsIn(bytes).at(-1)?.end ?? 0;

function recordLine(kind: RecordKind, value: unknown): string {
  const json = JSON.stringify(value);
  const bytes = Buffer.from(json);
  return `${MAGIC} ${kind} ${bytes.byteLength} ${crc(bytes)} ${json}\n`;
}

function recordOf(
  kinds: readonly RecordKind[],
  line: string,
): Omit<JournalRecord, "end"> | undefined {
  const [, magic, word, length, checksum, json = ""] =
    /^(\S+) (\S+) (\d+) ([0-9a-f]{8}) (.*)$/s.exec(line) ?? [];
  const kind = kinds.find((each) => each === word);
  const bytes = Buffer.from(json);
  const isWhole = Number(length) === bytes.byteLength && checksum === crc(bytes);
  if (magic !== MAGIC || kind === undefined || !isWhole) return undefined;
  return { kind, content: JSON.parse(json) as unknown };
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

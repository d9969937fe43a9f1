// The final file: what the heir gets at the moment of the handover, in one sealed memory file. The
// list of descriptors says which of those it has been sent belong to it, and which open file each
// of them is. An heir that stands by was told all of that in such a file before: then the list has
// what is new, and the keys of what is gone.
//
//   +0    magic "AFIN"         +8    bytes of the head
//   +4    version, 4           +12   bytes of the difference
//   +16   CRC-32 of all of the rest, that of the words before first
//   +20   the head, JSON, then the survivor's difference
//
// The descriptors are many, and everybody waits while they are read: so they are lines of text in
// the head, not a value each.

import * as v from "valibot";
import { RefusedError } from "../base/index.ts";
import {
  borrow,
  createMemfd,
  type Fd,
  readAt,
  SEAL_MASK,
  sealMemfd,
  statOf,
  writeFully,
} from "../sys/index.ts";
import { NO_REPORT } from "./survivor.ts";

const MAGIC = 0x4146494e;
const VERSION = 4;
const SUM_AT = 16;
const HEADER_BYTES = 20;
/** The requests and answers in part of all clients, which have half of that at most. */
const FILE_BYTES_MAX = 1024 * 1024 * 1024;
const STEP_BYTES = 1024 * 1024;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const HeadSchema = v.object({
  /** Key, open file, number in the holder: three lines for each. */
  descriptors: v.string(),
  /** Keys, a line each. */
  gone: v.string(),
  /** How many the shared page has. */
  marks: count,
  kind: v.string(),
  settings: v.string(),
  process_name: v.string(),
  digest: v.string(),
  /** CLOCK_MONOTONIC, when the holder stopped serving. */
  paused_at_ms: v.number(),
  pause_limit_ms: v.number(),
  /** The UpdateReport so far. */
  report: v.object({
    way: v.picklist(["promote", "in_place"]),
    generation: count,
    binary: v.string(),
    sha256: v.nullable(v.string()),
    version: v.nullable(v.string()),
    counts: v.record(v.string(), v.number()),
    phases_ms: v.record(v.string(), v.number()),
    pause_ms: v.object({ predicted: v.nullable(v.number()), measured: v.nullable(v.number()) }),
  }),
});
type WrittenHead = v.InferOutput<typeof HeadSchema>;
export interface FinalHead extends Omit<WrittenHead, "descriptors" | "gone"> {
  readonly descriptors: readonly Descriptor[];
  readonly gone: readonly string[];
}
export type Descriptor = readonly [key: string, file: string, number: number];

export interface Final {
  readonly head: FinalHead;
  readonly difference: Uint8Array;
}

export function writeFinal({ head, difference }: Final): Fd {
  const written: WrittenHead = {
    ...head,
    descriptors: head.descriptors.flat().join("\n"),
    gone: head.gone.join("\n"),
  };
  const headBytes = Buffer.from(JSON.stringify(written));
  const header = Buffer.alloc(HEADER_BYTES);
  [MAGIC, VERSION, headBytes.length, difference.length].forEach((word, index) =>
    header.writeUInt32LE(word, index * 4),
  );
  header.writeUInt32LE(sumOf([header.subarray(0, SUM_AT), headBytes, difference]), SUM_AT);
  const file = createMemfd("agent-final");
  for (const part of [header, headBytes, difference]) writeFully(file, part, part.length);
  sealMemfd(file, SEAL_MASK.all);
  return file;
}

/** Throws RefusedError for a file that is not what writeFinal() makes. */
export function readFinal(file: Fd): Final {
  const { size } = statOf(file.number);
  if (size < HEADER_BYTES || size > FILE_BYTES_MAX) throw unfit(`found ${size} bytes`);
  const bytes = readWhole(file, size);
  const view = new DataView(bytes.buffer);
  const word = (index: number): number => view.getUint32(index * 4, true);
  if (word(0) !== MAGIC || word(1) !== VERSION) throw unfit(`wanted version ${VERSION} of it`);
  const headEnd = HEADER_BYTES + word(2);
  if (headEnd + word(3) !== size) throw unfit(`wanted ${headEnd + word(3)} bytes, found ${size}`);
  const sum = sumOf([bytes.subarray(0, SUM_AT), bytes.subarray(HEADER_BYTES)]);
  if (word(4) !== sum) throw unfit(`its sum is ${word(4)}, that of its bytes ${sum}`);
  const told = Buffer.from(bytes.buffer, HEADER_BYTES, word(2)).toString("utf8");
  try {
    const result = v.safeParse(HeadSchema, JSON.parse(told));
    if (!result.success) throw unfit(result.issues[0].message);
    const { output } = result;
    const head: FinalHead = {
      ...output,
      descriptors: descriptorsIn(output.descriptors),
      gone: output.gone === "" ? [] : output.gone.split("\n"),
    };
    return { head, difference: bytes.subarray(headEnd) };
  } catch (error) {
    throw error instanceof SyntaxError ? unfit(error.message) : error;
  }
}

function descriptorsIn(text: string): FinalHead["descriptors"] {
  const lines = text === "" ? [] : text.split("\n");
  const found: [string, string, number][] = [];
  for (let at = 0; at < lines.length; at += LINES) {
    const [key, file, number] = lines.slice(at, at + LINES);
    if (file === undefined || number === undefined || !/^\d+$/.test(number)) {
      throw unfit(`it names descriptor ${at / LINES} otherwise`);
    }
    found.push([key!, file, Number(number)]); // There is a line at `at`.
  }
  return found;
}
/** For each descriptor. */
const LINES = 3;

const sumOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((sum, part) => Bun.hash.crc32(part, sum), 0);

const PRACTICE_DESCRIPTORS = 100;
const PRACTICE_ROUNDS = 40;

/** Writes and reads one that nobody needs: done often, it is done quickly when everybody waits. */
export function practiseFinal(kind: string): void {
  const descriptors = Array.from(
    { length: PRACTICE_DESCRIPTORS },
    (_, index): [string, string, number] => [`practice ${index}`, `0:${index}`, index],
  );
  const report = structuredClone(NO_REPORT) as FinalHead["report"];
  const texts = { kind, settings: "", process_name: "", digest: "" };
  const lists = { descriptors, gone: [], marks: PRACTICE_DESCRIPTORS };
  const head: FinalHead = { ...lists, ...texts, paused_at_ms: 0, pause_limit_ms: 0, report };
  for (let round = 0; round < PRACTICE_ROUNDS; round++) {
    using file = writeFinal({ head, difference: new Uint8Array(0) });
    readFinal(file);
  }
}

function readWhole(file: Fd, size: number): Uint8Array {
  const whole = new Uint8Array(size);
  using loan = borrow(STEP_BYTES);
  for (let at = 0; at < size;) {
    const got = readAt(file, loan.region.address, Math.min(STEP_BYTES, size - at), at);
    if (got === 0) throw unfit("it is cut short");
    whole.set(loan.region.bytes.subarray(0, got), at);
    at += got;
  }
  return whole;
}

const unfit = (why: string): RefusedError =>
  new RefusedError(`Cannot use the state that was handed over: ${why}`);

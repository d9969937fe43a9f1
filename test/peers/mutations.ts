// Seeded damage to a stream that is a list of records: one or two things are done to it, and a text
// says which.

import { LIBXC } from "../../lib/stream/libxc/index.ts";
import { encode, type PlanRecord, type StreamPlan } from "../helpers/stream-plan.ts";

export type Random = (limit: number) => number;

export interface Mutated {
  readonly bytes: Uint8Array;
  /** What was done: "PAGE_DATA #7: bit 3 of byte 5 flipped". */
  readonly done: string;
}

const TYPES: readonly number[] = [
  ...Array.from({ length: 0x14 }, (_, type) => type),
  0x7fff_ffff,
  0x8000_0000,
  0x8000_0001,
  0xffff_ffff,
];
/** Flips and pfn entries stay in the part of a body that says something: not in page contents. */
const TELLING_BYTES = 64;

/** Changes `plan` itself, which nobody else may hold; gives its bytes. */
export function mutate(plan: StreamPlan, random: Random): Mutated {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const done: string[] = [];
  for (let left = 1 + Number(random(5) === 0); left > 0; left--) {
    const index = random(plan.records.length);
    const record = plan.records[index]!;
    const what = pick(EDITS)(plan, { record, index, random });
    if (what !== undefined) done.push(`${record.name} #${index}: ${what}`);
  }
  let { bytes } = encode(plan);
  if (random(8) === 0) {
    const length = random(bytes.byteLength);
    bytes = bytes.subarray(0, length);
    done.push(`cut to ${length} bytes`);
  }
  return { bytes, done: done.join("; ") };
}

interface At {
  readonly record: PlanRecord;
  readonly index: number;
  readonly random: Random;
}
/** Tells what it did; undefined where it does not apply. */
type Edit = (plan: StreamPlan, at: At) => string | undefined;

const flipBit: Edit = (_, { record, random }) => {
  if (record.body.byteLength === 0) return undefined;
  const at = random(Math.min(record.body.byteLength, TELLING_BYTES));
  const bit = random(8);
  record.body = record.body.slice(); // Others may share it.
  record.body[at]! ^= 1 << bit;
  return `bit ${bit} of byte ${at} flipped`;
};

const setType: Edit = (_, { record, random }) => {
  if (record.framing !== "record") return undefined;
  record.type = TYPES[random(TYPES.length)]!;
  return `type 0x${record.type.toString(16)}`;
};

const claimLength: Edit = (_, { record, random }) => {
  if (record.framing !== "record") return undefined;
  const { byteLength } = record.body;
  const lengths = [0, 1, 4, 7, 8, 9, byteLength + 1, byteLength + 8, byteLength + 4096];
  const large = [0x0800_0000, 0x0800_0001, 0x1000_0000];
  const choices = [...lengths, Math.max(0, byteLength - 1), Math.max(0, byteLength - 8), ...large];
  record.length = choices[random(choices.length)]!;
  return `length ${record.length} claimed of ${byteLength}`;
};

const resize: Edit = (_, { record, random }) => {
  const { byteLength } = record.body;
  const sizes = [0, 1, 4, 8, byteLength + 1, byteLength + 8, byteLength + 16, byteLength - 8];
  const size = Math.max(0, sizes[random(sizes.length)]!);
  const body = new Uint8Array(size);
  body.set(record.body.subarray(0, size));
  record.body = body;
  return `${size} bytes instead of ${byteLength}`;
};

const dirtyPadding: Edit = (_, { record, random }) => {
  const padBytes = (8 - (record.body.byteLength % 8)) % 8;
  if (record.framing !== "record" || padBytes === 0) return undefined;
  record.padding = new Uint8Array(padBytes);
  record.padding[random(padBytes)] = 1 + random(255);
  return "padding set";
};

const drop: Edit = (plan, { index }) => {
  plan.records.splice(index, 1);
  return "dropped";
};

const double: Edit = (plan, { record, index }) => {
  plan.records.splice(index, 0, { ...record, body: record.body.slice() });
  return "doubled";
};

const move: Edit = (plan, { record, index, random }) => {
  plan.records.splice(index, 1);
  const to = random(plan.records.length + 1);
  plan.records.splice(to, 0, record);
  return `moved to ${to}`;
};

const insert: Edit = (plan, { index, random }) => {
  const type = TYPES[random(TYPES.length)]!;
  const body = new Uint8Array([0, 0, 4, 8, 16, 24, 13][random(7)]!);
  const record: PlanRecord = {
    layer: "libxc",
    name: "inserted",
    framing: "record",
    type,
    body,
    length: undefined,
    padding: undefined,
  };
  plan.records.splice(index, 0, record);
  return `a record of type 0x${type.toString(16)} and ${body.byteLength} bytes put before it`;
};

/** Type, reserved bits or pfn of one entry of a batch. */
const changePfn: Edit = (plan, { random }) => {
  const batches = plan.records.filter(
    ({ name, body }) => name === LIBXC.pageData.name && body.byteLength >= 16,
  );
  const batch = batches[random(Math.max(1, batches.length))];
  if (batch === undefined) return undefined;
  batch.body = batch.body.slice();
  const { body } = batch;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const entries = Math.min(view.getUint32(0, true), Math.floor((body.byteLength - 8) / 8));
  if (entries === 0) return undefined;
  const at = 8 + random(entries) * 8 + 4;
  const [bit, high] = [random(32), view.getUint32(at, true)];
  view.setUint32(at, (high ^ (1 << bit)) >>> 0, true);
  return `instead, bit ${bit + 32} of the entry at ${at} of a batch flipped`;
};

/** What is likely to show a difference stands here more than once. */
const EDITS: readonly Edit[] = [
  flipBit,
  flipBit,
  flipBit,
  flipBit,
  setType,
  claimLength,
  resize,
  dirtyPadding,
  drop,
  double,
  move,
  insert,
  changePfn,
  changePfn,
];

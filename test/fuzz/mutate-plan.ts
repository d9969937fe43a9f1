// Structural damage to a plan: records dropped, doubled, moved and borrowed from other streams,
// lengths that lie, types that change, fields at their edges. Bodies are shared between plans: one
// that changes is copied first.

import { copyOf, type PlanRecord, type StreamPlan } from "../helpers/stream-plan.ts";
import { edgy, onceIn, pick, type Random } from "./random.ts";

/** Records grow no further: what a longer body finds, a shorter one finds too. */
const GROWN_BYTES_MAX = 9000;
const RECORDS_MAX = 80;

type Mutation = (plan: StreamPlan, random: Random, others: readonly StreamPlan[]) => void;

const anyRecord = ({ records }: StreamPlan, random: Random): PlanRecord => pick(random, records);

const drop: Mutation = ({ records }, random) => {
  if (records.length > 1) records.splice(random(records.length), 1);
};

const double: Mutation = ({ records }, random) => {
  if (records.length > RECORDS_MAX) return;
  const at = random(records.length);
  records.splice(at, 0, { ...records[at]! });
};

const move: Mutation = ({ records }, random) => {
  const [record] = records.splice(random(records.length), 1);
  records.splice(random(records.length + 1), 0, record!); // There is always one.
};

const cutTail: Mutation = ({ records }, random) => {
  records.splice(1 + random(records.length));
};

const borrow: Mutation = ({ records }, random, others) => {
  if (records.length > RECORDS_MAX) return;
  const other = pick(random, others).records;
  const from = random(other.length);
  const taken = other.slice(from, from + 1 + random(4)).map((record) => ({ ...record }));
  records.splice(random(records.length + 1), random(2), ...taken);
};

const retype: Mutation = (plan, random) => {
  const record = anyRecord(plan, random);
  if (onceIn(random, 3)) record.type = edgy(random);
  else record.type = onceIn(random, 2) ? random(0x16) : 0x8000_0000 + random(3);
};

const lie: Mutation = (plan, random) => {
  const record = anyRecord(plan, random);
  const { byteLength } = record.body;
  record.length = onceIn(random, 2) ? Math.max(0, byteLength + random(33) - 16) : edgy(random);
};

const resizeBody: Mutation = (plan, random) => {
  const record = anyRecord(plan, random);
  const old = record.body;
  const wanted = onceIn(random, 2) ? random(old.byteLength + 1) : old.byteLength + random(40);
  const body = new Uint8Array(Math.min(wanted, Math.max(old.byteLength, GROWN_BYTES_MAX)));
  body.set(old.subarray(0, body.byteLength));
  record.body = body;
};

const padWithNoise: Mutation = (plan, random) => {
  const record = anyRecord(plan, random);
  record.padding = new Uint8Array(random(9)).fill(random(256));
};

/** Most fields stand in the first words of a body. */
const setWord: Mutation = (plan, random) => {
  const record = anyRecord(plan, random);
  if (record.body.byteLength < 4) return;
  const body = record.body.slice();
  const last = body.byteLength - 4;
  const at = onceIn(random, 4) ? random(last + 1) : Math.min(last, random(10) * 4);
  new DataView(body.buffer).setUint32(at, edgy(random), !onceIn(random, 3));
  record.body = body;
};

const setByte: Mutation = (plan, random) => {
  const record = anyRecord(plan, random);
  if (record.body.byteLength === 0) return;
  const body = record.body.slice();
  body[random(Math.min(body.byteLength, onceIn(random, 3) ? 2 ** 20 : 48))] = random(256);
  record.body = body;
};

/** Type, reserved bits and pfn of one entry of a PAGE_DATA record or a legacy batch. */
const setEntry: Mutation = (plan, random) => {
  const batches = plan.records.filter(({ name }) => name === "PAGE_DATA" || name === "PAGE_BATCH");
  if (batches.length === 0) return;
  const record = pick(random, batches);
  if (record.body.byteLength < 16) return;
  const body = record.body.slice();
  const entries = Math.min(20, Math.floor(body.byteLength / 8) - 1);
  const at = 8 + random(entries) * 8;
  const view = new DataView(body.buffer);
  if (onceIn(random, 2)) view.setUint32(at, onceIn(random, 2) ? random(30) : edgy(random), true);
  else view.setUint32(at + 4, (random(16) << 28) | (onceIn(random, 2) ? 0 : edgy(random)), true);
  record.body = body;
};

const MUTATIONS: readonly Mutation[] = [
  drop,
  double,
  move,
  cutTail,
  borrow,
  retype,
  lie,
  resizeBody,
  padWithNoise,
  setWord,
  setWord,
  setWord,
  setByte,
  setByte,
  setEntry,
  setEntry,
];

/** A damaged copy: mostly one or two changes, so that most of the stream is still reached. */
export function mutatePlan(
  plan: StreamPlan,
  random: Random,
  others: readonly StreamPlan[],
): StreamPlan {
  const copy = copyOf(plan);
  const count = 1 + random(onceIn(random, 4) ? 6 : 2);
  for (let done = 0; done < count; done++) pick(random, MUTATIONS)(copy, random, others);
  return copy;
}

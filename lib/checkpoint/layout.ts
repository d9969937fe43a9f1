// The journal of one received stream, version 1. All numbers are little-endian; every record and
// body begins on a multiple of 8.
//
//   file header       FILE_HEADER
//   records           RECORD_HEADER, body, zeros up to a multiple of 8
//
// A record counts when its checksum is right and its number is the next one; it is durable when a
// COMMIT behind it is. What stands behind the last COMMIT was never reported and counts for
// nothing.
//
//   ITEM       bytes of the stream as they came: headers, config and static data (RAW), a guest's
//              state records (STATE), the device model's records behind a round (TAIL)
//   BATCH      the pfns of one PAGE_DATA record, where their contents stand, and what they replace
//   COMMIT     a checkpoint is complete; makes a restore point
//   PAST       a COMMIT whose restore point was given up: only for the record
//   PRUNE      older restore points are given up
//   FAILOVER   a restore point was handed to a command that runs it
//
// Page contents stand in the page file beside the journal: slots of 4096 bytes, used again when no
// restore point needs what is in them.

import { assert } from "../base/index.ts";
import {
  any,
  exactly,
  type Field,
  offsetOf,
  oneOf,
  reserved,
  sizeOf,
  u32,
  u64,
  u64be,
} from "../bytes/index.ts";

export const JOURNAL_VERSION = 1;
/** "AGNTCKPT" */
export const JOURNAL_MAGIC = 0x41474e54434b5054n;
export const SLOT_BYTES = 4096;

const version: Field<number> = {
  ...exactly(u32, JOURNAL_VERSION),
  expected: `version ${JOURNAL_VERSION}`,
};

export const FILE_HEADER = {
  magic: exactly(u64be, JOURNAL_MAGIC),
  version,
  header_bytes: exactly(u32, 64),
  stream: any(u32, "number of the stream in its folder, from 1"),
  slot_bytes: exactly(u32, SLOT_BYTES),
  created_ms: any(u64, "milliseconds since 1970"),
  reserved_a: reserved(u64),
  reserved_b: reserved(u64),
  reserved_c: reserved(u64),
  reserved_d: reserved(u32),
  checksum: any(u32, "CRC-32 of the bytes before it"),
};
assert(sizeOf(FILE_HEADER) === 64, "the file header is 64 bytes");
export const FILE_HEADER_BYTES = sizeOf(FILE_HEADER);
export const MAGIC_AND_VERSION_BYTES = 12;

export const RECORD_HEADER = {
  kind: any(u32),
  body_bytes: any(u32),
  number: any(u32, "counts up from 1 in its file"),
  checksum: any(u32, "CRC-32 of the twelve bytes before it, the body and its padding"),
};
assert(sizeOf(RECORD_HEADER) === 16, "a record header is 16 bytes");
export const RECORD_HEADER_BYTES = sizeOf(RECORD_HEADER);
export const CHECKSUM_AT = offsetOf(RECORD_HEADER, "checksum");

export const KIND = { item: 1, batch: 2, commit: 3, prune: 4, failover: 5, past: 6 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

// ---- Bodies -----------------------------------------------------------------------------------

export const ITEM_KIND = { raw: 0, state: 1, tail: 2 } as const;
export const ITEM_HEAD = {
  item: oneOf(u32, Object.values(ITEM_KIND)),
  /** Checkpoints of the stream, from 1: the round that the item belongs to. */
  round: any(u32),
  /** 1 where the item goes on in the next record. */
  continues: oneOf(u32, [0, 1]),
  type: any(u32, "type of a state record in its stream"),
  vcpu: any(u32, "of a state record; 0 for what a guest has once"),
  reserved: reserved(u32),
};
export const ITEM_HEAD_BYTES = sizeOf(ITEM_HEAD);

/** The record can stand in the restored stream as it is, if all of its entries still count. */
export const BATCH_INTACT_MASK = 1 << 0;
/** It had more entries than libxc's saver puts into one record. */
export const BATCH_LARGE_MASK = 1 << 1;

/** Followed by u64 entry[entries], u32 slot[contents], u32 check[contents], u32 slot[replaced]. */
export const BATCH_HEAD = {
  round: any(u32),
  flags: any(u32),
  entries: any(u32, "pfns with their types, as in the stream"),
  contents: any(u32, "of those with contents: a slot, and the CRC-32 of the page"),
  replaced: any(u32, "slots of older rounds that nobody needs behind this round"),
  head_reserved: any(u32, "the reserved field of the record's head"),
};
export const BATCH_HEAD_BYTES = sizeOf(BATCH_HEAD);
assert(BATCH_HEAD_BYTES % 8 === 0, "entries of a batch begin on a multiple of 8");

export const COMMIT = {
  number: any(u32, "of the restore point, unique in its folder"),
  round: any(u32, "of the checkpoint in its stream, from 1"),
  oldest: any(u32, "number of the oldest restore point that is kept from now on"),
  slots: any(u32, "size of the page file in slots"),
  entries: any(u32, "page entries of the round"),
  contents: any(u32, "of those with contents"),
  pfns: any(u32, "distinct pfns up to here"),
  boot: any(u32, "CRC-32 of the boot's id"),
  round_bytes: any(u64, "bytes of stream in the round"),
  end_offset: any(u64, "offset in the stream behind its CHECKPOINT_END"),
  committed_ms: any(u64, "milliseconds since 1970"),
  monotonic_ms: any(u64, "the same moment on the clock of that boot"),
  interval_ms: any(u32, "since the round before began; 0 for the first"),
  arrival_ms: any(u32, "from the round's first byte to its last"),
  sync_ms: any(u32, "until its pages were on the disk"),
  lag_bytes: any(u32, "bytes that waited meanwhile, received but not read"),
};
assert(sizeOf(COMMIT) === 80, "a COMMIT is 80 bytes");

export const PRUNE = { oldest: any(u32), reserved: reserved(u32), at_ms: any(u64) };

export const FAILOVER_STATE = { begun: 1, done: 2, failed: 3 } as const;
export const FAILOVER = {
  number: any(u32, "of the restore point"),
  state: oneOf(u32, Object.values(FAILOVER_STATE)),
  at_ms: any(u64),
};

// ---- Limits -----------------------------------------------------------------------------------

/** libxc's saver writes 1024 (MAX_BATCH_SIZE); a walk hands over so many at once. */
export const BATCH_ENTRIES_MAX = 16384;
/** Of commits whose restore points were given up so many are remembered. */
export const PAST_COMMITS_MAX = 1000;
/** Longer items go on in further records. */
export const ITEM_PART_BYTES = 256 * 1024;

export const batchBytes = (entries: number, contents: number, replaced: number): number =>
  BATCH_HEAD_BYTES + entries * 8 + contents * 8 + replaced * 4;

export const BODY_BYTES_MAX = Math.max(
  batchBytes(BATCH_ENTRIES_MAX, BATCH_ENTRIES_MAX, BATCH_ENTRIES_MAX),
  ITEM_HEAD_BYTES + ITEM_PART_BYTES,
);

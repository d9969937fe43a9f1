// The libxl migration stream, version 2 (docs/specs/libxl-migration-stream): a 16-byte big-endian
// header, then records: u32 type, u32 body_length, body, zero padding to 8. LIBXC_CONTEXT has an
// empty body and is followed by a whole libxc stream without a length: only walking it finds the
// next libxl record.

import { assert } from "../../base/index.ts";
import {
  any,
  exactly,
  type Field,
  type Layout,
  oneOf,
  sizeOf,
  u32,
  u32be,
  u64be,
} from "../../bytes/index.ts";

export const BIG_ENDIAN_MASK = 1 << 0;
export const LEGACY_MASK = 1 << 1;
/** "LibxlFmt" */
export const LIBXL_IDENT = 0x4c6962786c466d74n;

/** verify-stream-v2 looks at 16 of the 32 bits only. */
const VERIFIER_OPTIONS_MASK = 0xfffc;

const options: Field<number> = {
  ...u32be,
  expected: "no bits but 0x1 (big-endian) and 0x2 (converted from legacy)",
  severity: "warning", // libxl looks at bit 0 only; the specification reserves the others.
  accepts: (bits) => (bits & ~(BIG_ENDIAN_MASK | LEGACY_MASK)) === 0,
  isStrict: (bits) => (bits & VERIFIER_OPTIONS_MASK) !== 0,
};

export const LIBXL_HEADER = {
  ident: exactly(u64be, LIBXL_IDENT),
  version: exactly(u32be, 2),
  options,
};
assert(sizeOf(LIBXL_HEADER) === 16, "the libxl header is 16 octets in the spec");

export const RECORD_HEADER = { type: any(u32), body_length: any(u32) };
assert(sizeOf(RECORD_HEADER) === 8, "a record header is 8 octets in the spec");

/** libxl has no limit of its own (it allocates what a record claims); this is the libxc one. */
export const LIBXL_RECORD_BYTES_MAX = 128 * 1024 * 1024;

export const EMULATORS: Readonly<Record<number, string>> = {
  0: "Unknown",
  1: "Qemu Traditional",
  2: "Qemu Upstream",
};

const emulatorId: Field<number> = {
  ...oneOf(u32, [0, 1, 2], "warning"), // libxl never looks; the specification names these three.
  expected: "0 (unknown), 1 (qemu-traditional) or 2 (qemu upstream)",
};
export const EMULATOR_HEAD = {
  emulator_id: emulatorId,
  index: any(u32, "emulator index, 0 today"),
};
export const EMULATOR_HEAD_BYTES = sizeOf(EMULATOR_HEAD);

const controlId: Field<number> = {
  ...oneOf(u32, [0, 1, 2, 3]),
  expected: "a control id from 0 to 3",
};
export const CONTROL_IDS = ["NEW", "SVM_SUSPENDED", "SVM_READY", "SVM_RESUMED"] as const;

export interface LibxlRecordLayout {
  readonly type: number;
  readonly name: string;
  /** As verify-stream-v2 prints it. */
  readonly title: string;
  readonly head: Layout;
  /** What may stand behind the head. */
  readonly tail: "none" | "bytes";
  readonly meaning: string;
}

export const LIBXL = {
  end: {
    type: 0,
    name: "END",
    title: "End",
    head: {},
    tail: "none",
    meaning: "end of a plain stream",
  },
  libxcContext: {
    type: 1,
    name: "LIBXC_CONTEXT",
    title: "Libxc context",
    head: {},
    tail: "none",
    meaning: "a libxc stream follows",
  },
  emulatorXenstoreData: {
    type: 2,
    name: "EMULATOR_XENSTORE_DATA",
    title: "Emulator xenstore data",
    head: EMULATOR_HEAD,
    tail: "bytes",
    meaning: "pairs of key NUL value NUL below the device model's xenstore directory; HVM only",
  },
  emulatorContext: {
    type: 3,
    name: "EMULATOR_CONTEXT",
    title: "Emulator context",
    head: EMULATOR_HEAD,
    tail: "bytes",
    meaning: "the device model's saved state; HVM only",
  },
  checkpointEnd: {
    type: 4,
    name: "CHECKPOINT_END",
    title: "Checkpoint end",
    head: {},
    tail: "none",
    meaning: "a checkpoint is complete; libxc records follow",
  },
  checkpointState: {
    type: 5,
    name: "CHECKPOINT_STATE",
    title: "Checkpoint state",
    head: { control_id: controlId },
    tail: "bytes", // The specification draws four more bytes; the code writes none. Both are read.
    meaning: "COLO: one side tells the other how far it is",
  },
} as const satisfies Record<string, LibxlRecordLayout>;

/** CHECKPOINT_STATE bodies: as the code writes them, and as the specification draws them. */
export const CHECKPOINT_STATE_BYTES: readonly number[] = [4, 8];

const BY_TYPE = new Map<number, LibxlRecordLayout>(
  Object.values(LIBXL).map((record) => [record.type, record]),
);
export const libxlRecordOf = (type: number): LibxlRecordLayout | undefined => BY_TYPE.get(type);

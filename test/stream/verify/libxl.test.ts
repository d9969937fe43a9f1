// libxl records, the xl config and the emulator's data: each check, and the exact lines in
// test/golden/verify/libxl.txt.

import { EMULATOR_HEAD, LIBXL } from "../../../lib/stream/libxl/index.ts";
import { CONFIG_HEAD, CONFIG_JSON_MASK, SAVE_HEADER } from "../../../lib/stream/xl/index.ts";
import { type DamageRow, testDamage } from "../../helpers/damage.ts";
import { goldenFile } from "../../helpers/golden.ts";
import {
  checkpointedPlan,
  HVM,
  libxlRecords,
  PV64,
  PVH,
  xlPlan,
} from "../../helpers/stream-builder.ts";
import {
  ascii,
  drop,
  filled,
  insertAfter,
  insertBefore,
  join,
  overwrite,
  planRecord,
  type PlanRecord,
  recordNamed,
  resize,
  setField,
  type StreamPlan,
  words,
} from "../../helpers/stream-plan.ts";
import {
  checkpointState,
  emulatorContext,
  libxlRecord,
  xenstoreData,
} from "../../helpers/stream-records.ts";

const golden = goldenFile("verify/libxl");

const size = (name: string, bytes: number) => (plan: StreamPlan) =>
  resize(recordNamed(plan, name), bytes);
const before = (name: string, record: PlanRecord) => (plan: StreamPlan) =>
  insertBefore(plan, name, record);
const behind = (name: string, record: PlanRecord) => (plan: StreamPlan) =>
  insertAfter(plan, name, record);
const unknown = (type: number) =>
  planRecord({ layer: "libxl", name: "unknown", framing: "record", type }, filled(3, 1));

/** What stands behind the sub-header of the xenstore data. */
const pairs = (text: string) => (plan: StreamPlan) => {
  const record = recordNamed(plan, "EMULATOR_XENSTORE_DATA");
  record.body = join(record.body.slice(0, 8), ascii(text));
};

testDamage("an HVM guest", { golden, base: () => ({ records: libxlRecords(HVM) }) }, [
  ["a type behind the last", before("EMULATOR_CONTEXT", unknown(6))],
  ["an optional type, which libxl does not know", before("EMULATOR_CONTEXT", unknown(0x8000_0000))],
  ["LIBXC_CONTEXT with a body", size("LIBXC_CONTEXT", 8)],
  ["an emulator context before LIBXC_CONTEXT", before("LIBXC_CONTEXT", emulatorContext())],
  ["an emulator context of half a sub-header", size("EMULATOR_CONTEXT", 4)],
  ["an emulator context of a sub-header alone", size("EMULATOR_CONTEXT", 8)],
  ["two emulator contexts", behind("EMULATOR_CONTEXT", emulatorContext())],
  [
    "an emulator that nobody knows",
    (plan) =>
      setField(recordNamed(plan, "EMULATOR_CONTEXT"), EMULATOR_HEAD, {
        field: "emulator_id",
        value: 3,
      }),
  ],
  [
    "a QEMU state with another magic",
    (plan) => overwrite(recordNamed(plan, "EMULATOR_CONTEXT"), 8, ascii("QEVN")),
  ],
  ["a QEMU state without its end", size("EMULATOR_CONTEXT", 100)],
  ["xenstore data of half a sub-header", size("EMULATOR_XENSTORE_DATA", 7)],
  ["xenstore data of a sub-header alone is free", size("EMULATOR_XENSTORE_DATA", 8)],
  ["xenstore data of over 1 MiB", size("EMULATOR_XENSTORE_DATA", 2 ** 20 + 1)],
  ["a key without a NUL", pairs("a")],
  ["a value without a NUL", pairs("a\0b")],
  ["a key without a value", pairs("a\0b\0c\0")],
  ["an empty value is free", pairs("a\0\0")],
  ["an empty key", pairs("a\0b\0\0c\0")],
  ["an absolute key", pairs("a\0b\0/c\u0001\0d\0")],
  ["CHECKPOINT_STATE in a plain stream", before("EMULATOR_CONTEXT", checkpointState(0))],
  [
    "padding that is not zero",
    (plan) => {
      const record = recordNamed(plan, "EMULATOR_CONTEXT");
      const padBytes = 8 - (record.body.byteLength % 8);
      record.padding = filled(padBytes, 0xff);
    },
  ],
]);

testDamage(
  "a guest without an emulator, PV",
  {
    golden,
    base: () => ({ records: libxlRecords(PV64) }),
  },
  [
    ["an emulator context", (plan) => plan.records.splice(-1, 0, emulatorContext())],
    ["xenstore data", (plan) => plan.records.splice(-1, 0, xenstoreData())],
    ["END with a body", (plan) => resize(plan.records.at(-1)!, 8)],
    ["no LIBXC_CONTEXT", (plan) => plan.records.splice(1, plan.records.length - 2)],
  ],
);

testDamage("a guest without an emulator, PVH", { golden, base: () => xlPlan(PVH) }, [
  ["an emulator context", (plan) => plan.records.splice(-1, 0, emulatorContext())],
]);

const SPEC = { checkpoints: 2, isColo: true };
const COLO: readonly DamageRow[] = [
  ["CHECKPOINT_END with a body", size("CHECKPOINT_END", 8)],
  ["CHECKPOINT_STATE of 8 bytes, as it is specified, is free", size("CHECKPOINT_STATE", 8)],
  [
    "CHECKPOINT_STATE of 5 bytes in the records of a checkpoint",
    (plan) => {
      const record = checkpointState(0);
      resize(record, 5);
      insertBefore(plan, "CHECKPOINT_END", record);
    },
  ],
  [
    "CHECKPOINT_STATE of 2 bytes in the records of a checkpoint",
    (plan) => {
      const record = checkpointState(0);
      resize(record, 2);
      insertBefore(plan, "CHECKPOINT_END", record);
    },
  ],
  [
    "a control id that nobody knows",
    (plan) => {
      recordNamed(plan, "CHECKPOINT_STATE").body = words(4, [4]);
    },
  ],
  [
    "the other side's control ids are free",
    (plan) => {
      recordNamed(plan, "CHECKPOINT_STATE").body = words(4, [3]);
    },
  ],
  ["a checkpoint without its emulator context", (plan) => drop(plan, "EMULATOR_CONTEXT")],
  ["two CHECKPOINT_STATE in turn", behind("CHECKPOINT_STATE", checkpointState(0))],
  ["two emulator contexts in a checkpoint", behind("EMULATOR_CONTEXT", emulatorContext())],
];
testDamage("a COLO stream", { golden, base: () => checkpointedPlan(HVM, SPEC) }, COLO);

testDamage(
  "a checkpoint's records in a wrong place",
  {
    golden,
    base: () => checkpointedPlan(PV64, { checkpoints: 1, isColo: false }),
  },
  [
    ["END in a checkpoint", before("CHECKPOINT_END", libxlRecord(LIBXL.end))],
    ["LIBXC_CONTEXT in a checkpoint", before("CHECKPOINT_END", libxlRecord(LIBXL.libxcContext))],
  ],
);
testDamage("a plain stream", { golden, base: () => ({ records: libxlRecords(PV64) }) }, [
  ["CHECKPOINT_END", (plan) => plan.records.splice(-1, 0, libxlRecord(LIBXL.checkpointEnd))],
  [
    "CHECKPOINT_END before LIBXC_CONTEXT",
    before("LIBXC_CONTEXT", libxlRecord(LIBXL.checkpointEnd)),
  ],
  ["two LIBXC_CONTEXT", (plan) => plan.records.splice(-1, 0, libxlRecord(LIBXL.libxcContext))],
  [
    "a body of 128 MiB and a byte",
    (plan) => {
      plan.records.at(-1)!.length = 128 * 2 ** 20 + 1;
    },
  ],
  [
    "a body of 4 GiB",
    (plan) => {
      plan.records.at(-1)!.length = 2 ** 32 - 1;
    },
  ],
]);

// ---- The xl config ----------------------------------------------------------------------------

/** Another config: `bytes` behind the length, which is theirs unless it is given. */
const config =
  (bytes: Uint8Array, length = bytes.byteLength) =>
  (plan: StreamPlan) => {
    const record = recordNamed(plan, "CONFIG");
    record.body = join(words(4, [length]), bytes);
    setField(recordNamed(plan, "save_header"), SAVE_HEADER, {
      field: "optional_data_len",
      value: record.body.byteLength,
    });
  };

testDamage("the xl config", { golden, base: () => xlPlan(PV64) }, [
  [
    "optional data of 3 bytes",
    (plan) => {
      config(filled(0, 0))(plan);
      resize(recordNamed(plan, "CONFIG"), 3);
      setField(recordNamed(plan, "save_header"), SAVE_HEADER, {
        field: "optional_data_len",
        value: 3,
      });
    },
  ],
  [
    "longer than the optional data",
    (plan) =>
      setField(recordNamed(plan, "CONFIG"), CONFIG_HEAD, { field: "config_len", value: 2 ** 31 }),
  ],
  [
    "shorter than the optional data: the rest is nobody's",
    config(ascii('{"c_info":{}}\0rest'), 14),
  ],
  ["without a NUL", config(ascii('{"c_info":{"type":"pv"}}'))],
  ["empty", config(filled(0, 0))],
  ["not JSON", config(ascii("name = 'x'\0"))],
  ["JSON and more", config(ascii("{} {}\0"))],
  ["a word of 100000 letters", config(ascii("a".repeat(100_000)))],
  ["a type that a terminal would act upon", config(ascii('{"c_info":{"type":"\\u001b[2J"}}\0'))],
  ["not UTF-8", config(filled(4, 0xff))],
  ["a NUL alone", config(filled(1, 0))],
  ["JSON of something else", config(ascii("[1,2]\0"))],
  ["without c_info", config(ascii('{"b_info":{}}\0'))],
  ["a c_info that is none", config(ascii('{"c_info":7}\0'))],
  ["a c_info of 100000 letters", config(ascii(`{"c_info":"${"a".repeat(100_000)}"}\0`))],
  ["a name that is none", config(ascii('{"c_info":{"name":{"a":1}}}\0'))],
  ["a type that nobody knows", config(ascii('{"c_info":{"type":"arm"}}\0'))],
  ["deeply nested", config(ascii("[".repeat(500_000)))],
  [
    "said not to be JSON, and so not looked at",
    (plan) => {
      config(ascii("name = 'x'\0"))(plan);
      setField(recordNamed(plan, "save_header"), SAVE_HEADER, {
        field: "mandatory_flags",
        value: 2 & ~CONFIG_JSON_MASK,
      });
    },
  ],
]);

golden.testNothingElse();

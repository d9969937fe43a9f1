// Legacy streams: each check and each stop of the walk, and the exact lines in
// test/golden/verify/legacy.txt.

import { testDamage } from "../../helpers/damage.ts";
import { goldenFile } from "../../helpers/golden.ts";
import {
  chunk,
  legacyHvmRecords,
  legacyPvRecords,
  pageBatch,
} from "../../helpers/legacy-builder.ts";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import {
  ascii,
  drop,
  filled,
  insertAfter,
  insertBefore,
  overwrite,
  planRecord,
  type PlanRecord,
  recordNamed,
  resize,
  type StreamPlan,
  words,
} from "../../helpers/stream-plan.ts";

const golden = goldenFile("verify/legacy");

const put = (name: string, at: number, bytes: Uint8Array) => (plan: StreamPlan) =>
  overwrite(recordNamed(plan, name), at, bytes);
const u32 = (value: number) => words(4, [value]);
const behind = (name: string, record: PlanRecord) => (plan: StreamPlan) =>
  insertAfter(plan, name, record);
const batch = (width: 4 | 8, ...entries: readonly number[]) =>
  behind("VCPU_INFO", pageBatch(width, entries));
const without = (name: string) => (plan: StreamPlan) => {
  plan.records = plan.records.filter((record) => record.name !== name);
};
const marker = (type: number, body: Uint8Array) => (plan: StreamPlan) =>
  insertBefore(
    plan,
    "TSC_INFO",
    planRecord({ layer: "legacy", name: "chunk", framing: "chunk", type }, body),
  );

const pv = () => ({ records: legacyPvRecords({ width: 8, guestWidth: 8 }) });
const pv32 = () => ({ records: legacyPvRecords({ width: 4, guestWidth: 4 }) });

/** Offsets in the extended info of a 64-bit tool: signature, length, then the blocks. */
const BLOCKS = 12;
const EXTV = BLOCKS + 8 + 0x1430;
const XCNT = EXTV + 8;

testDamage("the start", { golden, base: pv, format: "legacy" }, [
  ["p2m_size 0", put("P2M_SIZE", 0, u32(0))],
  ["p2m_size of 2 TiB", put("P2M_SIZE", 0, u32(2 ** 28 + 1))],
  ["neither width", put("P2M_SIZE", 4, u32(2))],
  ["extended info that claims 128 MiB and a byte", put("EXTENDED_INFO", 8, u32(2 ** 27 + 1))],
  ["extended info that ends inside of a block", put("EXTENDED_INFO", 8, u32(100))],
  ["a block longer than the rest", put("EXTENDED_INFO", XCNT + 4, u32(2 ** 32 - 1))],
  ["a block that nobody knows", put("EXTENDED_INFO", EXTV, ascii("ext\u0001"))],
  ["a vcpu block of another size", put("EXTENDED_INFO", BLOCKS + 4, u32(0x1431))],
  ["no vcpu block", put("EXTENDED_INFO", 8, u32(0))],
  ["an xcnt block too short", put("EXTENDED_INFO", XCNT + 4, u32(3))],
  ["an XSAVE size of 4 GiB", put("EXTENDED_INFO", XCNT + 8, u32(2 ** 32 - 1))],
]);

/** Settings of transcendent memory, and a pool that claims all pages there can be. */
const TMEM = words(4, [1, 0, 2 ** 32 - 1, 0, 0, 0, 2 ** 32 - 1]);
const TMEM_POOL = words(4, [1, 0xf0, 2 ** 32 - 1, 0, 0, 0, 0]);

testDamage("the chunks of a PV guest", { golden, base: pv }, [
  ["a marker that nobody knows", marker(-21, filled(0, 0))],
  ["the lowest marker", marker(-(2 ** 31), filled(0, 0))],
  ["a batch of 1025 pfns", marker(1025, filled(0, 0))],
  ["a batch of 2^31 - 1 pfns", marker(2 ** 31 - 1, filled(0, 0))],
  ["two VCPU_INFO", behind("VCPU_INFO", chunk("VCPU_INFO", u32(1), words(8, [0])))],
  ["vcpu 4096", behind("VCPU_INFO", chunk("VCPU_INFO", u32(4096), filled(65 * 8, 0)))],
  ["a negative vcpu", behind("VCPU_INFO", chunk("VCPU_INFO", u32(2 ** 32 - 1), filled(8, 0)))],
  [
    "no VCPU_INFO",
    (plan) => {
      for (const name of ["VCPU_INFO", "VCPU_BASIC", "VCPU_EXTENDED", "VCPU_XSAVE"]) {
        without(name)(plan);
      }
    },
  ],
  ["an HVM parameter", behind("VCPU_INFO", chunk("HVM_IDENT_PT", filled(12, 0)))],
  ["no page batch", without("PAGE_BATCH")],
  ["a toolstack record of 4 GiB", put("TOOLSTACK", 0, u32(2 ** 32 - 1))],
  ["tmem without its settings", behind("VCPU_INFO", chunk("TMEM"))],
  ["tmem of no pools is free", behind("VCPU_INFO", chunk("TMEM", TMEM, u32(2 ** 32 - 1)))],
  ["a tmem pool of 4 Gi pages", behind("VCPU_INFO", chunk("TMEM", TMEM, TMEM_POOL))],
  ["tmem pages without an end", behind("VCPU_INFO", chunk("TMEM_EXTRA", filled(64, 7)))],
  ["more unmapped pfns than there are", put("UNMAPPED_PFNS", 0, u32(65))],
]);

testDamage("the batches", { golden, base: pv }, [
  [
    "bits above 32",
    (plan) => {
      const record = pageBatch(8, [0xf000_0007]);
      record.body = record.body.slice();
      record.body[5] = 1;
      behind("VCPU_INFO", record)(plan);
    },
  ],
  ["an entry twice", batch(8, 0xf000_0007, 0xf000_0008, 0xf000_0007)],
  ["a pfn twice with two types is free", batch(8, 0xf000_0007, 0xe000_0007)],
  ["a type that Xen does not define", batch(8, 0x5000_0007)],
  ["a pfn behind the last", batch(8, 0xf000_0040, 0xefff_ffff)],
  ["the mark of what could not be mapped is free", batch(8, 0xf000_0000, 0xf000_0000)],
]);
testDamage("the batches of a 32-bit tool", { golden, base: pv32 }, [
  ["an entry twice", batch(4, 0xf000_0007, 0xf000_0007)],
  ["a pfn behind the last", batch(4, 0xf000_0041)],
]);

const hvm = () => ({ records: legacyHvmRecords(8, { qemu: "DeviceModelRecord0002" }) });

testDamage("an HVM guest", { golden, base: hvm }, [
  ["no console", without("HVM_CONSOLE_PFN")],
  ["no page batch", without("PAGE_BATCH")],
  ["an HVM context of 128 MiB and a byte", put("HVM_CONTEXT", 0, u32(2 ** 27 + 1))],
  [
    "an empty HVM context",
    (plan) => {
      resize(recordNamed(plan, "HVM_CONTEXT"), 4);
      put("HVM_CONTEXT", 0, u32(0))(plan);
    },
  ],
  ["a damaged HVM context", put("HVM_CONTEXT", 4, u32(7))],
  ["a QEMU record of 4 GiB", put("QEMU", 21, u32(2 ** 32 - 1))],
  ["a QEMU record longer than the input", put("QEMU", 21, u32(1000))],
  ["another signature: not ours", put("QEMU", 0, ascii("d"))],
]);
testDamage("an HVM guest in an xl file", { golden, base: VALID_PLANS["xl, legacy HVM"]! }, [
  ["another signature", put("QEMU", 0, ascii("d\n"))],
  ["no QEMU record", (plan) => drop(plan, "QEMU")],
]);

golden.testNothingElse();

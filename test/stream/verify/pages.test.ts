// PAGE_DATA: entries, sizes and what was never sent; and the exact lines.

import { PAGE_DATA_HEAD } from "../../../lib/stream/libxc/index.ts";
import { testDamage } from "../../helpers/damage.ts";
import { goldenFile } from "../../helpers/golden.ts";
import { HVM, libxcRecords, PV32, PV64 } from "../../helpers/stream-builder.ts";
import {
  drop,
  insertAfter,
  recordNamed,
  resize,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import { pageData, type PageEntry } from "../../helpers/stream-records.ts";

const golden = goldenFile("verify/pages");

const pv = () => ({ records: libxcRecords({ ...PV64, vcpus: 1 }) });
const pv32 = () => ({ records: libxcRecords({ ...PV32, vcpus: 1 }) });
const hvm = () => ({ records: libxcRecords(HVM) });

const XTAB = 0xf;
/** A batch behind the first one. */
const batch =
  (...entries: readonly PageEntry[]) =>
  (plan: StreamPlan) =>
    insertAfter(plan, "PAGE_DATA", pageData(entries));
const entry = (pfn: number, type: number): PageEntry => ({ pfn, type });
const xtabs = (...pfns: readonly number[]) => batch(...pfns.map((pfn) => entry(pfn, XTAB)));

/** Sets bits of the first batch's entry `index`, in the high word. */
const highBits = (index: number, bits: number) => (plan: StreamPlan) => {
  const record = recordNamed(plan, "PAGE_DATA");
  record.body = record.body.slice();
  const view = new DataView(record.body.buffer);
  const at = 8 + index * 8 + 4;
  view.setUint32(at, (view.getUint32(at, true) | bits) >>> 0, true);
};
const head = (field: "count" | "reserved", value: number) => (plan: StreamPlan) =>
  setField(recordNamed(plan, "PAGE_DATA"), PAGE_DATA_HEAD, { field, value });
const size = (bytes: number) => (plan: StreamPlan) => resize(recordNamed(plan, "PAGE_DATA"), bytes);

/** One pfn in each of `count` stretches of the set, from the last to the first. */
const scattered = (count: number): PageEntry[] =>
  Array.from({ length: count }, (_, index) => entry((count - index) * 2 ** 15, XTAB));

testDamage("the head and the size", { golden, base: pv }, [
  ["no entries", head("count", 0)],
  ["one entry less than there are", head("count", 15)],
  ["more entries than the body holds", head("count", 4096)],
  ["as many entries as a count can say", head("count", 2 ** 32 - 1)],
  ["reserved", head("reserved", 1)],
  ["an empty body", size(0)],
  ["a body of half a head", size(4)],
  ["a body of a head alone", size(8)],
  ["a page too few", size(8 + 16 * 8 + 2 * 4096)],
  ["a byte too many", size(8 + 16 * 8 + 3 * 4096 + 1)],
]);

testDamage("the entries of a PV guest", { golden, base: pv }, [
  ["a type that Xen does not define", batch(entry(1, 5))],
  ["all types that Xen does not define", batch(...[5, 6, 7, 8].map((type) => entry(type, type)))],
  ["reserved bits", highBits(3, 0x0010_0000)],
  [
    "all reserved bits of two entries",
    (plan) => {
      highBits(4, 0x0ff0_0000)(plan);
      highBits(6, 0x0800_0000)(plan);
    },
  ],
  ["a pfn behind the last", xtabs(24)],
  ["a pfn of 33 bits", xtabs(2 ** 32 + 1)],
  ["a pfn of 52 bits", xtabs(2 ** 52 - 1)],
  ["a pfn twice", xtabs(3, 3)],
  ["pfns twice, far apart", xtabs(1, 2, 3, 2, 4, 1)],
  ["a run that goes down", xtabs(3, 2, 1, 0)],
  ["a level 4 table", batch(entry(1, 4))],
  [
    "a pfn that was never sent",
    (plan) => {
      const record = recordNamed(plan, "PAGE_DATA");
      record.body = record.body.slice();
      new DataView(record.body.buffer).setUint32(8 + 7 * 8, 6, true);
    },
  ],
  ["half of the pfns were never sent", (plan) => drop(plan, "PAGE_DATA")],
]);
testDamage("the entries of a PV guest", { golden, base: pv32 }, [
  ["a level 4 table where there are 3", batch(entry(1, 4), entry(2, 0xc))],
]);

testDamage("the entries of an HVM guest", { golden, base: hvm }, [
  ["a page table", batch(entry(1, 1))],
  ["a hole", xtabs(30, 31, 40)],
  ["a pfn of 40 bits", xtabs(2 ** 40 - 1)],
  ["a pfn of 41 bits", xtabs(2 ** 40)],
  ["pfns beyond 32 bits, twice", xtabs(2 ** 32 + 5, 2 ** 32 + 6, 2 ** 32 + 5)],
  ["pfns too scattered to be compared", batch(...scattered(4100))],
]);

golden.testNothingElse();

// Damaged headers of every framing: each field outside its rule, and the exact line.

import type { Layout } from "../../../lib/bytes/index.ts";
import { DOMAIN_HEADER, IMAGE_HEADER } from "../../../lib/stream/libxc/index.ts";
import { LIBXL_HEADER } from "../../../lib/stream/libxl/index.ts";
import { SAVE_HEADER } from "../../../lib/stream/xl/index.ts";
import { testDamage } from "../../helpers/damage.ts";
import { goldenFile } from "../../helpers/golden.ts";
import {
  type GuestSpec,
  HVM,
  libxcRecords,
  libxlRecords,
  PV64,
  PVH,
  xlPlan,
} from "../../helpers/stream-builder.ts";
import {
  filled,
  overwrite,
  recordNamed,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";

const golden = goldenFile("verify/headers");

const set =
  (record: string, layout: Layout) =>
  (field: string, value: number | bigint) =>
  (plan: StreamPlan): void =>
    setField(recordNamed(plan, record), layout, { field, value });

const xl = set("save_header", SAVE_HEADER);
const libxl = set("header", LIBXL_HEADER);
const image = set("image_header", IMAGE_HEADER);
const domain = set("domain_header", DOMAIN_HEADER);

testDamage("the xl save header", { golden, base: () => xlPlan(PV64), format: "xl" }, [
  ["magic", (plan) => overwrite(recordNamed(plan, "magic"), 31, filled(1, 0x0a))],
  ["byteorder of nobody", xl("byteorder", 0x01020305)],
  ["byteorder of a big-endian host", xl("byteorder", 0x04030201)],
  ["mandatory_flags", xl("mandatory_flags", 7)],
  ["optional_flags", xl("optional_flags", 1)],
  ["optional_data_len over 1 MiB", xl("optional_data_len", 2 ** 31)],
  ["optional_data_len 0", xl("optional_data_len", 0)],
  ["a libxl stream that is said to be legacy", xl("mandatory_flags", 1)],
]);

testDamage(
  "the libxl header",
  { golden, base: () => ({ records: libxlRecords(PV64) }), format: "libxl" },
  [
    ["ident", libxl("ident", 0x4c6962786c466d75n)],
    ["version below", libxl("version", 1)],
    ["version above", libxl("version", 3)],
    ["options: big-endian", libxl("options", 1)],
    ["options: reserved bits", libxl("options", 0x8000_0004)],
  ["options: big-endian and reserved bits", libxl("options", 5)],
  ],
);

testDamage(
  "the libxc image and domain headers",
  { golden, base: () => ({ records: libxcRecords(PV64) }), format: "libxc" },
  [
    ["marker", image("marker", 0xffff_ffff_ffff_fffen)],
    ["id", image("id", 0x58454e47)],
    ["version below", image("version", 1)],
    ["version above", image("version", 4)],
    ["options: big-endian", image("options", 1)],
    ["options: reserved bits", image("options", 0x8000)],
  ["options: big-endian and reserved bits", image("options", 0x8001)],
    ["reserved_a", image("reserved_a", 1)],
    ["reserved_b", image("reserved_b", 0x8000_0000)],
    ["type below", domain("type", 0)],
    ["type above", domain("type", 3)],
    ["page_shift", domain("page_shift", 21)],
    ["reserved", domain("reserved", 1)],
  ],
);

/** The image of another guest, from its domain header on. */
const imageOf =
  (spec: GuestSpec) =>
  (plan: StreamPlan): void => {
    const other = xlPlan(spec).records;
    const start = other.findIndex(({ name }) => name === "domain_header");
    const mine = plan.records.findIndex(({ name }) => name === "domain_header");
    plan.records.splice(mine, plan.records.length, ...other.slice(start));
  };

testDamage("an HVM config", { golden, base: () => xlPlan(HVM) }, [
  ["the image of a PV guest", imageOf(PV64)],
  ["the image of a PVH guest", imageOf(PVH)],
]);
testDamage("a PV config", { golden, base: () => xlPlan(PV64) }, [
  ["the image of an HVM guest", imageOf(HVM)],
]);
testDamage("a PVH config", { golden, base: () => xlPlan(PVH) }, [
  ["the image of a PV guest", imageOf(PV64)],
]);

golden.testNothingElse();

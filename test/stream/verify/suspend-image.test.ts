// xenopsd suspend images: each check and each stop of the walk, and the exact lines in
// test/golden/verify/suspend-image.txt.

import { XAPI_HEADER, XAPI_OLD_QEMU_HEAD } from "../../../lib/stream/xapi/index.ts";
import { testDamage } from "../../helpers/damage.ts";
import { goldenFile } from "../../helpers/golden.ts";
import { HVM, libxcRecords, PV64 } from "../../helpers/stream-builder.ts";
import {
  ascii,
  bare,
  drop,
  filled,
  overwrite,
  recordNamed,
  resize,
  row,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import { suspendOldRecords, suspendRecords } from "../../helpers/suspend-builder.ts";

const golden = goldenFile("verify/suspend-image");

const claim = (name: string, length: bigint) => (plan: StreamPlan) => {
  recordNamed(plan, name).length = length;
};
const header = (type: bigint) => (plan: StreamPlan) => {
  const record = bare("xapi", "stranger", row(XAPI_HEADER, { type, length: 0n }));
  plan.records.splice(1, 0, record);
};

testDamage(
  "a structured image",
  { golden, base: () => ({ records: suspendRecords("libxc", libxcRecords(HVM)) }), format: "xapi" },
  [
    ["another signature", (plan) => overwrite(recordNamed(plan, "signature"), 0, ascii("Y"))],
    ["a type that xenopsd does not know", header(0x10n)],
    ["a type of 17 bits", header(0x1_000fn)],
    ["a type of all ones", header(2n ** 64n - 1n)],
    ["an opaque record of 128 MiB and a byte", claim("XENOPS", 128n * 2n ** 20n + 1n)],
    ["a QEMU record of 1 TiB", claim("QEMU_XEN", 2n ** 40n)],
    ["a QEMU record of all ones", claim("QEMU_XEN", 2n ** 64n - 1n)],
    ["the length of a stream means nothing", claim("LIBXC", 2n ** 64n - 1n)],
    ["END_OF_IMAGE with a length", (plan) => resize(recordNamed(plan, "END_OF_IMAGE"), 5)],
    ["no END_OF_IMAGE", (plan) => drop(plan, "END_OF_IMAGE")],
    ["metadata and no guest", (plan) => plan.records.splice(2, plan.records.length - 3)],
    [
      "QEMU's state is damaged",
      (plan) => overwrite(recordNamed(plan, "QEMU_XEN"), 7, filled(1, 4)),
    ],
    ["QEMU's state is empty", (plan) => resize(recordNamed(plan, "QEMU_XEN"), 0)],
    [
      "a libxc stream under the name of a libxl one",
      (plan) => {
        recordNamed(plan, "LIBXC").type = 0xf1;
      },
    ],
    [
      "a libxc stream under the name of a legacy one",
      (plan) => {
        recordNamed(plan, "LIBXC").type = 0xf2;
      },
    ],
  ],
);

testDamage(
  "an old image",
  { golden, base: () => ({ records: suspendOldRecords(libxcRecords(HVM), true) }) },
  [
    [
      "a QEMU record of 4 GiB",
      (plan) =>
        setField(recordNamed(plan, "qemu_header"), XAPI_OLD_QEMU_HEAD, {
          field: "length",
          value: 2 ** 32 - 1,
        }),
    ],
    [
      "a QEMU record longer than the input",
      (plan) =>
        setField(recordNamed(plan, "qemu_header"), XAPI_OLD_QEMU_HEAD, {
          field: "length",
          value: 2 ** 20,
        }),
    ],
    [
      "QEMU's state is damaged",
      (plan) => overwrite(recordNamed(plan, "QEMU_XEN"), 0, ascii("qemu")),
    ],
    [
      "something else behind the stream",
      (plan) => overwrite(recordNamed(plan, "qemu_signature"), 0, ascii("q")),
    ],
    [
      "neither a libxc nor a legacy stream",
      (plan) => {
        plan.records.splice(1, plan.records.length, bare("xapi", "noise", filled(64, 0x77)));
      },
    ],
    ["nothing behind the signature", (plan) => plan.records.splice(1)],
  ],
);

testDamage(
  "a stream in an image",
  { golden, base: () => ({ records: suspendRecords("libxc", libxcRecords(PV64)) }) },
  [
    ["is checked", (plan) => drop(plan, "SHARED_INFO")],
    ["without END swallows what follows", (plan) => drop(plan, "END")],
  ],
);

golden.testNothingElse();

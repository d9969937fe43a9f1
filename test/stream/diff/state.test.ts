// Everything but pages: a change of one thing is told by its name, and by no other; and the same
// guest in another format is the same guest.

import { describe, expect, test } from "bun:test";
import type { Layout } from "../../../lib/bytes/index.ts";
import { CPU, FPU_REGS_BYTES } from "../../../lib/stream/hvm-context/index.ts";
import {
  CPUID_LEAF,
  DOMAIN_HEADER,
  HVM_PARAM,
  IMAGE_HEADER,
  MSR_ENTRY,
  TSC_INFO,
  VCPU_MSR,
} from "../../../lib/stream/libxc/index.ts";
import { diffPlans, differenceLines } from "../../helpers/diff-bytes.ts";
import {
  HVM,
  libxcRecords,
  libxlRecords,
  PV64,
  PVH,
  xlPlan,
} from "../../helpers/stream-builder.ts";
import {
  ascii,
  copyOf,
  drop,
  indexOf,
  overwrite,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import { suspendRecords } from "../../helpers/suspend-builder.ts";

type Row = readonly [
  what: string,
  base: () => StreamPlan,
  edit: (plan: StreamPlan) => void,
  lines: readonly (string | RegExp)[],
  hints: readonly (string | RegExp)[],
];

const record = (plan: StreamPlan, name: string, nth = 0) => plan.records[indexOf(plan, name, nth)]!;

const field =
  (name: string, layout: Layout, change: Parameters<typeof setField>[2]) => (plan: StreamPlan) =>
    setField(record(plan, name), layout, change);

/** Replaces text by text of the same length. */
const retext = (name: string, from: string, to: string) => (plan: StreamPlan) => {
  const target = record(plan, name);
  const at = Buffer.from(target.body).indexOf(from);
  overwrite(target, at, ascii(to));
};

/** Bytes of a body. */
const bytes =
  (name: string, at: number, values: readonly number[], nth = 0) =>
  (plan: StreamPlan) =>
    overwrite(record(plan, name, nth), at, new Uint8Array(values));

const pv = () => xlPlan(PV64);
const hvm = () => xlPlan(HVM);
/** HEADER stands first, behind the descriptors; CPU 0 is the entry behind it. */
const CPU_AT = 8 + 24 + 8;

const ROWS: readonly Row[] = [
  [
    "a feature that B has not",
    pv,
    field("X86_CPUID_POLICY", CPUID_LEAF, { field: "d", value: 4, at: 24 }),
    ["CPUID policy 0x1 edx: 0x6 -> 0x4"],
    ["Only A was promised vme: a host without one of these refuses it"],
  ],
  [
    "a leaf without named bits",
    pv,
    field("X86_CPUID_POLICY", CPUID_LEAF, { field: "a", value: 0x16 }),
    ["CPUID policy 0x0 eax: 0xd -> 0x16"],
    [],
  ],
  [
    "an MSR",
    pv,
    field("X86_MSR_POLICY", MSR_ENTRY, { field: "value", value: 1n << 31n }),
    ["MSR policy PLATFORM_INFO: 0x0 -> 0x80000000"],
    ["The MSR policies differ in PLATFORM_INFO"],
  ],
  [
    "a setting",
    pv,
    retext("CONFIG", '"max_vcpus":2', '"max_vcpus":4'),
    ["config b_info.max_vcpus: 2 -> 4"],
    ["The configs differ in b_info.max_vcpus: 2 in A, 4 in B"],
  ],
  [
    "the TSC",
    pv,
    field("X86_TSC_INFO", TSC_INFO, { field: "khz", value: 2_100_000 }),
    ["TSC khz: 2000000 -> 2100000"],
    [],
  ],
  [
    "a register of a PV vcpu",
    pv,
    bytes("X86_PV_VCPU_BASIC", 8 + 648, [0x10], 1),
    [/^vcpu 1 rip: 0x[0-9a-f]+ -> 0x[0-9a-f]*10$/],
    [],
  ],
  [
    "a PV vcpu's trap table, which has no names",
    pv,
    bytes("X86_PV_VCPU_BASIC", 8 + 1000, [1]),
    [/^vcpu 0 contents: 5168 bytes, sha256 [0-9a-f]{16} -> 5168 bytes, sha256 [0-9a-f]{16}$/],
    [],
  ],
  [
    "a PV vcpu's FPU",
    pv,
    bytes("X86_PV_VCPU_BASIC", 8 + 3, [1]),
    [/^vcpu 0 fpu_ctxt: 512 bytes/],
    [],
  ],
  [
    "a PV vcpu's XSAVE area and states in use",
    pv,
    bytes("X86_PV_VCPU_XSAVE", 8 + 8, [7, 0, 0, 0, 0, 0, 0, 0, 9]),
    [/^vcpu 0 xsave area: 576 bytes/, /^vcpu 0 xcr0_accum: 0x[0-9a-f]+ -> 0x7$/],
    [/^The extended states in use differ \(xcr0_accum of vcpu 0: 0x[0-9a-f]+ in A, 0x7 in B\)$/],
  ],
  [
    "a PV vcpu's MSR",
    pv,
    field("X86_PV_VCPU_MSRS", VCPU_MSR, { field: "value", value: 5n, at: 8 }),
    ["vcpu 0 MSR TSC_AUX: 0x1 -> 0x5"],
    [],
  ],
  ["the shared info", pv, bytes("SHARED_INFO", 9, [3]), [/^SHARED_INFO contents: 4096 bytes/], []],
  [
    "the Xen that wrote it",
    pv,
    field("domain_header", DOMAIN_HEADER, { field: "xen_minor", value: 17 }),
    [],
    [/^A was written by Xen 4.20, B by Xen 4.17: .* \(A is newer\)$/],
  ],
  [
    "a register of an HVM vcpu",
    hvm,
    field("HVM_CONTEXT", CPU, { field: "rip", value: 0x1234n, at: CPU_AT + FPU_REGS_BYTES }),
    [/^vcpu 0 rip: 0x[0-9a-f]+ -> 0x1234$/],
    [],
  ],
  [
    "an HVM parameter",
    hvm,
    field("HVM_PARAMS", HVM_PARAM, { field: "value", value: 1n, at: 8 }),
    ["HVM parameters STORE_PFN: 0xfeff8 -> 0x1"],
    [],
  ],
  [
    "the version of a QEMU device",
    hvm,
    (plan) => {
      const target = record(plan, "EMULATOR_CONTEXT");
      const at = Buffer.from(target.body).indexOf("/ide") + 4 + 4; // Behind the instance.
      overwrite(target, at, new Uint8Array([0, 0, 0, 4]));
    },
    ["device 0000:00:01.1/ide 0 version: 3 -> 4"],
    [/^QEMU's device 0000:00:01.1\/ide 0 has version 3 in A, 4 in B: /],
  ],
  [
    "a QEMU device's state",
    hvm,
    (plan) => {
      const target = record(plan, "EMULATOR_CONTEXT");
      const at = Buffer.from(target.body).indexOf("/ide") + 4 + 8;
      overwrite(target, at, new Uint8Array([0, 9]));
    },
    [/^device 0000:00:01.1\/ide 0 contents: 16 bytes/],
    [],
  ],
  [
    "a key of the device model's xenstore",
    hvm,
    retext("EMULATOR_XENSTORE_DATA", "800000", "900000"),
    ["xenstore physmap/f0000000/size: 800000 -> 900000"],
    [],
  ],
];

const matches = (found: readonly string[], wanted: readonly (string | RegExp)[]): void => {
  expect({ found, count: found.length }).toEqual({ found, count: wanted.length });
  for (const [index, line] of wanted.entries()) {
    if (typeof line === "string") expect(found[index]).toBe(line);
    else expect(found[index]).toMatch(line);
  }
};

describe("one change is told by its name", () => {
  test.each(ROWS as Row[])("%s", async (_, base, edit, lines, hints) => {
    const changed = copyOf(base());
    edit(changed);
    const report = await diffPlans(base(), changed);
    matches(differenceLines(report), lines);
    matches(report.hints, hints);
    expect(report.same).toBe(lines.length === 0);
    expect(report.pages.same).toBe(report.pages.a);
  });

  test("a vcpu that only A has, with everything that is known of it", async () => {
    const report = await diffPlans(pv(), xlPlan({ ...PV64, vcpus: 1 }));
    expect(new Set(report.state.map(({ group }) => group))).toEqual(new Set(["vcpu 1"]));
    expect(differenceLines(report)).toContain("vcpu 1 kind: pv64 -> none");
  });

  test("devices and entries that only one has", async () => {
    const without = copyOf(hvm());
    const target = record(without, "EMULATOR_CONTEXT");
    const last = Buffer.from(target.body).indexOf("0000:00:01.1/ide") - 6;
    target.body = new Uint8Array([...target.body.subarray(0, last), 0]); // EOF in its place.
    const report = await diffPlans(hvm(), without);
    expect(report.hints).toEqual([
      "Only A has QEMU state of 0000:00:01.1/ide 0: QEMU wants a device for each",
    ]);
  });

  test("another kind of guest", async () => {
    const report = await diffPlans(pv(), hvm());
    expect(report.hints[0]).toBe("A is a PV guest, B a HVM guest");
  });
});

describe("the same guest in another format is the same", () => {
  const formats: readonly (readonly [string, StreamPlan, readonly string[]])[] = [
    ["libxl", { records: libxlRecords(PV64) }, ["config: B has none"]],
    ["libxc", { records: libxcRecords(PV64) }, ["config: B has none"]],
    [
      "libxc version 2",
      { records: libxcRecords({ ...PV64, version: 2 }) },
      ["CPUID policy: B has none", "MSR policy: B has none", "config: B has none"],
    ],
  ];
  test.each(formats)("%s", async (_, other, notCompared) => {
    const report = await diffPlans(pv(), other);
    expect(report.same).toBe(true);
    expect(report.not_compared.map(({ what, why }) => `${what}: ${why}`)).toEqual([...notCompared]);
  });

  test("a suspend image, with QEMU's state in a record of its own", async () => {
    const report = await diffPlans(hvm(), { records: suspendRecords("libxc", libxcRecords(HVM)) });
    // What only xenopsd saves beside the guest.
    const only = ["DEMU", "QEMU_TRAD", "SWTPM", "SWTPM0", "VARSTORED"];
    const groups = [...new Set(report.state.map(({ group }) => group))];
    expect(groups.sort()).toEqual(only.map((name) => `emulator ${name}`));
    expect(report.not_compared.map(({ what }) => what).sort()).toEqual([
      "XENOPS",
      "config",
      "xenstore",
      "xenstore of the guest",
    ]);
    expect(report.pages.same).toBe(report.pages.a);
  });
});

test("a version 2 image is named as such", async () => {
  const two = copyOf({ records: libxcRecords({ ...PVH, version: 2 }) });
  expect(record(two, "image_header").body.byteLength).toBe(
    Object.values(IMAGE_HEADER).reduce((sum, { bytes: size }) => sum + size, 0),
  );
  const report = await diffPlans({ records: libxcRecords(PVH) }, two);
  expect(report.hints).toEqual([
    "A is a version 3 image, which Xen before 4.14 does not read; the other is not",
  ]);
  drop(two, "HVM_PARAMS");
  const lines = differenceLines(await diffPlans({ records: libxcRecords(PVH) }, two));
  expect(lines).toContain("HVM parameters CONSOLE_PFN: 0xfefff -> none");
});

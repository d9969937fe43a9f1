// The HVM context parser on built contexts: what it reads, and what it says of mistakes.

import { describe, expect, test } from "bun:test";
import {
  BODY_BYTES_MAX,
  cpuLayout,
  HVM_CONTEXT_FINDINGS_MAX,
  TYPES,
} from "../../../lib/stream/hvm-context/index.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { bodyOf, context, cpuBody, cpuWith, headerBody, msrBody } from "./build.ts";
import type { EntrySpec } from "./build.ts";
import { parse } from "./collect.ts";

const findingsOf = (rows: readonly (string | EntrySpec)[]) => {
  const bytes = context(rows);
  return parse(bytes, Math.max(bytes.length, 1)).findings;
};

const GUEST = ["HEADER", "CPU", "CPU 1", "PIC", "PIC 1", "LAPIC", "LAPIC 1", "LAPIC_REGS"];
const WHOLE = [...TYPES.slice(1).map((row) => row.name), "END"];

describe("an HVM context without findings", () => {
  test.each([
    ["the smallest guest", ["HEADER", "CPU", "END"]],
    ["two vcpus and both PICs", [...GUEST, "END"]],
    ["one entry of every type", WHOLE],
    ["a vcpu that is down: local APIC, no CPU", ["HEADER", "CPU", "LAPIC 1", "MTRR 1", "END"]],
    ["CPU before Xen 4.7", ["HEADER", { name: "CPU", body: cpuBody(1024) }, "END"]],
    ["CPU before Xen 3.4", ["HEADER", { name: "CPU", body: cpuBody(1016) }, "END"]],
    [
      "LAPIC of an older Xen",
      ["HEADER", "CPU", { name: "LAPIC", body: new Uint8Array(24) }, "END"],
    ],
    ["the last vcpu", ["HEADER", "CPU 127", "END"]],
    [
      "a large XSAVE area",
      ["HEADER", "CPU", { name: "CPU_XSAVE", body: new Uint8Array(100_000) }, "END"],
    ],
    ["one MSR", ["HEADER", "CPU", { name: "CPU_MSR", body: msrBody(1, 1) }, "END"]],
  ] as [string, (string | EntrySpec)[]][])("%s", (_, rows) => {
    expect(findingsOf(rows)).toEqual([]);
  });

  test("announces each entry with its place, and its body up to the limit", () => {
    const large = { name: "CPU_XSAVE", instance: 3, body: new Uint8Array(BODY_BYTES_MAX + 1) };
    const { entries } = parse(context(["HEADER", "CPU 3", large, "END"]), 100);
    const hash = (body: Uint8Array) => Bun.hash(body).toString(16);
    expect(entries).toEqual([
      `1 HEADER 0 0 24 ${hash(headerBody({}))}`,
      `2 CPU 3 32 1032 ${hash(bodyOf("CPU"))}`,
      `16 CPU_XSAVE 3 1072 ${BODY_BYTES_MAX + 1} none`,
      `0 END 0 ${1072 + 8 + BODY_BYTES_MAX + 1} 0 ${hash(new Uint8Array(0))}`,
    ]);
  });
});

const spoiled = (name: string, at: number, value: number): EntrySpec => {
  const body = bodyOf(name);
  body[at] = value;
  return { name, body };
};
const sized = (name: string, bytes: number): EntrySpec => ({ name, body: new Uint8Array(bytes) });

// Entry 0 (HEADER) stands at 0x1000, entry 1 at 0x1020; a CPU body has 0x408 bytes, so that entry 2
// behind a CPU stands at 0x1430.
const BAD: [string, (string | EntrySpec)[], string[]][] = [
  [
    "a wrong magic",
    [{ name: "HEADER", body: headerBody({ magic: 1 }) }, "CPU", "END"],
    ["error hvm_context HEADER.magic at offset 0x1008 (record 7): expected 0x54381286, found 0x1"],
  ],
  [
    "a wrong version",
    [{ name: "HEADER", body: headerBody({ version: 2 }) }, "CPU", "END"],
    ["error hvm_context HEADER.version at offset 0x100c (record 7): expected 0x1, found 0x2"],
  ],
  [
    "a short HEADER",
    [sized("HEADER", 16), "CPU", "END"],
    ["error hvm_context HEADER.length at offset 0x1004 (record 7): expected 0x18, found 0x10"],
  ],
  [
    "no HEADER first",
    ["CPU", "END"],
    [
      "error hvm_context HEADER.typecode at offset 0x1000 (record 7): " +
        "expected 0x1 (HEADER) in the first entry, found 0x2 (CPU)",
    ],
  ],
  [
    "a second HEADER",
    ["HEADER", "CPU", "HEADER", "END"],
    [
      "error hvm_context HEADER.typecode at offset 0x1430 (record 7): " +
        "expected HEADER in the first entry only, found 0x1 (HEADER)",
    ],
  ],
  [
    "an unknown typecode",
    ["HEADER", "CPU", { ...sized("END", 3), typecode: 21 }, "END"],
    [
      "error hvm_context entry.typecode at offset 0x1430 (record 7): " +
        "expected a typecode up to 0x14, found 0x15",
    ],
  ],
  [
    "a body of the wrong size",
    ["HEADER", "CPU", sized("HPET", 1047), "END"],
    ["error hvm_context HPET.length at offset 0x1434 (record 7): expected 0x418, found 0x417"],
  ],
  [
    "a body of size 0",
    ["HEADER", "CPU", sized("HPET", 0), "END"],
    ["error hvm_context HPET.length at offset 0x1434 (record 7): expected 0x418, found 0x0"],
  ],
  [
    "a CPU too long",
    ["HEADER", sized("CPU", 1033), "END"],
    [
      "error hvm_context CPU.length at offset 0x1024 (record 7): " +
        "expected 0x408 or 0x400 or 0x3f8, found 0x409",
    ],
  ],
  [
    "a CPU without cr0",
    ["HEADER", sized("CPU", 656), "END"],
    [
      "error hvm_context CPU.length at offset 0x1024 (record 7): " +
        "expected 0x408 or 0x400 or 0x3f8, found 0x290",
    ],
  ],
  [
    "a CPU of a size that no Xen saved",
    ["HEADER", { name: "CPU", body: cpuBody(700) }, "END"],
    [
      "warning? hvm_context CPU.length at offset 0x1024 (record 7): " +
        "expected 0x408 or 0x400 or 0x3f8, found 0x2bc",
    ],
  ],
  [
    "a cr0 without ET",
    ["HEADER", { name: "CPU", body: cpuWith("cr0", 1n) }, "END"],
    [
      "error hvm_context CPU.cr0 at offset 0x12b8 (record 7): " +
        "expected known bits only, ET set, PE set if PG is, found 0x1",
    ],
  ],
  [
    "paging without protection",
    ["HEADER", { name: "CPU", body: cpuWith("cr0", 0x80000010n) }, "END"],
    [
      "error hvm_context CPU.cr0 at offset 0x12b8 (record 7): " +
        "expected known bits only, ET set, PE set if PG is, found 0x80000010",
    ],
  ],
  [
    "a dr7 above 32 bits",
    ["HEADER", { name: "CPU", body: cpuWith("dr7", 1n << 32n) }, "END"],
    [
      "error hvm_context CPU.dr7 at offset 0x1300 (record 7): " +
        "expected at most 0xffffffff, found 0x100000000",
    ],
  ],
  [
    "unknown CPU flags",
    ["HEADER", { name: "CPU", body: cpuWith("flags", 2) }, "END"],
    ["error hvm_context CPU.flags at offset 0x1428 (record 7): expected 0x0 or 0x1, found 0x2"],
  ],
  [
    "a short XSAVE",
    ["HEADER", "CPU", sized("CPU_XSAVE", 599), "END"],
    [
      "error hvm_context CPU_XSAVE.length at offset 0x1434 (record 7): " +
        "expected at least 0x258, found 0x257",
    ],
  ],
  [
    "a compacted XSAVE",
    ["HEADER", "CPU", spoiled("CPU_XSAVE", 24 + 512 + 15, 0x80), "END"],
    [
      "error hvm_context CPU_XSAVE.xcomp_bv at offset 0x1658 (record 7): " +
        "expected 0x0, found 0x8000000000000000",
    ],
  ],
  [
    "MSRs without an entry",
    ["HEADER", "CPU", sized("CPU_MSR", 8), "END"],
    [
      "error hvm_context CPU_MSR.length at offset 0x1434 (record 7): " +
        "expected at least 0x18, found 0x8",
    ],
  ],
  [
    "an MSR count against the length",
    ["HEADER", "CPU", { name: "CPU_MSR", body: msrBody(3, 2) }, "END"],
    [
      "error hvm_context CPU_MSR.length at offset 0x1434 (record 7): " +
        "expected 0x38 (0x3 entries), found 0x28",
    ],
  ],
  [
    "an MSR count of 0",
    ["HEADER", "CPU", { name: "CPU_MSR", body: msrBody(0, 1) }, "END"],
    [
      "error hvm_context CPU_MSR.count at offset 0x1438 (record 7): " +
        "expected at least 0x1, found 0x0",
    ],
  ],
  [
    "an MSR entry with reserved bits",
    ["HEADER", "CPU", spoiled("CPU_MSR", 8 + 16 + 4, 9), "END"],
    ["error hvm_context CPU_MSR.reserved at offset 0x1454 (record 7): expected 0x0, found 0x9"],
  ],
  [
    "the same vcpu twice",
    ["HEADER", "CPU", "CPU", "END"],
    [
      "warning? hvm_context CPU.instance at offset 0x1432 (record 7): " +
        "expected one CPU entry for each instance, found another one for 0x0",
    ],
  ],
  [
    "a third PIC",
    ["HEADER", "CPU", "PIC 2", "END"],
    ["error hvm_context PIC.instance at offset 0x1432 (record 7): expected at most 0x1, found 0x2"],
  ],
  [
    "an instance where there is one",
    ["HEADER", "CPU", "RTC 1", "END"],
    ["warning? hvm_context RTC.instance at offset 0x1432 (record 7): expected 0x0, found 0x1"],
  ],
  [
    "a vcpu that no guest has",
    ["HEADER", "CPU", "CPU 128", "END"],
    [
      "error hvm_context CPU.instance at offset 0x1432 (record 7): " +
        "expected at most 0x7f, found 0x80",
    ],
  ],
  [
    "a vcpu with neither CPU nor LAPIC",
    ["HEADER", "CPU", "MTRR 5", "END"],
    [
      "warning? hvm_context MTRR.instance at offset 0x1432 (record 7): " +
        "expected a vcpu with a CPU or LAPIC entry, found 0x5",
    ],
  ],
  [
    "no CPU",
    ["HEADER", "LAPIC", "END"],
    [
      "error hvm_context CPU.typecode at offset 0x1048 (record 7): " +
        "expected at least one CPU entry before END, found no CPU",
    ],
  ],
  [
    "no END",
    ["HEADER", "CPU"],
    [
      "error hvm_context END.typecode at offset 0x1430 (record 7): " +
        "expected an END entry, found the end of the context",
    ],
  ],
  [
    "nothing at all",
    [],
    [
      "error hvm_context HEADER.typecode at offset 0x1000 (record 7): " +
        "expected a HEADER entry, found the end of the context",
    ],
  ],
  [
    "an entry past the end",
    ["HEADER", "CPU", { name: "HPET", length: 0xffff_ffff }],
    [
      "error hvm_context HPET.length at offset 0x1434 (record 7): expected 0x418, found 0xffffffff",
      "error hvm_context HPET.length at offset 0x1434 (record 7): " +
        "expected at most 0x418 (the bytes left), found 0xffffffff",
    ],
  ],
  [
    "a descriptor cut short",
    ["HEADER", "CPU", { ...sized("END", 0), typecode: 21, length: 1 }],
    [
      "error hvm_context entry.typecode at offset 0x1430 (record 7): " +
        "expected a typecode up to 0x14, found 0x15",
      "error hvm_context type 21.length at offset 0x1434 (record 7): " +
        "expected at most 0x0 (the bytes left), found 0x1",
    ],
  ],
  [
    "bytes behind END",
    ["HEADER", "CPU", "END", "CPU"],
    [
      "warning? hvm_context END.tail at offset 0x1438 (record 7): " +
        "expected nothing behind END, found 0x410 bytes, which Xen ignores",
    ],
  ],
  [
    "an END with a length",
    ["HEADER", "CPU", { name: "END", length: 5 }],
    ["warning? hvm_context END.length at offset 0x1434 (record 7): expected 0x0, found 0x5"],
  ],
];

describe("an HVM context is reported for", () => {
  test.each(BAD)("%s", (_, rows, messages) => {
    expect(findingsOf(rows)).toEqual(messages);
  });

  test("every cut, at its place", () => {
    const bytes = context(WHOLE);
    for (let length = 0; length < bytes.length; length++) {
      const { findings } = parse(bytes.subarray(0, length), bytes.length);
      expect(findings).toHaveLength(1);
      expect(findings[0]).toMatch(/^error hvm_context .*expected (an? |at most |0x8 bytes)/);
    }
    expect(parse(bytes, bytes.length).findings).toEqual([]);
  });

  test("at most a bounded number of mistakes", () => {
    const rows = Array.from({ length: 10_000 }, () => ({ name: "END", typecode: 99 }));
    expect(findingsOf(rows)).toHaveLength(HVM_CONTEXT_FINDINGS_MAX);
  });
});

test("pieces of any size give the same entries and findings", () => {
  for (const [title, rows] of [...BAD, ["whole", WHOLE] as const]) {
    const bytes = context(rows);
    const whole = parse(bytes, Math.max(bytes.length, 1));
    for (const size of [1, 3, 7]) {
      expect([title, size, parse(bytes, size)]).toEqual([title, size, whole]);
    }
  }
});

test("no input makes the parser throw, hang or talk without end", () => {
  withSeed(20_240, (random) => {
    const valid = context(WHOLE);
    for (let round = 0; round < 3000; round++) {
      let bytes = new Uint8Array(valid);
      for (let hits = random(8); hits >= 0; hits--) {
        // Half of them among the first two descriptors.
        bytes[random(random(2) === 0 ? 64 : bytes.length)] = random(256);
      }
      if (random(4) === 0) bytes = bytes.subarray(0, random(bytes.length));
      if (random(16) === 0) bytes = bytes.map(() => random(256));
      const { entries, findings } = parse(bytes, 1 + random(5000));
      expect(findings.length).toBeLessThanOrEqual(HVM_CONTEXT_FINDINGS_MAX);
      expect(entries.length).toBeLessThanOrEqual(bytes.length / 8);
    }
  });
});

test("the CPU layouts are known by their sizes", () => {
  const known = Array.from({ length: 1100 }, (_, size) => size).filter((size) => cpuLayout(size));
  expect(known).toEqual([1016, 1024, 1032]);
});

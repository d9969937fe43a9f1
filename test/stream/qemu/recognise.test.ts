// What the QEMU stream parser takes for a section, and what it does not.

import { describe, expect, test } from "bun:test";
import {
  bare,
  bytesOf,
  command,
  configuration,
  description,
  EOF,
  footer,
  header,
} from "./build.ts";
import { join, MAGIC, part, section, u32 } from "./build.ts";
import { collectWhole } from "./collect.ts";

const TIMER = { id: 0, name: "timer", version: 2, data: new Uint8Array(24) };
const CPU = { id: 4, name: "cpu", version: 12, data: bytesOf("01 7e 04 00 00 00 00") };
const IDE = { id: 9, name: "0000:00:01.1/ide", version: 3 };

const WITH_FOOTERS = join(MAGIC, section(TIMER), section(CPU), section(IDE), EOF);
const WITHOUT = join(MAGIC, bare(TIMER), bare(CPU), bare(IDE), EOF);

describe("a QEMU stream without findings", () => {
  test("with footers, as QEMU writes it", () => {
    expect(collectWhole(WITH_FOOTERS)).toEqual({
      machines: [],
      sections: [
        "full 0 timer 0 v2 at 0x8: 24 bytes, footer",
        "full 4 cpu 0 v12 at 0x38: 7 bytes, footer",
        "full 9 0000:00:01.1/ide 0 v3 at 0x55: 4 bytes, footer",
      ],
      findings: [],
    });
  });

  test("without footers, as QEMU writes it under Xen", () => {
    expect(collectWhole(WITHOUT)).toEqual({
      machines: [],
      sections: [
        "full 0 timer 0 v2 at 0x8: 24 bytes",
        "full 4 cpu 0 v12 at 0x33: 7 bytes",
        "full 9 0000:00:01.1/ide 0 v3 at 0x4b: 4 bytes",
      ],
      findings: [],
    });
  });

  test.each([
    ["zero bytes behind EOF", join(WITH_FOOTERS, new Uint8Array(5000)), 3],
    ["the description of the machine", join(WITH_FOOTERS, description('{"devices": []}')), 3],
    ["one section, with a footer", join(MAGIC, section(CPU), EOF), 1],
    ["a section without device bytes", join(MAGIC, bare({ ...CPU, data: EOF }), bare(IDE), EOF), 2],
    ["save priorities: an id below the one before", join(MAGIC, bare(IDE), bare(CPU), EOF), 2],
    [
      "a version that is a date",
      join(MAGIC, bare(CPU), bare({ ...IDE, version: 20061113 }), EOF),
      2,
    ],
    ["a command before the sections", join(MAGIC, command(1, u32(7)), section(CPU), EOF), 1],
    [
      "a command behind a footer",
      join(MAGIC, section(CPU), command(3, u32(7)), section(IDE), EOF),
      2,
    ],
    [
      "a section that goes on",
      join(
        MAGIC,
        section({ type: 1, id: 2, name: "slirp" }),
        part(2, 2, u32(5)),
        part(3, 2, u32(6)),
        EOF,
      ),
      3,
    ],
  ] as const)("%s", (_, bytes, count) => {
    const { findings, sections } = collectWhole(bytes);
    expect(findings).toEqual([]);
    expect(sections).toHaveLength(count);
  });

  test("a configuration, with and without subsections", () => {
    const subsection = join(bytesOf("05 12"), "configuration/uuid", u32(1), new Uint8Array(16));
    for (const rest of [new Uint8Array(0), subsection]) {
      const bytes = join(MAGIC, configuration("pc-i440fx-7.2"), rest, section(CPU), EOF);
      const { machines, sections, findings } = collectWhole(bytes);
      expect({ machines, findings }).toEqual({ machines: ["pc-i440fx-7.2"], findings: [] });
      expect(sections).toHaveLength(1);
    }
  });
});

describe("device bytes do not pass for a section", () => {
  const FORGED: [string, Uint8Array][] = [
    ["an id that is taken", header({ id: 0, name: "fdc" })],
    ["an id that no guest reaches", header({ id: 0x1_0000, name: "fdc" })],
    ["a name with a space", header({ id: 7, name: "a fdc" })],
    ["a name that is too short", header({ id: 7, name: "ab" })],
    ["an instance that no device has", header({ id: 7, name: "fdc", instance: 0x1_0000 })],
    ["a subsection", join(bytesOf("05 08"), "cpu/full", u32(1))],
    ["EOF and a description", join(EOF, description("{}"))],
    ["a PART", join(Uint8Array.of(2), u32(0), u32(0))],
  ];
  test.each(FORGED)("%s", (_, data) => {
    const bytes = join(MAGIC, bare(TIMER), bare({ ...CPU, data }), bare(IDE), EOF);
    const { sections, findings } = collectWhole(bytes);
    expect(findings).toEqual([]);
    expect(sections.map((text) => text.split(" ")[2])).toEqual(["timer", "cpu", IDE.name]);
  });

  test.each([
    ...FORGED,
    ["a perfect header, but without the footer before it", header({ id: 7, name: "fdc" })],
    ["another footer and a header", join(footer(6), header({ id: 7, name: "fdc" }))],
    ["the own footer and EOF", join(footer(4), EOF)],
    ["the own footer and no item", join(footer(4), Uint8Array.of(9))],
  ] as const)("in a stream with footers: %s", (_, data) => {
    const bytes = join(MAGIC, section(TIMER), section({ ...CPU, data }), section(IDE), EOF);
    const { sections, findings } = collectWhole(bytes);
    expect(findings).toEqual([]);
    expect(sections.map((text) => text.split(" ")[2])).toEqual(["timer", "cpu", IDE.name]);
  });
});

// agent inspect as a command: what its options show, and its exit statuses.

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { INSPECT_SECTIONS } from "../../agent/commands.ts";
import { renderInspectReport } from "../../agent/ui/inspect-report.ts";
import { type InspectReport, InspectReportSchema } from "../../lib/stream/inspect/index.ts";
import { inspectPlan } from "../helpers/inspect-bytes.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { HVM, VALID_PLANS, xlPlan } from "../helpers/stream-builder.ts";
import { encode, type Encoded, indexOf, type StreamPlan } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const LIVE = VALID_PLANS["Remus, PV"]!;

interface Given extends Disposable {
  readonly plan: StreamPlan;
  readonly encoded: Encoded;
  readonly path: string;
  readonly folder: string;
}

function given(plan: StreamPlan): Given {
  const folder = temporaryFolder();
  const encoded = encode(plan);
  const path = join(folder.path, "stream");
  writeFileSync(path, encoded.bytes);
  const dispose = () => folder[Symbol.dispose]();
  return { plan, encoded, path, folder: folder.path, [Symbol.dispose]: dispose };
}

const inspect = (...words: string[]) => run(agentCommand("inspect", ...words), {});

function report(path: string, ...words: string[]): InspectReport {
  const { status, stdout } = inspect("--json", ...words, path);
  expect(status).toBe(0);
  return v.parse(InspectReportSchema, JSON.parse(stdout));
}

describe("agent inspect", () => {
  test("shows every section that the stream has something of", () => {
    using stream = given(xlPlan(HVM));
    const { status, stdout, stderr } = inspect(stream.path);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const titles = stdout.split("\n").filter((line) => /^[A-Z]/.test(line));
    expect(titles).toEqual([
      "Guest",
      "Headers",
      "Records",
      "Memory",
      "Page contents",
      "Iterations",
      "Vcpus",
      "HVM parameters and context",
      "Emulators",
      "Xenstore",
      "CPUID and MSR policy",
      "Config",
    ]);
  });

  test.each([...INSPECT_SECTIONS])("--section %s shows it alone", (name) => {
    using stream = given(LIVE());
    const { status, stdout } = inspect("--section", name, stream.path);
    expect(status).toBe(0);
    expect(stdout.split("\n").filter((line) => /^[A-Z]/.test(line))).toHaveLength(1);
  });

  test("prints one JSON document that keeps its schema", () => {
    using stream = given(LIVE());
    const { memory, contents, checkpoints } = report(stream.path, "--contents");
    expect(memory.sent).toBe(26);
    expect(contents?.pages).toBe(5);
    expect(checkpoints.complete).toBe(3);
  });

  test("says the same of a pipe, a descriptor and compressed data", () => {
    using stream = given(xlPlan(HVM));
    const wanted = { ...report(stream.path, "-c"), input: "" };
    const bytes = Buffer.from(stream.encoded.bytes);
    const packed = join(stream.folder, "packed");
    writeFileSync(packed, Bun.zstdCompressSync(bytes));
    const compression = "zstd" as const;
    expect({ ...report(packed, "-c"), input: "" }).toEqual({ ...wanted, compression });

    const piped = Bun.spawnSync(agentCommand("inspect", "--json", "-c", "-"), { stdin: bytes });
    expect({ ...JSON.parse(piped.stdout.toString()), input: "" }).toEqual(wanted);

    const fd = openSync(stream.path, "r");
    const { stdout } = run(agentCommand("inspect", "--json", "-c", "3"), { descriptors: [fd] });
    closeSync(fd);
    expect(JSON.parse(stdout)).toEqual({ ...wanted, input: "descriptor 3" });
  });
});

describe("--record", () => {
  test("shows head, rows and body of one record", () => {
    using stream = given(xlPlan(HVM));
    const { record_types: types } = report(stream.path);
    const row = types.find(({ name }) => name === "HVM_PARAMS")!;
    const number = String(row.first_record_number);
    const { record } = report(stream.path, "--record", number);
    const index = indexOf(stream.plan, "HVM_PARAMS", 0);
    const body = stream.plan.records[index]!.body;
    expect(record).toMatchObject({
      name: "HVM_PARAMS",
      offset: stream.encoded.starts[index]!,
      body_offset: stream.encoded.bodies[index]!,
      fields: [
        { name: "count", value: "0x7" },
        { name: "reserved", value: "0x0" },
      ],
      body_hex: body.toHex(),
    });
    expect(record?.rows[0]).toEqual({ index: "0x1", value: "0xfeff8" });

    const { stdout } = inspect("--record", number, stream.path);
    const dumped = stdout
      .split("\n")
      .filter((line) => line.endsWith("|"))
      .map((line) => line.replace(/^ +[0-9a-f]+ +(.*) +\|.*$/, "$1").replaceAll(" ", ""));
    expect(dumped.join("")).toBe(body.toHex());
  });

  test("of a batch lists its pfns and where their contents stand", () => {
    using stream = given(LIVE());
    const index = indexOf(stream.plan, "PAGE_DATA", 0);
    const number = report(stream.path).record_types.find(({ name }) => name === "PAGE_DATA")!;
    const { record } = report(stream.path, "-r", String(number.first_record_number));
    const contentsAt = stream.encoded.bodies[index]! + 8 + 16 * 8;
    expect(record?.rows.slice(0, 2)).toEqual([
      { pfn: "0x0", type: "NOTAB", contents: `0x${contentsAt.toString(16)}` },
      { pfn: "0x1", type: "L1TAB", contents: `0x${(contentsAt + 4096).toString(16)}` },
    ]);
    expect(record?.rows.at(-1)).toMatchObject({ contents: "none" });
  });

  test("that is larger than what the report keeps is printed whole", () => {
    const plan = xlPlan(HVM);
    const context = plan.records[indexOf(plan, "EMULATOR_CONTEXT", 0)]!;
    const body = new Uint8Array(1_500_000);
    body.set(context.body);
    for (let at = context.body.length; at < body.length; at += 4) body[at] = at >> 8;
    context.body = body;
    using stream = given(plan);
    const types = JSON.parse(inspect("--json", stream.path).stdout).record_types;
    const found = types.find((row: { name: string }) => row.name === "EMULATOR_CONTEXT");
    const { stdout } = inspect("-r", String(found.first_record_number), stream.path);
    const last = stream.encoded.bodies[indexOf(plan, "EMULATOR_CONTEXT", 0)]! + 1_500_000 - 16;
    expect(stdout).toContain(`\n  ${last.toString(16).padStart(8, "0")}  `);
  });

  test("refuses a number that the stream does not have", () => {
    using stream = given(LIVE());
    const { status, stderr } = inspect("--record", "999", stream.path);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "agent: Cannot show record 999: the stream has 47 records\n",
    });
  });
});

describe("--pages", () => {
  test("shows every version of a page with its contents", () => {
    using stream = given(LIVE());
    const { pages } = report(stream.path, "--pages", "1-0x2");
    const found = pages?.versions.map(({ pfn, type, iteration }) => `${pfn} ${type} ${iteration}`);
    expect(found).toEqual(["1 L1TAB 1", "2 L2TAB pinned 1", "1 NOTAB 2", "2 NOTAB 3"]);
    const bytes = readFileSync(stream.path);
    for (const { offset, contents_hex: hex } of pages?.versions ?? []) {
      expect(hex).toBe(bytes.subarray(offset!, offset! + 4096).toString("hex"));
    }
  });

  test("prints them as hexdumps, and what has no contents as a line", () => {
    using stream = given(LIVE());
    const { status, stdout } = inspect("-p", "0-3", stream.path);
    expect(status).toBe(0);
    const titles = stdout.split("\n").filter((line) => line.startsWith("pfn "));
    expect(titles[0]).toMatch(/^pfn 0x3: XALLOC, record \d+, iteration 1, no contents$/);
    expect(titles[1]).toMatch(/^pfn 0x0: NOTAB, record \d+, iteration 1, contents at 0x[0-9a-f]+/);
    expect(titles).toHaveLength(6);
    expect(stdout).toMatch(/\n {2}000 {2}([0-9a-f]{2} ){8} ([0-9a-f]{2} ){8} \|.{16}\|\n/);
  });

  test.each([
    ["x", "wanted PFN or PFN-PFN such as 0x10-0x1f"],
    ["5-4", "wanted the lower pfn first"],
    ["0x10000000000000", "wanted pfns below 2^52"],
  ])("refuses %s", (pages, wanted) => {
    using stream = given(LIVE());
    const { status, stderr } = inspect("--pages", pages, stream.path);
    expect(stderr).toContain(wanted);
    expect(status).toBe(2);
  });

  test("refuses pages that were never sent", () => {
    using stream = given(LIVE());
    const { status, stderr } = inspect("--pages", "0x5000", stream.path);
    expect(stderr).toContain("the stream has none of them");
    expect(status).toBe(1);
  });
});

describe("a damaged stream", () => {
  test("is shown as far as it goes, with where and why it stopped", () => {
    using stream = given(LIVE());
    const index = indexOf(stream.plan, "SHARED_INFO", 0);
    const cut = stream.encoded.bodies[index]! + 100;
    writeFileSync(stream.path, stream.encoded.bytes.subarray(0, cut));
    const { status, stdout } = inspect(stream.path);
    expect(status).toBe(3);
    expect(stdout.replaceAll(/\s+/g, " ")).toMatch(
      /read as far as it goes: cut short at 0x[0-9a-f]+: libxc SHARED_INFO\.body \(record \d+\)/,
    );
    expect(stdout).toContain("\nMemory\n");

    const { stopped, complete } = JSON.parse(inspect("--json", stream.path).stdout);
    expect({ complete, truncated: stopped.truncated, record: stopped.record }).toEqual({
      complete: false,
      truncated: true,
      record: "SHARED_INFO",
    });
  });

  test("is told from what is no stream at all", () => {
    using stream = given(LIVE());
    writeFileSync(stream.path, "not a stream, but long enough to be one");
    const { status, stdout } = inspect(stream.path);
    expect(status).toBe(3);
    expect(stdout).toContain(": not a guest-state stream\n");
  });

  test("with text that could drive a terminal is harmless", () => {
    const plan = xlPlan(HVM);
    const config = plan.records[indexOf(plan, "CONFIG", 0)]!;
    const text = new TextDecoder().decode(config.body.subarray(4));
    const hostile = text.replace(/"name":"[^"]*"/, String.raw`"name":"\u001b[2J\u202eevil"`);
    const bytes = new TextEncoder().encode(hostile);
    config.body = Uint8Array.from([
      ...new Uint8Array(new Uint32Array([bytes.length]).buffer),
      ...bytes,
    ]);
    const header = plan.records[indexOf(plan, "save_header", 0)]!.body;
    new DataView(header.buffer, header.byteOffset).setUint32(12, config.body.byteLength, true);
    const shown = renderInspectReport(
      inspectPlan(plan, {}),
      { columns: 100, coloured: false, unicode: true },
      undefined,
    );
    expect(hostile).toContain("evil");
    expect(shown).toContain("??[2J?evil".slice(1));
    // oxlint-disable-next-line no-control-regex -- they are what must not be there.
    expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });
});

describe("the layout", () => {
  const plans = [
    "xl, HVM",
    "Remus, PV",
    "xl, PV 32",
    "suspend image, HVM",
    "legacy PV, tool 64, guest 64",
  ];

  test.each([50, 80, 100, 200])("keeps to %i columns", (columns) => {
    for (const name of plans) {
      const found = inspectPlan(VALID_PLANS[name]!(), { contents: true });
      const style = { columns, coloured: false, unicode: true };
      const text = renderInspectReport(found, style, undefined);
      const wide = text.split("\n").filter((line) => Bun.stringWidth(line) > columns);
      expect(wide).toEqual([]);
    }
  });

  test("has colours and block characters only where they are wanted", () => {
    const found = inspectPlan(LIVE(), { contents: true });
    const plain = { columns: 80, coloured: false, unicode: false };
    const text = renderInspectReport(found, plain, undefined);
    expect(text).toMatch(/^[\n -~]*$/);
    const coloured = renderInspectReport(found, { ...plain, coloured: true }, undefined);
    expect(coloured).toContain("\u001b[1mMemory\u001b[0m");
    // oxlint-disable-next-line no-control-regex -- colours are made of them.
    expect(coloured.replaceAll(/\u001b\[[0-9;]*m/g, "")).toBe(text);
  });
});

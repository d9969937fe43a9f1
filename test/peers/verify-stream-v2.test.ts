// Our stand-in for verify-stream-v2 against the original: on real captures, and on a few hundred
// damaged streams. Where they differ, a row of differences.ts must say why.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemorySource } from "../../lib/bytes/index.ts";
import { verifyStream, type VerifyReport } from "../../lib/stream/index.ts";
import { LIBXC } from "../../lib/stream/libxc/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { capturePath, captureTitle } from "../helpers/captures.ts";
import { randomNumbers } from "../helpers/pieces.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode, type StreamPlan } from "../helpers/stream-plan.ts";
import { referenceTitle, referenceTool } from "../helpers/xen-utils.ts";
import { capturePlan } from "./capture-plan.ts";
import { ADDITIONAL_CHECKS, DEFECTS, findingText } from "./differences.ts";
import { EXAMPLES } from "./difference-examples.ts";
import { mutate } from "./mutations.ts";
import { Reference, type ReferenceFormat, type Verdict } from "./reference.ts";

const CAPTURES = [
  "pv32.xl-save",
  "pv48-2.xl-save",
  "pvh48.xl-save",
  "hvm40-physmap.xl-save",
  "pv32.migrate.to-receiver",
  "pv32.remus.to-receiver",
];
/** The streams of VALID_PLANS that the original has a format for. */
const PLAN_FORMATS = Object.keys(VALID_PLANS).flatMap((name) => {
  if (name.includes("legacy") || name.includes("suspend")) return [];
  const format: ReferenceFormat = name.startsWith("libxl")
    ? "libxl"
    : name.startsWith("libxc")
      ? "libxc"
      : "xl";
  return [[name, format] as const];
});
const MUTATIONS_EACH = 40;
/** Of the damaged streams one in so many goes through the compiled program too. */
const BINARY_EVERY = 16;
const SEED = Number(process.env["SEED"] ?? 1);

const tool = referenceTool();
let folder = "";
let reference: Reference;
let standIn = "";

beforeAll(() => {
  if (tool === undefined) return;
  folder = mkdtempSync(join(tmpdir(), "agent-peers-"));
  reference = new Reference(tool);
  mkdirSync(join(folder, "bin"));
  standIn = join(folder, "bin/verify-stream-v2");
  symlinkSync(builtBinary(), standIn);
});

afterAll(() => {
  if (tool === undefined) return;
  reference[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Ours {
  readonly status: number;
  readonly report: VerifyReport;
  /** Of the first libxc CHECKPOINT: behind it the original takes libxl's records for libxc's. */
  readonly checkpoint: number;
}

/** What the stand-in makes of it, without a process. */
function ours(bytes: Uint8Array, format: ReferenceFormat): Ours {
  let checkpoint = Number.POSITIVE_INFINITY;
  const report = verifyStream(new MemorySource("stream", bytes), {
    format,
    compression: undefined,
    limit: 10_000,
    onProgress: () => undefined,
    listener: {
      record({ record, recordNumber }) {
        if (record === LIBXC.checkpoint.name) checkpoint = Math.min(checkpoint, recordNumber);
      },
    },
  });
  const isGood = report.verdict === "good" && report.strict_warnings === 0;
  return { status: isGood ? 0 : 1, report, checkpoint };
}

const runStandIn = (...words: string[]) => {
  const { exitCode, stdout, stderr } = Bun.spawnSync([standIn, ...words]);
  return { status: exitCode, output: stdout.toString(), errors: stderr.toString() };
};

/** Why the two may differ; throws where nothing says so. */
function explain({ status, report, checkpoint }: Ours, theirs: Verdict): void {
  const findings = report.findings
    .filter(({ record_number: number }) => number <= checkpoint)
    .map((finding) => ({ ...finding, text: findingText(finding) }));
  if (theirs.status === 0) {
    // A strict warning says that the original refuses the stream.
    const refused = findings.filter(({ severity, strict }) => severity === "warning" && strict);
    expect(refused.map(({ text }) => text)).toEqual([]);
    const errors = findings.filter(({ severity }) => severity === "error");
    const unexplained = errors.filter(
      ({ text }) => !ADDITIONAL_CHECKS.some(({ finding }) => finding.test(text)),
    );
    expect(unexplained.map(({ text }) => text)).toEqual([]);
  } else if (status !== theirs.status) {
    const names = DEFECTS.filter((defect) => defect.explains(theirs, report)).map(
      (row) => row.name,
    );
    if (names.length === 0) throw new Error(`Only verify-stream-v2 refuses it: ${theirs.error}`);
  }
}

async function compare(name: string, bytes: Uint8Array, format: ReferenceFormat): Promise<Ours> {
  const path = join(folder, "stream");
  writeFileSync(path, bytes);
  const found = ours(bytes, format);
  try {
    explain(found, await reference.verify(path, format, false));
  } catch (error) {
    writeFileSync(join(tmpdir(), "agent-peers-difference"), bytes);
    console.error(`SEED=${SEED} ${name}, -f ${format}: kept as agent-peers-difference`);
    throw error;
  }
  return found;
}

/** Damages `plan()` again and again, and compares what the two make of it. */
async function compareDamaged(
  name: string,
  plan: () => StreamPlan,
  format: ReferenceFormat,
): Promise<void> {
  const random = randomNumbers(SEED + Bun.hash.crc32(name));
  for (let round = 0; round < MUTATIONS_EACH; round++) {
    const { bytes, done } = mutate(plan(), random);
    const found = await compare(`${name}, round ${round}: ${done}`, bytes, format);
    if (round % BINARY_EVERY > 0) continue;
    const ran = runStandIn("-f", format, "-i", join(folder, "stream"));
    expect(ran.status).toBe(found.status);
    expect(ran.errors.startsWith("Stream Error:\n")).toBe(found.status === 1);
  }
}

const titled = (title: string) => referenceTitle(title, tool);

describe("captures", () => {
  for (const name of CAPTURES) {
    const path = capturePath(name);
    const isAbsent = tool === undefined || path === undefined;
    test.skipIf(isAbsent)(titled(captureTitle(name, path)), async () => {
      const { status } = runStandIn("-f", "xl", "-i", path!, "-q");
      expect(status).toBe(0);
      const theirs = await reference.verify(path!, "xl", true);
      explain(ours(readFileSync(path!), "xl"), theirs);
      if (theirs.status !== 0) return;
      const listed = runStandIn("-v", "-f", "xl", "-i", path!);
      expect(listed).toEqual({ status: 0, output: theirs.output, errors: "" });
    });

    test.skipIf(isAbsent)(titled(captureTitle(`${name}, damaged`, path)), async () => {
      const plan = capturePlan(readFileSync(path!));
      const copy = (): StreamPlan => ({ records: plan.records.map((record) => ({ ...record })) });
      await compareDamaged(name, copy, "xl");
    });
  }
});

describe("built streams", () => {
  for (const [name, format] of PLAN_FORMATS) {
    const plan = VALID_PLANS[name]!;
    test.skipIf(tool === undefined)(titled(name), async () => {
      const { bytes } = encode(plan());
      await compare(name, bytes, format);
      await compareDamaged(name, plan, format);
    });
  }
});

test.skipIf(tool === undefined)(
  titled("the original, started as a program, ends with the statuses that the comparison gives"),
  async () => {
    const { python, script, library } = tool!;
    const env = { PYTHONPATH: library, PYTHONDONTWRITEBYTECODE: "1" };
    const good = encode(VALID_PLANS["xl, PV 64"]!()).bytes;
    for (const [bytes, status] of [
      [good, 0],
      [good.subarray(0, good.byteLength - 1), 1],
    ] as const) {
      const path = join(folder, "program");
      writeFileSync(path, bytes);
      const command = [python, script, "-f", "xl", "-i", path];
      expect(Bun.spawnSync(command, { env }).exitCode).toBe(status);
      expect((await reference.verify(path, "xl", false)).status).toBe(status);
      expect(runStandIn("-f", "xl", "-i", path).status).toBe(status);
    }
  },
);

describe("every row of the differences is true", () => {
  for (const { name, finding } of ADDITIONAL_CHECKS) {
    test.skipIf(tool === undefined)(titled(`only we check: ${name}`), async () => {
      const [plan, format, edit] = EXAMPLES[name]!;
      const edited = VALID_PLANS[plan]!();
      edit(edited);
      const found = await compare(name, encode(edited).bytes, format);
      expect((await reference.verify(join(folder, "stream"), format, false)).status).toBe(0);
      expect(found.report.findings.map(findingText).join("\n")).toMatch(finding);
      expect(found.status).toBe(1);
    });
  }

  for (const { name, explains } of DEFECTS) {
    const example = EXAMPLES[name];
    if (example === undefined) continue; // It depends on the machine's memory.
    test.skipIf(tool === undefined)(titled(`a defect of the original: ${name}`), async () => {
      const [plan, format, edit] = example;
      const edited = VALID_PLANS[plan]!();
      edit(edited);
      const { report, status } = await compare(name, encode(edited).bytes, format);
      const theirs = await reference.verify(join(folder, "stream"), format, false);
      expect(theirs.status).not.toBe(status);
      expect(explains(theirs, report)).toBeTrue();
    });
  }
});

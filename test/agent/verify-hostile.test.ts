// `agent verify` and inputs made to hurt it: damaged anywhere, lengths that lie, streams without an
// end. It ends by itself, with status 3 and one clear error or with status 0 where nothing is
// wrong, in bounded memory; never with a crash.

import { describe, expect, test } from "bun:test";
import { openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makePipe } from "../../lib/sys/index.ts";
import { suspendRecord, suspendRecords } from "../helpers/suspend-builder.ts";
import { programCommand } from "../helpers/run.ts";
import {
  checkpointedPlan,
  HVM,
  libxcRecords,
  libxlRecords,
  PV64,
  xlPlan,
} from "../helpers/stream-builder.ts";
import {
  bare,
  encode,
  filled,
  indexOf,
  insertBefore,
  type PlanRecord,
  planRecord,
  recordNamed,
  type StreamPlan,
} from "../helpers/stream-plan.ts";
import { checkpointState, unknownRecord } from "../helpers/stream-records.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { verifyProcess } from "../helpers/verify-process.ts";

const MiB = 2 ** 20;
/** The runtime's own, the arena and its windows; no input may take more. */
const PEAK_BYTES_MAX = 160 * MiB;
const DATA_IS_WRONG = 3;

/** Behind `prefix` of the plan the record again and again, from a program that never stops. */
async function verifyEndless(plan: StreamPlan, before: string, record: PlanRecord) {
  using folder = temporaryFolder();
  const path = join(folder.path, "stream");
  plan.records.splice(indexOf(plan, before, 0), plan.records.length, record);
  const { bytes, starts } = encode(plan);
  writeFileSync(path, bytes);
  const pipe = makePipe();
  const offset = String(starts.at(-2));
  const generator = Bun.spawn(programCommand("endless-stream", path, offset), {
    stdio: ["ignore", pipe.writeEnd.number, "inherit"],
  });
  pipe.writeEnd[Symbol.dispose]();
  try {
    return await verifyProcess(["-", "--limit=20"], { stdin: pipe.readEnd.number });
  } finally {
    pipe.readEnd[Symbol.dispose]();
    generator.kill();
    await generator.exited;
  }
}

const NOTHING = new Uint8Array();
const libxlUnknown = (): PlanRecord =>
  planRecord({ layer: "libxl", name: "unknown", framing: "record", type: 9 }, NOTHING);
const libxc = (): StreamPlan => ({ records: libxcRecords(PV64) });
const remus = (): StreamPlan => checkpointedPlan(PV64, { checkpoints: 2, isColo: false });

describe("a pipe without an end", () => {
  test.each([
    // what comes without an end, behind what, and what is said at last
    [
      "optional records",
      libxc,
      "X86_TSC_INFO",
      unknownRecord(0x8000_0000, NOTHING),
      "expected at most 65536 unknown optional records, found one more",
    ],
    [
      "large optional records",
      libxc,
      "X86_TSC_INFO",
      unknownRecord(0x8000_0000, filled(3000, 1)),
      "expected at most 65536 unknown optional records, found one more",
    ],
    [
      "unknown records",
      libxc,
      "X86_TSC_INFO",
      unknownRecord(0x77, NOTHING),
      "expected at most 65536 errors in a stream, found one more",
    ],
    [
      "unknown libxl records",
      () => ({ records: libxlRecords(HVM) }),
      "EMULATOR_CONTEXT",
      libxlUnknown(),
      "expected at most 65536 errors in a stream, found one more",
    ],
    [
      "CHECKPOINT_STATE records",
      () => checkpointedPlan(PV64, { checkpoints: 2, isColo: true }),
      "CHECKPOINT_STATE",
      checkpointState(0),
      "expected one CHECKPOINT_STATE between two checkpoints, found another one",
    ],
    [
      "an xapi record of 1 TiB",
      () => ({ records: suspendRecords("libxc", libxcRecords(PV64)) }),
      "QEMU_XEN",
      { ...suspendRecord("QEMU_XEN", filled(4096, 1)), length: 2n ** 40n },
      "expected at most 0x8000000 for QEMU_XEN, found 0x10000000000",
    ],
    [
      "zeros",
      libxc,
      "image_header",
      bare("libxc", "zeros", filled(4096, 0)),
      "nothing but zero bytes at the start",
    ],
  ] as const)(
    "%s",
    async (_, build, before, record, said) => {
      const { status, signal, stdout, stderr, peakBytes } = await verifyEndless(
        build(),
        before,
        record,
      );
      expect({ status, signal, stderr }).toEqual({
        status: DATA_IS_WRONG,
        signal: null,
        stderr: "",
      });
      expect(stdout).toContain(said);
      expect(stdout.split("\n").length).toBeLessThan(40);
      expect(peakBytes).toBeGreaterThan(0); // It was measured.
      expect(peakBytes).toBeLessThan(PEAK_BYTES_MAX);
    },
    90_000,
  );
});

describe("a file that lies", () => {
  const rows: readonly (readonly [string, (plan: StreamPlan) => void])[] = [
    ...[0, 7, 2 ** 27, 2 ** 31, 2 ** 32 - 1].flatMap((length) =>
      ["PAGE_DATA", "X86_TSC_INFO", "X86_PV_VCPU_XSAVE", "X86_PV_P2M_FRAMES"].map(
        (name) =>
          [
            `${name} of ${length} bytes`,
            (plan: StreamPlan) => {
              recordNamed(plan, name).length = length;
            },
          ] as const,
      ),
    ),
    [
      "records in the reverse order",
      ({ records }) => {
        records.splice(0, records.length, ...records.slice(0, 3), ...records.slice(3).reverse());
      },
    ],
    [
      "every record twice",
      (plan) => {
        plan.records = plan.records.flatMap((record) => [record, record]);
      },
    ],
    [
      "every second record",
      (plan) => {
        plan.records = plan.records.filter((_, index) => index % 2 === 0);
      },
    ],
    [
      "70000 damaged records",
      (plan) => insertBefore(plan, "X86_TSC_INFO", ...Array.from({ length: 70_000 }, libxlUnknown)),
    ],
  ];
  test("ends with status 3 and in bounded memory", async () => {
    using folder = temporaryFolder();
    for (const [title, edit] of rows) {
      const plan = xlPlan(PV64);
      edit(plan);
      const path = join(folder.path, "stream");
      writeFileSync(path, encode(plan).bytes);
      const { status, signal, stderr, peakBytes } = await verifyProcess(["--quiet", path], {
        stdin: "ignore",
      });
      expect({ title, status, signal, stderr }).toEqual({
        title,
        status: DATA_IS_WRONG,
        signal: null,
        stderr: "",
      });
      expect(peakBytes).toBeLessThan(PEAK_BYTES_MAX);
    }
  }, 120_000);

  test("a sparse file of 1 TiB behind a large record is not read through memory", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "sparse");
    const plan = remus();
    recordNamed(plan, "PAGE_DATA").length = 2 ** 27;
    writeFileSync(path, encode(plan).bytes);
    const { exitCode } = Bun.spawnSync(["truncate", "-s", "1T", path]);
    expect(exitCode).toBe(0);
    const { status, peakBytes } = await verifyProcess(["--quiet", path], { stdin: "ignore" });
    expect(status).toBe(DATA_IS_WRONG);
    expect(peakBytes).toBeLessThan(PEAK_BYTES_MAX);
  }, 60_000);
});

test("a pipe that is only opened and closed is empty, which is wrong data", async () => {
  const stdin = openSync("/dev/null", "r");
  const { status, stdout } = await verifyProcess(["-"], { stdin });
  expect(status).toBe(DATA_IS_WRONG);
  expect(stdout).toContain("no bytes at all: the input is empty");
});

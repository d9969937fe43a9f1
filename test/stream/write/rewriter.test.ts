// What the readers understand, the writers write: every capture and every built stream that is read
// and written again comes out byte for byte.

import { describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { hex } from "../../../lib/base/index.ts";
import {
  describeFinding,
  MemorySource,
  type Row,
  type Sink,
  type Source,
} from "../../../lib/bytes/index.ts";
import { MemorySink } from "../../../lib/stream/output/index.ts";
import { FileSource } from "../../../lib/stream/input/index.ts";
import { LIBXC, PAGE_DATA_HEAD } from "../../../lib/stream/libxc/index.ts";
import { LIBXL } from "../../../lib/stream/libxl/index.ts";
import { openOutput } from "../../../lib/stream/output/index.ts";
import { walk, type WalkEnd } from "../../../lib/stream/walk/index.ts";
import {
  Rewriter,
  UNCHANGED,
  type WritableRecord,
  writeRecord,
  writeXapiHeader,
  writeXapiSignature,
} from "../../../lib/stream/write/index.ts";
import { XAPI } from "../../../lib/stream/xapi/index.ts";
import { openForReading } from "../../../lib/sys/index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";
import { libxcRecords, PV64, VALID_PLANS } from "../../helpers/stream-builder.ts";
import { ascii, bare, encode, setField, type StreamPlan } from "../../helpers/stream-plan.ts";
import { dirtyPfnList, toolstack, unknownRecord } from "../../helpers/stream-records.ts";
import { suspendRecord } from "../../helpers/suspend-builder.ts";
import { messageOf } from "../../helpers/system-error.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const rewrite = (source: Source, sink: Sink): WalkEnd =>
  walk(source, new Rewriter(sink, UNCHANGED), { format: undefined, onProgress: () => undefined });

/** Legacy streams are read only: they are converted, never written. */
const PLANS = Object.entries(VALID_PLANS).filter(([name]) => !name.includes("legacy"));

describe("a built stream is written as it was read", () => {
  test.each(PLANS)("%s", (_, build) => {
    const { bytes } = encode(build());
    const sink = new MemorySink();
    const end = rewrite(new MemorySource("built", bytes), sink);
    expect(end.stopped).toBeUndefined();
    expect(Buffer.compare(sink.contents, bytes)).toBe(0);
  });
});

const CAPTURES = [
  "hvm40-physmap.xl-save",
  "pv32.migrate.to-receiver",
  "pv32.remus.to-receiver",
  "pv32.xl-save",
  "pv48-2.xl-save",
  "pvh48.xl-save",
].map((name) => ({ name, path: capturePath(name) }));

describe("a capture is written as it was read", () => {
  for (const { name, path } of CAPTURES) {
    test.skipIf(path === undefined)(captureTitle(name, path), () => {
      using folder = temporaryFolder();
      const out = join(folder.path, "out");
      const bytesTotal = statSync(path!).size;
      using source = new FileSource(openForReading(path!), { bytesTotal, start: 0 });
      using output = openOutput(out, { existing: "refuse", inputs: [] });
      const end = rewrite(source, output.sink);
      output.commit();
      expect(end.stopped).toBeUndefined();
      const written = readFileSync(out);
      // Behind a migration stream stands the sender's message: not part of it.
      expect(written.byteLength).toBe(end.position);
      expect(Buffer.compare(written, readFileSync(path!).subarray(0, end.position))).toBe(0);
    });
  }
});

/** Records that no restoring libxc takes, but that have a place in the format. */
const rare = (): StreamPlan => {
  const records = libxcRecords(PV64);
  const unknown = unknownRecord(0x8000_0042, new Uint8Array(13).fill(7));
  records.splice(-1, 0, toolstack(), dirtyPfnList(), unknown);
  return { records };
};

test("records that only other readers take are written too", () => {
  const { bytes } = encode(rare());
  const sink = new MemorySink();
  expect(rewrite(new MemorySource("built", bytes), sink).stopped).toBeUndefined();
  expect(Buffer.compare(sink.contents, bytes)).toBe(0);
});

test("every record of every format is in the streams above", () => {
  const plans = [...PLANS.map(([, build]) => build()), rare()];
  const written = new Set(plans.flatMap(({ records }) => records.map(({ name }) => name)));
  const tables = [...Object.values(LIBXC), ...Object.values(LIBXL), ...XAPI];
  const names = tables.map(({ name }) => name).filter((name) => name !== "LIBXC_LEGACY");
  expect(names.filter((name) => !written.has(name))).toEqual([]);
});

test.each([
  ["a head that readers refuse", 0, "libxc PAGE_DATA.count at offset OFFSET"],
  ["a body that is too short for its pfns", 99_999, "libxc PAGE_DATA.body_length at offset OFFSET"],
])("%s is not passed on", (_, count, message) => {
  const records = libxcRecords(PV64);
  const index = records.findIndex(({ name }) => name === "PAGE_DATA");
  setField(records[index]!, PAGE_DATA_HEAD, { field: "count", value: count });
  const { bytes, bodies, starts } = encode({ records });
  const { stopped } = rewrite(new MemorySource("built", bytes), new MemorySink());
  const offset = count === 0 ? bodies[index]! : starts[index]! + 4;
  expect(stopped && describeFinding(stopped)).toStartWith(message.replace("OFFSET", hex(offset)));
});

test("a suspend image is written record by record", () => {
  const sink = new MemorySink();
  writeXapiSignature(sink);
  writeXapiHeader(sink, "XENOPS", 2);
  sink.write(ascii("()"));
  writeXapiHeader(sink, "LIBXC", 0);
  sink.write(encode({ records: libxcRecords(PV64) }).bytes);
  writeXapiHeader(sink, "END_OF_IMAGE", 0);
  const records = [
    bare("xapi", "signature", ascii("XenSavedDomv2-\n")),
    suspendRecord("XENOPS", ascii("()")),
    suspendRecord("LIBXC", new Uint8Array(0)),
    ...libxcRecords(PV64),
    suspendRecord("END_OF_IMAGE", new Uint8Array(0)),
  ];
  expect(Buffer.compare(sink.contents, encode({ records }).bytes)).toBe(0);
  expect(messageOf(() => writeXapiHeader(sink, "NONE", 0))).toContain("has a record NONE");
});

describe("what a reader would refuse is never written", () => {
  test.each([
    ["a count of 0", () => write(LIBXC.pageData, { count: 0, reserved: 0 }, 8), "count is written"],
    ["a width of 5", () => write(LIBXC.pvInfo, { ...PV_INFO, guest_width: 5 }, 0), "guest_width"],
    ["a longer END", () => write(LIBXC.end, {}, 1), "1 bytes can follow the head of END"],
    ["a short SHARED_INFO", () => write(LIBXC.sharedInfo, {}, 9), "9 bytes can follow the head"],
    ["half a row", () => write(LIBXC.msrPolicy, {}, 24), "24 bytes can follow the head"],
    ["an empty context", () => write(LIBXC.hvmContext, {}, 0), "0 bytes can follow the head"],
  ])("%s", (_, attempt, message) => {
    expect(messageOf(attempt)).toStartWith("Assertion failed: ");
    expect(messageOf(attempt)).toContain(message);
  });
});

const PV_INFO = { guest_width: 8, pt_levels: 4, reserved_a: 0, reserved_b: 0 };
const write = <R extends WritableRecord>(record: R, head: Row<R["head"]>, tailBytes: number) =>
  writeRecord(new MemorySink(), record, head, new Uint8Array(tailBytes));

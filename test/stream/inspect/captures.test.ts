// Golden reports of real streams, as text and as JSON: every figure of both is to be read when it
// changes. Text is at 100 columns, with block characters and without colours.

import { describe, expect, test } from "bun:test";
import { basename } from "node:path";
import { renderInspectReport } from "../../../agent/ui/inspect-report.ts";
import type { InspectReport } from "../../../lib/stream/inspect/index.ts";
import { openInput } from "../../../lib/stream/index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";
import { goldenFile } from "../../helpers/golden.ts";
import { inspectSource } from "../../helpers/inspect-bytes.ts";

const CAPTURES = [
  "pv32.xl-save",
  "pv48-2.xl-save",
  "pvh48.xl-save",
  "hvm40-physmap.xl-save",
  "pv32.migrate.to-receiver",
  "pv32.migrate.from-receiver",
  "pv32.remus.to-receiver",
];
const STYLE = { columns: 100, coloured: false, unicode: true };
const NO_COMMAND = { executable: "", words: [], environment: {} };

/** The report with contents, under a name that does not depend on the machine. */
async function inspectCapture(path: string, name: string): Promise<InspectReport> {
  const input = openInput(path, { selfCommand: NO_COMMAND });
  const report = inspectSource(input.source, { contents: true });
  await input.close();
  expect(basename(report.input)).toEndWith(name);
  return { ...report, input: name };
}

/** JSON as lines, lists of numbers as runs: "8*120 7 8*3". */
function jsonLines(report: InspectReport): string[] {
  const short = (_: string, value: unknown): unknown =>
    Array.isArray(value) && value.length > 40 && value.every((item) => typeof item === "number")
      ? runsOf(value).join(" ")
      : value;
  return JSON.stringify(report, short, 1).split("\n");
}

function runsOf(numbers: readonly number[]): string[] {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last?.[0] === number) last[1]++;
    else runs.push([number, 1]);
  }
  return runs.map(([number, count]) => (count === 1 ? String(number) : `${number}*${count}`));
}

describe("a real stream", () => {
  for (const name of CAPTURES) {
    const path = capturePath(name);
    const golden = goldenFile(`inspect/${name}`);
    for (const title of ["text", "json"]) golden.announce(title);
    test.skipIf(path === undefined)(captureTitle(name, path), async () => {
      const report = await inspectCapture(path!, name);
      golden.expectLines(
        "text",
        renderInspectReport(report, STYLE, undefined).trimEnd().split("\n"),
      );
      golden.expectLines("json", jsonLines(report));
    });
  }
});

const LIVE = capturePath("pv32.migrate.to-receiver");

test.skipIf(LIVE === undefined)(
  captureTitle("zero and duplicate pages are those that another count finds", LIVE),
  async () => {
    const { contents, record_runs: runs } = await inspectCapture(LIVE!, "migrate.to-receiver");
    const file = new Uint8Array(await Bun.file(LIVE!).arrayBuffer());
    const view = new DataView(file.buffer);
    const seen = new Set<string>();
    const counted = { pages: 0, zero: 0, duplicate: 0, distinct: 0 };
    const batches = runs.find(({ name }) => name === "PAGE_DATA")!;
    for (let at = batches.offset, left = batches.count; left > 0; left--) {
      const bodyBytes = view.getUint32(at + 4, true);
      const count = view.getUint32(at + 8, true);
      for (let page = at + 16 + count * 8; page < at + 8 + bodyBytes; page += 4096) {
        const contentsOfPage = file.subarray(page, page + 4096);
        const digest = Bun.SHA256.hash(contentsOfPage, "hex");
        counted.pages++;
        if (contentsOfPage.every((byte) => byte === 0)) counted.zero++;
        else if (seen.has(digest)) counted.duplicate++;
        else counted.distinct++;
        seen.add(digest);
      }
      at += 8 + Math.ceil(bodyBytes / 8) * 8;
    }
    expect(contents).toEqual(counted);
  },
  30_000,
);

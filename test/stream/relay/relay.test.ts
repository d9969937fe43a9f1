// A relay from file to file in one process: every kind of stream, every kind of trouble. What needs
// two processes stands in test/agent/relay.test.ts.

import { describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import {
  Capture,
  type OwnedEnd,
  ownEnd,
  RelayReportSchema,
  relayStream,
} from "../../../lib/stream/index.ts";
import { Fd } from "../../../lib/sys/index.ts";
import { fullXlStream, withBadPage } from "../../helpers/full-stream.ts";
import { openDescriptors, openedSince } from "../../helpers/open-descriptors.ts";
import { smallDisk } from "../../helpers/small-disk.ts";
import { PV64, VALID_PLANS, xlPlan } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

interface Request {
  readonly folder: string;
  readonly bytes: Uint8Array;
  readonly onError?: "pass" | "cut";
  readonly capture?: string;
  readonly isExact?: boolean;
}

const fileEnd = (path: string, flags: string): OwnedEnd =>
  ownEnd(new Fd(openSync(path, flags), path));

function relay({ folder, bytes, onError, capture, isExact }: Request) {
  const [from, to] = [join(folder, "from"), join(folder, "to")];
  writeFileSync(from, bytes);
  const opened = capture === undefined ? undefined : new Capture(capture);
  const source = fileEnd(from, "r");
  const target = fileEnd(to, "w");
  const { report, bug } = relayStream({
    source,
    target,
    back: undefined,
    format: undefined,
    onError: onError ?? "pass",
    limit: 10,
    rate: undefined,
    capture: opened,
    control: undefined,
    lifeline: undefined,
    isExact: isExact ?? false,
    tailsElsewhere: false,
    gate: undefined,
    onProgress() {},
  });
  source.letGo();
  opened?.[Symbol.dispose]();
  expect(bug).toBeUndefined();
  expect(v.parse(RelayReportSchema, report)).toEqual(report);
  return { report, passed: readFileSync(to) };
}

const GOOD = encode(xlPlan(PV64)).bytes;

describe("every kind of valid stream is passed on whole", () => {
  test.each(Object.entries(VALID_PLANS))("%s", (_, plan) => {
    using folder = temporaryFolder();
    const { bytes } = encode(plan());
    const before = openDescriptors();
    const { report, passed } = relay({ folder: folder.path, bytes });
    expect(report).toMatchObject({ verdict: "good", ended: "end", failure: null });
    expect(passed.equals(bytes)).toBe(true);
    expect(report.bytes.delivered).toBe(bytes.byteLength);
    expect(openedSince(before)).toEqual([]);
  });
});

describe("what stands behind the stream", () => {
  const behind = Uint8Array.from({ length: 9000 }, (_, index) => index);
  const bytes = Buffer.concat([GOOD, behind]);

  test("is passed on too, and not captured", () => {
    using folder = temporaryFolder();
    const capture = join(folder.path, "capture");
    const { report, passed } = relay({ folder: folder.path, bytes, capture });
    expect(report).toMatchObject({ verdict: "good", bytes: { behind_the_end: behind.byteLength } });
    expect(passed.equals(bytes)).toBe(true);
    expect(readFileSync(capture).equals(GOOD)).toBe(true);
  });

  test("is not touched by an exact relay", () => {
    using folder = temporaryFolder();
    const { report, passed } = relay({ folder: folder.path, bytes, isExact: true });
    expect(report).toMatchObject({ verdict: "good", bytes: { taken: GOOD.byteLength } });
    expect(passed.equals(GOOD)).toBe(true);
  });
});

describe("a bad stream", () => {
  const badPage = encode(withBadPage(xlPlan(PV64))).bytes;
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ["garbage", new Uint8Array(100_000).fill(7)],
    ["cut short", GOOD.subarray(0, GOOD.byteLength - 20)],
    ["a page of no known type, and all else as it should be", badPage],
    ["nothing at all", new Uint8Array()],
  ];

  test.each(cases)("is passed on whole: %s", (_, bytes) => {
    using folder = temporaryFolder();
    const capture = join(folder.path, "capture");
    const { report, passed } = relay({ folder: folder.path, bytes, capture });
    expect(report).toMatchObject({ verdict: "bad", ended: "end", capture: { state: "whole" } });
    expect(passed.equals(bytes)).toBe(true);
    expect(readFileSync(capture).equals(bytes)).toBe(true);
  });

  test.each(cases)("never comes to its end where it is cut: %s", (_, bytes) => {
    using folder = temporaryFolder();
    const capture = join(folder.path, "capture");
    const { report, passed } = relay({ folder: folder.path, bytes, onError: "cut", capture });
    expect(report).toMatchObject({ verdict: "bad", ended: "cut", capture: { state: "broken" } });
    if (bytes.byteLength > 0) expect(passed.byteLength).toBeLessThan(bytes.byteLength);
    expect(passed.equals(bytes.subarray(0, passed.byteLength))).toBe(true);
    expect(existsSync(capture)).toBe(false);
    expect(existsSync(`${capture}.broken`)).toBe(true);
  });

  test("is cut at every length of its input without its END", () => {
    using folder = temporaryFolder();
    for (let length = 0; length < GOOD.byteLength; length += 997) {
      const bytes = GOOD.subarray(0, length);
      const { report, passed } = relay({ folder: folder.path, bytes, onError: "cut" });
      expect(report.ended).toBe("cut");
      expect(passed.equals(bytes.subarray(0, passed.byteLength))).toBe(true);
    }
  });
});

describe("the capture", () => {
  test("is the stream, large bodies and all", () => {
    using folder = temporaryFolder();
    const bytes = fullXlStream({ ...PV64, pages: 1024 });
    const capture = join(folder.path, "capture");
    const { report, passed } = relay({ folder: folder.path, bytes, capture });
    expect(report).toMatchObject({ verdict: "good", capture: { state: "whole" } });
    expect(passed.equals(bytes)).toBe(true);
    expect(readFileSync(capture).equals(bytes)).toBe(true);
    expect(readdirSync(folder.path).sort()).toEqual(["capture", "from", "to"]);
  });

  test("on a full disk is marked broken, and the relay goes on", () => {
    using disk = smallDisk(256 * 1024);
    if (disk === undefined) return;
    using folder = temporaryFolder();
    const bytes = fullXlStream({ ...PV64, pages: 1024 });
    const capture = join(disk.path, "capture");
    const { report, passed } = relay({ folder: folder.path, bytes, capture });
    expect(report).toMatchObject({ verdict: "good", ended: "end", capture: { state: "broken" } });
    expect(report.capture?.reason).toContain("the disk is full");
    expect(passed.equals(bytes)).toBe(true);
    expect(readdirSync(disk.path)).toEqual(["capture.broken"]);
    expect(statSync(`${capture}.broken`).size).toBe(report.capture!.bytes);
  });

  test.each(["", ".broken", ".partial"])("never takes the place of a file CAPTURE%s", (suffix) => {
    using folder = temporaryFolder();
    const capture = join(folder.path, "capture");
    writeFileSync(`${capture}${suffix}`, "mine");
    expect(() => new Capture(capture)).toThrow(`Cannot capture to "${capture}"`);
    expect(readFileSync(`${capture}${suffix}`, "utf8")).toBe("mine");
  });

  test("needs a directory", () => {
    using folder = temporaryFolder();
    mkdirSync(join(folder.path, "there"));
    expect(() => new Capture(join(folder.path, "not", "there"))).toThrow("Cannot capture to");
  });
});

test("a target that was opened to append is written all the same", () => {
  using folder = temporaryFolder();
  const [from, to] = [join(folder.path, "from"), join(folder.path, "to")];
  writeFileSync(from, GOOD);
  writeFileSync(to, "before");
  const before = openSync(to, "r");
  const { report } = relayStream({
    source: fileEnd(from, "r"),
    target: fileEnd(to, "a"),
    back: undefined,
    format: undefined,
    onError: "pass",
    limit: 10,
    rate: undefined,
    capture: undefined,
    control: undefined,
    lifeline: undefined,
    isExact: false,
    tailsElsewhere: false,
    gate: undefined,
    onProgress() {},
  });
  closeSync(before);
  expect(report.verdict).toBe("good");
  expect(readFileSync(to).equals(Buffer.concat([Buffer.from("before"), GOOD]))).toBe(true);
});

// Receiving and restoring: what comes out of a folder is what squash makes of the stream.

import { expect, test } from "bun:test";
import { readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { scanFolder } from "../../lib/checkpoint/index.ts";
import { capturePath, captureTitle } from "../helpers/captures.ts";
import {
  pointNumbers,
  receivePath,
  type ReceiveTestOptions,
  streamFile,
  wrongPoints,
} from "../helpers/checkpoints.ts";
import { longRemus } from "../helpers/long-remus.ts";
import { randomStream } from "../helpers/random-streams.ts";
import { checkpointedPlan, HVM, PV64, VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { makePipe } from "../../lib/sys/index.ts";
import { randomOf } from "../fuzz/random.ts";

const CAPTURE = "pv32.remus.to-receiver";
const capture = capturePath(CAPTURE);

test.skipIf(capture === undefined)(
  captureTitle("a Remus stream of xl is kept point by point", capture),
  async () => {
    using folder = temporaryFolder();
    const to = join(folder.path, "points");
    const result = receivePath(capture!, to, { keep: 3, durability: "disk" });
    expect(result.ended).toBe("lost");
    expect(result.commits).toBe(8);
    expect(pointNumbers(to)).toEqual([6, 7, 8]);
    expect(await wrongPoints(to, [capture!])).toEqual([]);
  },
);

test("streams of every shape come back as squash has them, whatever is kept", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    using folder = temporaryFolder();
    const random = randomOf(seed);
    const guest = seed % 2 === 0 ? "pv" : "hvm";
    const framing = seed % 3 === 0 ? "libxl" : "xl";
    const checkpoints = 1 + (seed % 7);
    const options = { guest, framing, checkpoints, isColo: false, version: 3 } as const;
    const path = streamFile(folder.path, encode(randomStream(random, options)).bytes);
    const to = join(folder.path, "points");
    const keep = 1 + random(4);
    const result = receivePath(path, to, { keep, compactSlackBytes: random(2) * -1e9 });
    expect(result).toMatchObject({ ended: "lost", commits: checkpoints, finding: undefined });
    expect(pointNumbers(to).length).toBe(Math.min(keep, checkpoints));
    expect({ seed, wrong: await wrongPoints(to, [path]) }).toEqual({ seed, wrong: [] });
  }
}, 60_000);

test("a receiver that is paused behind a checkpoint is gone on for by another", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    using folder = temporaryFolder();
    const random = randomOf(seed);
    const guest = seed % 2 === 0 ? "pv" : "hvm";
    const framing = seed % 3 === 0 ? "libxl" : "xl";
    const options = { guest, framing, checkpoints: 6, isColo: false, version: 3 } as const;
    const path = streamFile(folder.path, encode(randomStream(random, options)).bytes);
    const to = join(folder.path, "points");
    const how: ReceiveTestOptions = { keep: 1 + random(3), compactSlackBytes: -1e9 };
    const first = receivePath(path, to, { ...how, pauseBehind: 2 });
    expect(first).toMatchObject({ ended: "paused", commits: 2 });
    const second = receivePath(path, to, { ...how, pauseBehind: 1, paused: first.paused });
    expect(second).toMatchObject({ ended: "paused", commits: 1, stream: 1 });
    const third = receivePath(path, to, { ...how, paused: second.paused });
    expect(third).toMatchObject({ ended: "lost", commits: 3, stream: 1 });
    expect({ seed, wrong: await wrongPoints(to, [path]) }).toEqual({ seed, wrong: [] });
  }
}, 60_000);

test("what a paused receiver leaves in its pipe is the next one's", async () => {
  using folder = temporaryFolder();
  const path = longRemus({ pages: 1500, checkpoints: 6, changed: 300 });
  const to = join(folder.path, "points");
  const { readEnd, writeEnd } = makePipe();
  using input = readEnd;
  const cat = Bun.spawn(["cat", path], { stdio: ["ignore", writeEnd.number, "ignore"] });
  writeEnd[Symbol.dispose]();
  const open = () => ({ fd: input, kind: "pipe" as const });
  let result = receivePath(path, to, { open, pauseBehind: 1 });
  for (let round = 2; round < 6; round++) {
    expect(result).toMatchObject({ ended: "paused", commits: 1, last: { round: round - 1 } });
    const { paused } = result;
    result = receivePath(path, to, { open, pauseBehind: 1, ...(paused && { paused }) });
  }
  const { paused } = result;
  result = receivePath(path, to, { open, ...(paused && { paused }) });
  expect(result).toMatchObject({ ended: "lost", commits: 1, last: { round: 6 } });
  expect(await wrongPoints(to, [path])).toEqual([]);
  expect(await cat.exited).toBe(0);
});

test("a sender that waits behind the first checkpoint, as COLO's does, is told", () => {
  using folder = temporaryFolder();
  const plan = checkpointedPlan({ ...PV64, pages: 4 }, { checkpoints: 1, isColo: false });
  const { bytes } = encode(plan);
  const { readEnd, writeEnd } = makePipe();
  using input = readEnd;
  writeSync(writeEnd.number, bytes);
  let told = 0;
  const result = receivePath(streamFile(folder.path, bytes), join(folder.path, "points"), {
    open: () => ({ fd: input, kind: "pipe" }),
    silenceMs: 20,
    onSilence() {
      told++;
      writeEnd[Symbol.dispose](); // It gives up.
    },
  });
  expect({ told, ended: result.ended, commits: result.commits }).toEqual({
    told: 1,
    ended: "lost",
    commits: 1,
  });
});

test("points of an older stream stay until the next one's first commit", async () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const path = streamFile(
    folder.path,
    encode(checkpointedPlan(PV64, { checkpoints: 3, isColo: false })).bytes,
  );
  receivePath(path, to, { keep: 2 });
  expect(pointNumbers(to)).toEqual([2, 3]);
  const seen: number[][] = [];
  receivePath(path, to, { keep: 3, onCommit: () => void seen.push(pointNumbers(to)) });
  expect(seen).toEqual([
    [2, 3, 4],
    [3, 4, 5],
    [4, 5, 6],
  ]);
  expect(await wrongPoints(to, [path, path])).toEqual([]);
  expect(readdirSync(to).sort()).toEqual(["lock", "stream-000002.journal", "stream-000002.pages"]);
  expect(scanFolder(to).streams.map(({ tail }) => tail)).toEqual([undefined]);
});

test("a stream that brings no checkpoint leaves nothing, and older points as they are", () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const bytes = encode(checkpointedPlan(HVM, { checkpoints: 1, isColo: false })).bytes;
  const cut = streamFile(folder.path, bytes.subarray(0, bytes.byteLength - 1));
  expect(receivePath(cut, to, {})).toMatchObject({ ended: "lost", commits: 0, last: undefined });
  expect(readdirSync(to)).toEqual(["lock"]);
  receivePath(streamFile(folder.path, bytes), to, {});
  const result = receivePath(streamFile(folder.path, bytes.subarray(0, 5000)), to, {});
  expect(result).toMatchObject({ ended: "lost", commits: 0, last: { number: 1 } });
  expect(pointNumbers(to)).toEqual([1]);
});

test("an END behind checkpoints is told apart from a sender that has gone", () => {
  using folder = temporaryFolder();
  const path = streamFile(folder.path, encode(VALID_PLANS["Remus, PV, with an END"]!()).bytes);
  const result = receivePath(path, join(folder.path, "points"), {});
  expect(result).toMatchObject({ ended: "end", commits: 1 });
});

test.each([
  ["COLO, PV", /it is COLO's \(a CHECKPOINT_STATE record\)/],
  ["libxc version 3, PV 64", /wanted a checkpointed stream of xl or libxl, found a libxc stream/],
  ["suspend image, PV", /found a xapi stream/],
] as const)("%s is refused", (name, message) => {
  using folder = temporaryFolder();
  const path = streamFile(folder.path, encode(VALID_PLANS[name]!()).bytes);
  expect(() => receivePath(path, join(folder.path, "points"), {})).toThrow(message);
});

// A journal that is cut, damaged, or of another version.

import { expect, test } from "bun:test";
import { cpSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { scanFolder, verifyFolder } from "../../lib/checkpoint/index.ts";
import {
  pointNumbers,
  receivePath,
  restoreBytes,
  squashed,
  streamFile,
  wrongPoints,
} from "../helpers/checkpoints.ts";
import { checkpointedPlan, HVM, PV32 } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const GUEST = { ...PV32, pages: 4, vcpus: 1 };
const SMALL = encode(checkpointedPlan(GUEST, { checkpoints: 3, isColo: false }));
const COMMIT_RECORD_BYTES = 96;

/** Where the commits of a journal end. */
const commitEnds = (folder: string): number[] =>
  scanFolder(folder).streams[0]!.points.map(({ journalEnd }) => journalEnd.position);

test("of a journal cut at any byte the last commit before it counts", async () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const path = streamFile(folder.path, SMALL.bytes);
  receivePath(path, to, { keep: 3 });
  const expected = await Promise.all([1, 2, 3].map((at) => squashed(path, at)));
  const ends = commitEnds(to);
  const journal = join(to, "stream-000001.journal");
  const whole = readFileSync(journal);
  for (let cut = whole.byteLength; cut >= 0; cut--) {
    truncateSync(journal, cut);
    const points = ends.filter((end) => end <= cut).length;
    const found = scanFolder(to);
    if (found.points.length !== points || found.streams[0]?.isDamaged !== false) {
      expect({ cut, points: found.points.length }).toEqual({ cut, points });
    }
    // Restoring at every byte would say the same again: the edges, and now and then.
    const isEdge = ends.some((end) => Math.abs(end - cut) <= 1);
    if (points === 0 || !(isEdge || cut % 97 === 0)) continue;
    expect(Buffer.compare(restoreBytes(to, undefined), expected[points - 1]!)).toBe(0);
  }
}, 30_000);

test("a receiver cuts the torn tail off, and goes on", async () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const path = streamFile(folder.path, SMALL.bytes);
  receivePath(path, to, { keep: 3 });
  const journal = join(to, "stream-000001.journal");
  const [, second] = commitEnds(to);
  truncateSync(journal, second! + 37);
  expect(scanFolder(to).streams[0]?.tail).toContain("that the file's end cuts short");
  receivePath(path, to, { keep: 4 });
  expect(pointNumbers(to)).toEqual([2, 3, 4, 5]);
  expect(statSync(journal).size).toBe(second!);
  expect(await wrongPoints(to, [path, path])).toEqual([]);
});

test("a changed byte in a journal is seen, and told apart from a torn tail", () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  receivePath(streamFile(folder.path, SMALL.bytes), to, { keep: 3 });
  const [first, second, third] = commitEnds(to);
  const journal = join(to, "stream-000001.journal");
  const whole = readFileSync(journal);
  for (let at = 64; at < whole.byteLength; at += 13) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 0x10;
    writeFileSync(journal, damaged);
    const { streams, points } = scanFolder(to);
    const wanted = at < first! ? 0 : at < second! ? 1 : 2;
    const found = { at, points: points.length, isDamaged: streams[0]?.isDamaged };
    // Behind the damaged record stands another commit, unless it is the last one itself.
    const isDamaged = at < third! - COMMIT_RECORD_BYTES;
    expect(found).toEqual({ at, points: wanted, isDamaged });
    const { problems } = verifyFolder(to, { limit: 5, onProgress() {} });
    expect(problems.length).toBe(isDamaged ? 1 : 0);
  }
  const damaged = Buffer.from(whole);
  damaged[first! + 20]! ^= 1;
  writeFileSync(journal, damaged);
  const again = streamFile(folder.path, SMALL.bytes);
  receivePath(again, to, { keep: 5 });
  expect(readFileSync(journal).equals(damaged)).toBe(true); // Somebody may want to look at it.
});

test("a page that is not what was received is found, and what it spoils", () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const bytes = encode(checkpointedPlan(HVM, { checkpoints: 4, isColo: false })).bytes;
  receivePath(streamFile(folder.path, bytes), to, { keep: 3 });
  const pages = join(to, "stream-000001.pages");
  const damaged = readFileSync(pages);
  damaged[5]! ^= 1; // The first slot: pfn 0, which no later checkpoint brings again.
  writeFileSync(pages, damaged);
  const { problems, badPages } = verifyFolder(to, { limit: 5, onProgress() {} });
  expect(badPages).toBe(1);
  expect(problems[0]).toMatchObject({ stream: 1, offset: 0, points: { first: 2, last: 4 } });
  expect(() => restoreBytes(to, 4)).toThrow(/page at offset 0x0: expected a page with CRC-32/);
});

/** Everything in a folder: names, contents, times. */
const everything = (folder: string): unknown =>
  readdirSync(folder).map((name) => {
    const { mtimeMs, size, mode } = statSync(join(folder, name));
    return { name, mtimeMs, size, mode, bytes: readFileSync(join(folder, name)).toHex() };
  });

test("a folder that a newer version wrote to is refused, and not touched", () => {
  using folder = temporaryFolder();
  const [to, newer] = [join(folder.path, "points"), join(folder.path, "newer")];
  const path = streamFile(folder.path, SMALL.bytes);
  receivePath(path, to, {});
  cpSync(to, newer, { recursive: true });
  const journal = join(newer, "stream-000002.journal");
  const header = readFileSync(join(to, "stream-000001.journal")).subarray(0, 64);
  header.writeUInt32LE(2, 8);
  writeFileSync(journal, Buffer.concat([header, Buffer.alloc(100, 7)]));
  const before = everything(newer);
  const message = /wanted a journal of version 1, found version 2: a newer agent wrote it/;
  expect(() => receivePath(path, newer, {})).toThrow(message);
  expect(() => scanFolder(newer)).toThrow(message);
  expect(() => restoreBytes(newer, undefined)).toThrow(message);
  expect(everything(newer)).toEqual(before);
});

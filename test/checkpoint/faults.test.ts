// Disks that are full or fail, senders that go, receivers that meet, readers that come in between.
// Failing calls are real ones: strace makes the kernel answer EIO.

import { expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPoint, restorePoint } from "../../lib/checkpoint/index.ts";
import { MemorySink } from "../../lib/stream/output/index.ts";
import {
  pointNumbers,
  receivePath,
  restoreBytes,
  squashed,
  streamFile,
  wrongPoints,
} from "../helpers/checkpoints.ts";
import { longRemus } from "../helpers/long-remus.ts";
import { assertStands, runReceiver } from "../helpers/receiver-process.ts";
import { recordEdges } from "../helpers/record-edges.ts";
import { agentCommand } from "../helpers/run.ts";
import { NEEDS_MOUNT, smallDisk } from "../helpers/small-disk.ts";
import { checkpointedPlan, HVM, PV64 } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const MEBIBYTE = 1024 * 1024;
const LONG = { pages: 3000, checkpoints: 24, changed: 300 } as const;

const canTrace = spawnSync("strace", ["-qq", "-o", "/dev/null", "true"]).status === 0;
const traceTitle = (title: string): string =>
  canTrace ? title : `${title} (skipped: there is no strace here, or it may not trace)`;

test.each([
  ["PV", PV64],
  ["HVM", HVM],
] as const)(
  "a sender that goes at any record of a stream (%s)",
  async (_, guest) => {
    const { bytes } = encode(checkpointedPlan(guest, { checkpoints: 3, isColo: false }));
    const edges = recordEdges(bytes);
    const expected = new Map<number, Uint8Array>();
    for (const [index, { offset, checkpoints }] of edges.entries()) {
      using folder = temporaryFolder();
      const to = join(folder.path, "points");
      // At the edge, and somewhere in the record.
      const inside = (edges[index + 1]?.offset ?? offset) - offset > 8 ? 1 + (index % 7) : 0;
      for (const cut of [offset, offset + inside]) {
        const path = streamFile(folder.path, bytes.subarray(0, cut));
        const result = receivePath(path, to, {});
        expect({ cut, ended: result.ended, commits: result.commits }).toEqual({
          cut,
          ended: "lost",
          commits: checkpoints,
        });
        if (checkpoints === 0) continue;
        let wanted = expected.get(checkpoints);
        if (wanted === undefined)
          expected.set(checkpoints, (wanted = await squashed(path, checkpoints)));
        expect(Buffer.compare(restoreBytes(to, undefined), wanted)).toBe(0);
      }
    }
  },
  60_000,
);

test("a stream that comes in the smallest pieces is received all the same", async () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const { bytes } = encode(
    checkpointedPlan({ ...PV64, pages: 3 }, { checkpoints: 2, isColo: false }),
  );
  const path = streamFile(folder.path, bytes);
  const [program = "", ...words] = agentCommand("checkpoint", "receive", "--to", to, "--quiet");
  const child = spawn(program, words, { stdio: ["pipe", "pipe", "ignore"] });
  const ended = once(child, "exit");
  for (let at = 0, step = 1; at < bytes.byteLength; at += step, step = 1 + ((step * 7) % 61)) {
    if (!child.stdin.write(bytes.subarray(at, at + step))) await once(child.stdin, "drain");
    if (at % 5 === 0) await new Promise((resolve) => void setImmediate(resolve));
  }
  child.stdin.end();
  expect((await ended)[0]).toBe(4); // The sender has gone.
  expect(await wrongPoints(to, [path])).toEqual([]);
  expect(pointNumbers(to)).toEqual([2]);
}, 60_000);

test.skipIf(NEEDS_MOUNT.skip)(
  NEEDS_MOUNT.title("a disk that is full keeps what was committed"),
  () => {
    const from = longRemus(LONG);
    // With room for the first checkpoint and some others, or for nearly all.
    for (const bytes of [13, 14, 15, 16].map((size) => size * MEBIBYTE)) {
      using disk = smallDisk(bytes)!; // Mounting was tried.
      const to = join(disk.path, "points");
      const ran = runReceiver({ from, to, words: ["--keep", "20"] });
      expect(ran.status).toBe(1);
      expect(ran.stderr).toContain("the disk is full");
      expect(ran.reported.length).toBeWithin(1, LONG.checkpoints);
      const stands = assertStands(to, from, ran.reported);
      expect(ran.stderr).toContain(`Restore point ${stands} of`);
      // The disk has room again for what was cut off, and the folder is as good as any.
      writeFileSync(join(disk.path, "other"), Buffer.alloc(4096));
    }
  },
  60_000,
);

test.skipIf(!canTrace)(
  traceTitle("a disk that fails keeps what was committed"),
  () => {
    const from = longRemus(LONG);
    for (const [call, when] of [
      ["fdatasync", 9],
      ["fdatasync", 20],
      ["pwrite64", 60],
      ["pwrite64", 200],
    ] as const) {
      using folder = temporaryFolder();
      const to = join(folder.path, "points");
      const inject = `inject=${call}:error=EIO:when=${when}+`;
      const under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject];
      const ran = runReceiver({ from, to, under });
      expect(ran.stderr).toContain("failed with EIO");
      expect(ran.status).toBe(1);
      expect(ran.reported.length).toBeWithin(1, LONG.checkpoints);
      assertStands(to, from, ran.reported);
    }
  },
  60_000,
);

test("a limit of file sizes is an error like any other", () => {
  using folder = temporaryFolder();
  const from = longRemus(LONG);
  const to = join(folder.path, "points");
  const limit = `--fsize=${13 * MEBIBYTE}`;
  const ran = runReceiver({ from, to, under: ["prlimit", limit], words: ["--keep", "9"] });
  expect(ran.status).toBe(1);
  expect(ran.stderr).toContain("the file would pass the size limit");
  expect(assertStands(to, from, ran.reported)).toBeGreaterThan(0);
}, 60_000);

test("a second receiver into one folder is refused, and so is prune", async () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const [program = "", ...words] = agentCommand("checkpoint", "receive", "--to", to);
  const first = spawn(program, words, { stdio: ["pipe", "pipe", "ignore"] });
  const ended = once(first, "exit");
  await once(first.stdout, "data"); // The banner: it has the folder.
  const second = spawnSync(program, words, { input: "", encoding: "utf8" });
  expect(second.status).toBe(1);
  expect(second.stdout).toBe(""); // Nobody is told to send.
  expect(second.stderr).toContain("another agent receives into it");
  const [, main = ""] = agentCommand();
  const prune = spawnSync(program, [main, "checkpoint", "prune", to, "--keep", "1"], {
    encoding: "utf8",
  });
  expect({ status: prune.status, stdout: prune.stdout }).toEqual({ status: 1, stdout: "" });
  first.stdin.end();
  expect((await ended)[0]).toBe(3);
}, 60_000);

test("a restore point that is being read keeps its slots while the stream goes on", async () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const path = longRemus(LONG);
  const seen: string[] = [];
  let open: ReturnType<typeof openPoint> | undefined;
  receivePath(path, to, {
    keep: 1,
    compactSlackBytes: -1e9,
    onCommit(number) {
      if (number === 4) open = openPoint(to, undefined);
      if (number !== 9) return;
      const sink = new MemorySink();
      restorePoint(open!, { sink, onProgress() {} });
      seen.push(sink.contents.toHex());
      open![Symbol.dispose]();
    },
  });
  expect(open?.point.number).toBe(4);
  expect(seen).toEqual([(await squashed(path, 4)).toHex()]);
  expect(pointNumbers(to)).toEqual([24]);
  expect(await wrongPoints(to, [path])).toEqual([]);
}, 60_000);

test("the folder takes what its restore points and one round need, and not much more", () => {
  using folder = temporaryFolder();
  const spec = { pages: 2000, checkpoints: 60, changed: 400 } as const;
  const path = longRemus(spec);
  for (const keep of [1, 4]) {
    const to = join(folder.path, `keep-${keep}`);
    receivePath(path, to, { keep, compactSlackBytes: 64 * 1024 });
    const slots = readFileSync(join(to, "stream-000001.pages")).byteLength / 4096;
    // The guest, what the points between changed, and the round on its way.
    expect(slots).toBeLessThanOrEqual(spec.pages + keep * spec.changed);
    const journal = readFileSync(join(to, "stream-000001.journal")).byteLength;
    expect(journal).toBeLessThan(2 * 20 * (spec.pages + keep * spec.changed) + 512 * 1024);
  }
}, 60_000);

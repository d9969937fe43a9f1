// What can go wrong around a save helper: whoever dies, libxl sees what it would see of the real
// helper alone, nothing hangs and nobody is left behind.

import { describe, expect, test } from "bun:test";
import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makePipe } from "../../lib/sys/index.ts";
import { MESSAGE } from "../helpers/control-protocol.ts";
import { fullLibxcStream } from "../helpers/full-stream.ts";
import {
  completion,
  type HelperRan,
  type HelperRunOptions,
  type Orders,
  runHelper,
} from "../helpers/libxl.ts";
import { leftBehind, processes } from "../helpers/processes.ts";
import { smallDisk } from "../helpers/small-disk.ts";
import { PV64 } from "../helpers/stream-builder.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const KILLS = Number(process.env["KILLS"] ?? 20);
const WAIT_MS = 5000;
const PASS = { AGENT_HELPER_ON_ERROR: "pass" };

/** More than what all pipes on the way hold. */
const STREAM = fullLibxcStream({ ...PV64, pages: 1536 });
/** In each header, in a pfn list, and in the contents of pages. */
const CRASHES = [0, 23, 41, 5000, 3_000_000, STREAM.byteLength - 1];

interface Scene {
  readonly folder: string;
  readonly stream: string;
  readonly parts: readonly number[];
}

function sceneIn(folder: string): Scene {
  const stream = join(folder, "stream");
  writeFileSync(stream, STREAM);
  return { folder, stream, parts: [STREAM.byteLength] };
}

interface Case {
  readonly direction: "save" | "restore";
  readonly io: number;
  readonly more: Partial<Orders>;
  readonly environment?: Record<string, string>;
  readonly onStart?: (pid: number) => void;
  /** The helper has said its first words: by now it hears signals. */
  readonly onTalk?: (pid: number) => void;
}

/** Runs the helper, and sees to it that nobody is left of its group. */
async function runCase(scene: Scene, { direction, io, more, ...rest }: Case): Promise<HelperRan> {
  let group = 0;
  const file = direction === "save" ? scene.stream : join(scene.folder, "restored");
  const options: HelperRunOptions = {
    direction,
    io,
    orders: { parts: scene.parts, file, ...more },
    folder: scene.folder,
    streamType: 0,
    ...(rest.environment === undefined ? {} : { environment: rest.environment }),
    onStart(pid) {
      group = pid;
      rest.onStart?.(pid);
    },
    onMessage({ number }) {
      if (number === MESSAGE.log) rest.onTalk?.(group);
      return 1;
    },
  };
  const ran = await runHelper(options);
  expect(await leftBehind(group, WAIT_MS)).toEqual([]);
  return ran;
}

/** The worker of a supervisor, as soon as it is there. */
async function workerOf(supervisor: number): Promise<number> {
  for (;;) {
    const worker = processes().find(
      ({ parent, command }) => parent === supervisor && command.includes("save-worker"),
    );
    if (worker !== undefined) return worker.pid;
    await Bun.sleep(1);
  }
}

describe("the real helper crashes", () => {
  test.each(CRASHES)("at byte %d of a save", async (diesAt) => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    const path = join(folder.path, "saved");
    const io = openSync(path, "w");
    const ran = await runCase(scene, { direction: "save", io, more: { diesAt } });
    closeSync(io);
    expect(ran).toMatchObject({ status: null, signal: "SIGKILL" });
    expect(completion(ran)).toBe("none");
    expect(readFileSync(path).equals(STREAM.subarray(0, diesAt))).toBe(true);
  });

  test.each(CRASHES)("at byte %d of a restore", async (diesAt) => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    const io = openSync(scene.stream, "r");
    const ran = await runCase(scene, { direction: "restore", io, more: { diesAt } });
    closeSync(io);
    expect(ran).toMatchObject({ status: null, signal: "SIGKILL" });
    expect(completion(ran)).toBe("none");
  });
});

describe("the other end of the stream", () => {
  test("the reader of a save goes: the helper tells libxl so", async () => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    const { readEnd, writeEnd } = makePipe();
    readEnd[Symbol.dispose]();
    const ran = await runCase(scene, { direction: "save", io: writeEnd.number, more: {} });
    writeEnd[Symbol.dispose]();
    expect(ran.stderr).toContain("the reader has gone");
    // Whether or not it noticed, libxl learns that the save has failed.
    expect([completion(ran), ran.status]).not.toEqual(["complete 0", 0]);
  });

  test("a full disk is told, and fails the save", async () => {
    using disk = smallDisk(64 * 1024);
    if (disk === undefined) return;
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    const io = openSync(join(disk.path, "saved"), "w");
    const ran = await runCase(scene, { direction: "save", io, more: {} });
    closeSync(io);
    expect(ran.stderr).toContain("the disk is full");
    expect([completion(ran), ran.status]).not.toEqual(["complete 0", 0]);
  });

  test.each([
    ["cut short", STREAM.subarray(0, 9000), "the end of the input"],
    ["garbage", new Uint8Array(STREAM.byteLength).fill(7), "image_header.marker"],
  ])("a file that is %s is refused before the helper begins", async (_, bytes, words) => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    writeFileSync(scene.stream, bytes);
    const io = openSync(scene.stream, "r");
    const ran = await runCase(scene, { direction: "restore", io, more: {} });
    const rest = readSync(io, new Uint8Array(STREAM.byteLength));
    closeSync(io);
    expect(ran).toMatchObject({ status: 1, signal: null });
    expect(completion(ran)).toBe("none");
    expect(ran.stderr).toContain(words);
    expect(ran.stderr).toContain("AGENT_HELPER_ON_ERROR=pass");
    expect(existsSync(join(folder.path, "restored"))).toBe(false);
    expect(rest).toBe(bytes.byteLength); // Its offset is where libxl left it.
  });

  test("a restore that is cut short fails as the helper alone would", async () => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    writeFileSync(scene.stream, STREAM.subarray(0, 9000));
    const io = openSync(scene.stream, "r");
    const ran = await runCase(scene, { direction: "restore", io, more: {}, environment: PASS });
    closeSync(io);
    expect(completion(ran)).toBe("complete -1 5");
    expect(ran.status).toBe(0);
    expect(ran.stderr).toContain("the end of the input");
    expect(readFileSync(join(folder.path, "restored")).byteLength).toBe(9000);
  });

  test("a restore of garbage gives the helper what came, and not the rest", async () => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    writeFileSync(scene.stream, new Uint8Array(STREAM.byteLength).fill(7));
    const io = openSync(scene.stream, "r");
    const ran = await runCase(scene, { direction: "restore", io, more: {}, environment: PASS });
    const rest = readSync(io, new Uint8Array(STREAM.byteLength));
    closeSync(io);
    expect(completion(ran)).toBe("complete -1 5");
    expect(ran.stderr).toContain("image_header.marker");
    expect(readFileSync(join(folder.path, "restored")).byteLength).toBe(STREAM.byteLength - rest);
  });
});

describe("a bad stream on save", () => {
  const bad = STREAM.slice();
  bad[8] = 0; // The image header's id.

  test("is passed on whole, and told", async () => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    writeFileSync(scene.stream, bad);
    const path = join(folder.path, "saved");
    const io = openSync(path, "w");
    const ran = await runCase(scene, { direction: "save", io, more: {} });
    closeSync(io);
    expect(ran.status).toBe(0);
    expect(completion(ran)).toBe("complete 0");
    expect(ran.stderr).toContain("agent: bad: the stream of domain 1 from the helper");
    expect(readFileSync(path).equals(bad)).toBe(true);
  });

  test("is cut where the operator wants that: the save fails", async () => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    writeFileSync(scene.stream, bad);
    const path = join(folder.path, "saved");
    const io = openSync(path, "w");
    const environment = { AGENT_HELPER_ON_ERROR: "cut" };
    const ran = await runCase(scene, { direction: "save", io, more: {}, environment });
    closeSync(io);
    expect([completion(ran), ran.status]).not.toEqual(["complete 0", 0]);
    expect(readFileSync(path).byteLength).toBe(0);
  });
});

describe("signals", () => {
  test("SIGTERM reaches the real helper, which ends in order while the reader stalls", async () => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    const { readEnd, writeEnd } = makePipe(); // Nobody reads.
    const ran = await runCase(scene, {
      direction: "save",
      io: writeEnd.number,
      more: {},
      onTalk: (pid) => void setTimeout(() => process.kill(pid, "SIGTERM"), 200),
    });
    readEnd[Symbol.dispose]();
    writeEnd[Symbol.dispose]();
    expect(completion(ran)).toBe("complete -1 9");
    expect(ran).toMatchObject({ status: 0, signal: null });
  });

  test("SIGTERM on restore ends the helper, and its end is ours", async () => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    const { readEnd, writeEnd } = makePipe(); // Nobody writes.
    const ran = await runCase(scene, {
      direction: "restore",
      io: readEnd.number,
      more: {},
      onTalk: (pid) => void setTimeout(() => process.kill(pid, "SIGTERM"), 200),
    });
    readEnd[Symbol.dispose]();
    writeEnd[Symbol.dispose]();
    expect(ran).toMatchObject({ status: null, signal: "SIGTERM" });
  });

  test.each(["save", "restore"] as const)("the worker of a %s is killed", async (direction) => {
    using folder = temporaryFolder();
    const scene = sceneIn(folder.path);
    const { readEnd, writeEnd } = makePipe();
    const io = direction === "save" ? writeEnd : readEnd;
    const ran = await runCase(scene, {
      direction,
      io: io.number,
      more: {},
      onStart(pid) {
        void workerOf(pid).then(async (worker) => {
          await Bun.sleep(100);
          process.kill(worker, "SIGKILL");
        });
      },
    });
    readEnd[Symbol.dispose]();
    writeEnd[Symbol.dispose]();
    // On save the helper may just have written its last bytes: then the status tells.
    if (direction === "save") expect(ran.status).toBe(1);
    else expect([completion(ran), ran.status]).toEqual(["complete -1 5", 0]);
  });

  test(`SIGKILL at any moment leaves nobody behind (SEED=${SEED})`, async () => {
    let state = SEED;
    const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    for (let kill = 0; kill < KILLS; kill++) {
      using folder = temporaryFolder();
      const scene = sceneIn(folder.path);
      const { readEnd, writeEnd } = makePipe(); // The other side stalls: all of it still runs.
      const direction = kill % 2 === 0 ? "save" : "restore";
      const ran = await runCase(scene, {
        direction,
        io: direction === "save" ? writeEnd.number : readEnd.number,
        more: {},
        onStart: (pid) => void setTimeout(() => process.kill(pid, "SIGKILL"), random() * 250),
      });
      readEnd[Symbol.dispose]();
      writeEnd[Symbol.dispose]();
      expect(ran.signal).toBe("SIGKILL");
    }
  }, 60_000);
});

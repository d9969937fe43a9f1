// agent as LIBXL_SAVE_HELPER, called as libxl calls it, around a stand-in for the real helper.

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isNonBlocking, makePipe, makeSocketPair } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { capturePath, captureTitle } from "../helpers/captures.ts";
import { MESSAGE } from "../helpers/control-protocol.ts";
import { fullXlStream } from "../helpers/full-stream.ts";
import { libxcPartsOf } from "../helpers/libxc-parts.ts";
import { completion, type Orders, runHelper } from "../helpers/libxl.ts";
import { checkpointedPlan, HVM, PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

/** Big enough that no pipe holds it. */
const LARGE = { ...PV64, pages: 1536 };

const STREAMS: readonly (readonly [string, () => Uint8Array])[] = [
  ["PV", () => encode(xlPlan(PV64)).bytes],
  ["HVM", () => encode(xlPlan(HVM)).bytes],
  ["Remus, PV", () => encode(checkpointedPlan(PV64, { checkpoints: 3, isColo: false })).bytes],
  ["Remus, HVM", () => encode(checkpointedPlan(HVM, { checkpoints: 2, isColo: false })).bytes],
];
const CAPTURES = ["pv32.xl-save", "hvm40-physmap.xl-save", "pv32.remus.to-receiver"] as const;

interface Scene {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly libxc: readonly number[];
  readonly libxl: readonly number[];
  readonly isRemus: boolean;
  /** The libxc parts alone, as one file. */
  readonly libxcFile: string;
}

function sceneOf(bytes: Uint8Array, folder: string): Scene {
  const parts = libxcPartsOf(bytes);
  const libxcFile = join(folder, "libxc");
  const fd = openSync(libxcFile, "w");
  let at = parts.start;
  for (const [index, size] of parts.libxc.entries()) {
    writeSync(fd, bytes, at, size);
    at += size + parts.libxl[index]!;
  }
  closeSync(fd);
  return { bytes, ...parts, isRemus: parts.libxc.length > 1, libxcFile };
}

const ordersOf = ({ libxc, isRemus }: Scene, file: string): Orders => ({
  parts: libxc,
  isRemus,
  file,
});

/** Saves to a file that libxl has begun; libxl's own records go there at every checkpoint. */
async function save(scene: Scene, folder: string, more: Partial<Orders>) {
  const path = join(folder, "saved");
  const io = openSync(path, "w");
  writeSync(io, scene.bytes, 0, scene.start);
  let at = scene.start;
  let part = 0;
  const writeTail = (): void => {
    at += scene.libxc[part]!;
    writeSync(io, scene.bytes, at, scene.libxl[part]!);
    at += scene.libxl[part++]!;
  };
  const ran = await runHelper({
    direction: "save",
    io,
    orders: { ...ordersOf(scene, scene.libxcFile), ...more },
    folder,
    streamType: scene.isRemus ? 1 : 0,
    onMessage({ number }) {
      if (number === MESSAGE.checkpoint) writeTail();
      return 1;
    },
  });
  if (!scene.isRemus) writeTail();
  closeSync(io);
  return { ran, saved: readFileSync(path) };
}

/** Restores from a file; at checkpoints and at the end libxl reads on where the helper left. */
async function restore(scene: Scene, folder: string, more: Partial<Orders>) {
  const path = join(folder, "saved");
  writeFileSync(path, scene.bytes);
  const io = openSync(path, "r");
  readSync(io, new Uint8Array(scene.start));
  const tails: Uint8Array[] = [];
  const readTail = (): void => {
    const tail = new Uint8Array(scene.libxl[tails.length]!);
    const got = readSync(io, tail);
    tails.push(tail.slice(0, got));
  };
  const restored = join(folder, "restored");
  const ran = await runHelper({
    direction: "restore",
    io,
    orders: { ...ordersOf(scene, restored), ...more },
    folder,
    streamType: scene.isRemus ? 1 : 0,
    async onMessage({ number }) {
      if (number !== MESSAGE.checkpoint) return 1;
      await Bun.sleep(20); // Time for a reader that would read on to do so.
      readTail();
      return 1;
    },
  });
  if (!scene.isRemus) readTail();
  closeSync(io);
  return { ran, tails, restored: readFileSync(restored) };
}

const tailsOf = ({ bytes, start, libxc, libxl }: Scene): Uint8Array[] => {
  let at = start;
  return libxl.map((size, index) => {
    at += libxc[index]!;
    const tail = bytes.slice(at, at + size);
    at += size;
    return tail;
  });
};

async function expectSaved(bytes: Uint8Array): Promise<void> {
  using folder = temporaryFolder();
  const scene = sceneOf(bytes, folder.path);
  const { ran, saved } = await save(scene, folder.path, {});
  expect(ran).toMatchObject({ status: 0, signal: null, stderr: "" });
  expect(completion(ran)).toBe("complete 0");
  expect(saved.equals(bytes)).toBe(true);
}

async function expectRestored(bytes: Uint8Array): Promise<void> {
  using folder = temporaryFolder();
  const scene = sceneOf(bytes, folder.path);
  const { ran, tails, restored } = await restore(scene, folder.path, {});
  expect(ran).toMatchObject({ status: 0, signal: null, stderr: "" });
  expect(completion(ran)).toBe("complete 0");
  expect(restored.equals(readFileSync(scene.libxcFile))).toBe(true);
  expect(tails).toEqual(tailsOf(scene));
}

describe("the bytes are the same with agent in between", () => {
  test.each(STREAMS)("save, %s", (_, make) => expectSaved(make()));
  test.each(STREAMS)("restore, %s", (_, make) => expectRestored(make()));

  for (const name of CAPTURES) {
    const path = capturePath(name);
    test.skipIf(path === undefined)(captureTitle(`save, ${name}`, path), () =>
      expectSaved(readFileSync(path!)),
    );
    test.skipIf(path === undefined)(captureTitle(`restore, ${name}`, path), () =>
      expectRestored(readFileSync(path!)),
    );
  }
});

describe("IO_FD may be a pipe or a socket, and stays blocking", () => {
  const ends = {
    pipe: () => {
      const { readEnd, writeEnd } = makePipe();
      return { near: readEnd, far: writeEnd };
    },
    socket: () => {
      const [near, far] = makeSocketPair("stream");
      return { near, far };
    },
  } as const;

  test.each(["pipe", "socket"] as const)("save to a %s", async (kind) => {
    using folder = temporaryFolder();
    const scene = sceneOf(fullXlStream(LARGE), folder.path);
    const { near, far } = ends[kind]();
    const reading = new Response(Bun.file(near.number).stream()).bytes();
    const ran = await runHelper({
      direction: "save",
      io: far.number,
      orders: ordersOf(scene, scene.libxcFile),
      folder: folder.path,
      streamType: 0,
    });
    expect(isNonBlocking(far.number)).toBe(false);
    far[Symbol.dispose]();
    expect(ran).toMatchObject({ status: 0, stderr: "" });
    expect(Buffer.from(await reading).equals(readFileSync(scene.libxcFile))).toBe(true);
  });

  test.each(["pipe", "socket"] as const)("restore from a %s, not a byte more", async (kind) => {
    using folder = temporaryFolder();
    const scene = sceneOf(fullXlStream(LARGE), folder.path);
    const { near, far } = ends[kind]();
    const path = join(folder.path, "all");
    writeFileSync(path, scene.bytes);
    const writer = Bun.spawn(["tail", "-c", `+${scene.start + 1}`, path], {
      stdio: ["ignore", far.number, "inherit"],
    });
    far[Symbol.dispose]();
    const restored = join(folder.path, "restored");
    const ran = await runHelper({
      direction: "restore",
      io: near.number,
      orders: ordersOf(scene, restored),
      folder: folder.path,
      streamType: 0,
    });
    expect(isNonBlocking(near.number)).toBe(false);
    await writer.exited;
    expect(ran).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(restored).equals(readFileSync(scene.libxcFile))).toBe(true);
    const rest = new Uint8Array(4096);
    const got = readSync(near.number, rest);
    expect(Buffer.from(rest.subarray(0, got)).equals(tailsOf(scene)[0]!)).toBe(true);
  });
});

test("the program is recognised by the name libxl-save-helper too", async () => {
  const help = Bun.spawnSync([builtBinary(), "--save-domain", "no-number"], {
    env: { AGENT_REAL_SAVE_HELPER: "/bin/echo" },
    stderr: "pipe",
  });
  expect(help.stdout.toString()).toBe("--save-domain no-number\n");
  expect(help.stderr.toString()).toBe(
    "agent: warning: The stream is not verified: its arguments are unknown\n",
  );
});

// What `agent verify` can be pointed at: files, pipes, sockets, devices and inherited descriptors,
// compressed or not; and what it says of what cannot be read.

import { describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, openSync, readSync, writeFileSync } from "node:fs";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { Fd, makeSocketPair } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { HVM, xlPlan } from "../helpers/stream-builder.ts";
import { ascii, encode, filled, join as joinBytes } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { verifyProcess } from "../helpers/verify-process.ts";

const STREAM = encode(xlPlan(HVM)).bytes;
const NOBODY_UID = 65534;
const isRoot = process.getuid?.() === 0;

interface Told {
  readonly status: number | null;
  readonly text: string;
}

async function told(words: readonly string[], stdin: number | "ignore"): Promise<Told> {
  const { status, stdout, stderr } = await verifyProcess(words, { stdin });
  return { status, text: stdout + stderr };
}

/** A file of these bytes in a folder that goes away; and what is told of it. */
async function toldOfFile(bytes: Uint8Array): Promise<Told> {
  using folder = temporaryFolder();
  const path = join(folder.path, "a stream");
  writeFileSync(path, bytes);
  return await told([path], "ignore"); // The folder goes away behind it.
}

/** The same bytes from a pipe, as `cat` sends them. */
async function toldOfPipe(bytes: Uint8Array): Promise<Told> {
  using folder = temporaryFolder();
  const path = join(folder.path, "a stream");
  writeFileSync(path, bytes);
  const script = 'cat "$0" | "$@"';
  const command = agentCommand("verify", "-");
  const { status, stdout, stderr } = run(["sh", "-c", script, path, ...command], {});
  return { status, text: stdout + stderr };
}

describe("what cannot be read", () => {
  test.each([
    // what is given              status  what is said
    ["a directory", ["."], 1, 'Cannot read ".": wanted a file, pipe or socket, found a directory'],
    [
      "nothing of that name",
      ["./none"],
      1,
      'Cannot open "./none": open on "./none" failed with ENOENT',
    ],
    ["a path through a file", ["/dev/null/x"], 1, "failed with ENOTDIR"],
    [
      "a descriptor that is not open",
      ["77"],
      1,
      "Cannot use descriptor 77: fcntl on fd 77 failed with EBADF",
    ],
    ["a descriptor that cannot be", ["99999999999"], 2, "Cannot use descriptor 99999999999"],
    ["a name of no bytes", [""], 1, "failed with ENOENT"],
  ] as const)("%s", async (_, words, status, said) => {
    const found = await told(words, "ignore");
    expect(found.text).toContain(said);
    expect(found.status).toBe(status);
  });

  test.skipIf(!isRoot || Bun.which("setpriv") === null)(
    "a file without permission (needs root and setpriv)",
    async () => {
      using folder = temporaryFolder();
      const path = join(folder.path, "secret");
      writeFileSync(path, STREAM);
      chmodSync(path, 0o600);
      chmodSync(folder.path, 0o755);
      const program = join(folder.path, "agent");
      copyFileSync(builtBinary(), program);
      const { status, stderr } = await verifyProcess([path], {
        stdin: "ignore",
        other: { uid: NOBODY_UID, program },
      });
      expect(stderr).toContain("failed with EACCES");
      expect(status).toBe(1);
    },
  );
});

describe("what can be read", () => {
  test("a file, an empty one, one of a single byte", async () => {
    expect(await toldOfFile(STREAM)).toMatchObject({ status: 0 });
    const empty = await toldOfFile(filled(0, 0));
    expect(empty).toMatchObject({ status: 3, text: expect.stringContaining("the input is empty") });
    expect(await toldOfFile(filled(1, 0x58))).toMatchObject({ status: 3 });
  });

  test("a file of a guest that is named like a number", async () => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "7"), STREAM);
    const { status } = run(agentCommand("verify", "./7"), { cwd: folder.path });
    expect(status).toBe(0);
  });

  test("standard input and inherited descriptors, from where they stand", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "stream");
    writeFileSync(path, joinBytes(ascii("something first"), STREAM));
    using fd = new Fd(openSync(path, "r"), path);
    readSync(fd.number, new Uint8Array(15));
    expect(await told(["-"], fd.number)).toMatchObject({ status: 0 });
    using other = new Fd(openSync(path, "r"), path);
    readSync(other.number, new Uint8Array(15));
    const { status, stdout } = run(agentCommand("verify", "3"), { descriptors: [other.number] });
    expect(stdout).toContain("good: descriptor 3");
    expect(status).toBe(0);
  });

  test("a pipe, a FIFO and a socket", async () => {
    expect(await toldOfPipe(STREAM)).toMatchObject({ status: 0 });
    using folder = temporaryFolder();
    const [path, fifo] = [join(folder.path, "stream"), join(folder.path, "fifo")];
    writeFileSync(path, STREAM);
    Bun.spawnSync(["mkfifo", fifo]);
    const writer = Bun.spawn(["dd", `if=${path}`, `of=${fifo}`, "bs=1000", "status=none"]);
    expect(await told([fifo], "ignore")).toMatchObject({ status: 0 });
    await writer.exited;
    const [reader, sender] = makeSocketPair("stream");
    writeSync(sender.number, joinBytes(STREAM, ascii("next")));
    expect(await told(["-"], reader.number)).toMatchObject({ status: 0 });
    const next = new Uint8Array(10);
    expect(readSync(reader.number, next)).toBe(4);
    expect(Buffer.from(next.subarray(0, 4)).toString()).toBe("next");
    for (const end of [reader, sender]) end[Symbol.dispose]();
  });

  test("character devices", async () => {
    expect(await told(["/dev/null"], "ignore")).toMatchObject({
      status: 3,
      text: expect.stringContaining("the input is empty"),
    });
    expect(await told(["/dev/zero"], "ignore")).toMatchObject({
      status: 3,
      text: expect.stringContaining("nothing but zero bytes"),
    });
  });

  const canLoop = isRoot && existsSync("/dev/loop-control") && Bun.which("losetup") !== null;
  test.skipIf(!canLoop)("a block device (needs root and losetup)", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "disk");
    writeFileSync(path, joinBytes(STREAM, filled(4096 * 4 - (STREAM.byteLength % 4096), 0)));
    const made = Bun.spawnSync(["losetup", "--find", "--show", "--read-only", path]);
    const device = made.stdout.toString().trim();
    if (made.exitCode !== 0) {
      expect(made.stderr.toString()).not.toBe(""); // A container without loop devices says why.
      return;
    }
    try {
      const { status, text } = await told([device], "ignore");
      expect(text).toContain("zero at the start");
      expect(status).toBe(0);
    } finally {
      Bun.spawnSync(["losetup", "--detach", device]);
    }
  });
});

// ---- Compressed ---------------------------------------------------------------------------------

const zstd = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(Bun.zstdCompressSync(bytes as Uint8Array<ArrayBuffer>));
const ZSTD = zstd(STREAM);
const GZIP = new Uint8Array(gzipSync(STREAM));
const HALF = Math.floor(STREAM.byteLength / 2);

/** A suspend VDI is larger than its image: the frame's checksum stands far behind the stream. */
const wrongChecksum = (): Uint8Array => {
  const vdi = joinBytes(STREAM, filled(8 * 2 ** 20, 0));
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const packed = new Uint8Array(zstdCompressSync(vdi, { params }));
  packed[packed.byteLength - 1]! ^= 1;
  return packed;
};

const damaged = (packed: Uint8Array): Uint8Array => {
  const copy = packed.slice();
  copy.fill(0xee, Math.floor(copy.byteLength / 2), Math.floor(copy.byteLength / 2) + 40);
  return copy;
};

/** Packed bytes, status, what is said. */
const PACKED: readonly (readonly [string, () => Uint8Array, number, string])[] = [
  ["zstd", () => ZSTD, 0, "good"],
  ["gzip", () => GZIP, 0, "good"],
  [
    "zstd in two frames",
    () => joinBytes(zstd(STREAM.subarray(0, HALF)), zstd(STREAM.subarray(HALF))),
    0,
    "good",
  ],
  [
    "gzip in two members",
    () =>
      joinBytes(
        new Uint8Array(gzipSync(STREAM.subarray(0, HALF))),
        new Uint8Array(gzipSync(STREAM.subarray(HALF))),
      ),
    0,
    "good",
  ],
  ["zstd that is cut", () => ZSTD.subarray(0, -30), 3, "input zstd.data"],
  [
    "gzip that is cut",
    () => GZIP.subarray(0, Math.floor(GZIP.byteLength / 2)),
    3,
    "input gzip.data",
  ],
  ["zstd that is damaged", () => damaged(ZSTD), 3, "input zstd.data"],
  ["gzip that is damaged", () => damaged(GZIP), 3, "input gzip.data"],
  [
    "zstd of a stream and what xl sends behind it",
    () => zstd(joinBytes(STREAM, ascii("domain is yours, you are cleared to unpause\0"))),
    0,
    "44 bytes: the sender's go-ahead of xl migrate",
  ],
  ["zstd of a stream and as much again", () => zstd(joinBytes(STREAM, STREAM)), 0, "another xl"],
  ["zstd whose checksum is wrong", wrongChecksum, 3, "input zstd.data"],
  ["zstd and zeros behind it", () => joinBytes(ZSTD, filled(4099, 0)), 0, "good"],
  ["gzip and zeros behind it", () => joinBytes(GZIP, filled(4099, 0)), 0, "good"],
  ["zstd and something else behind it", () => joinBytes(ZSTD, ascii("other")), 0, "good"],
  ["the magic of zstd alone", () => ZSTD.subarray(0, 4), 3, "input zstd.data"],
  ["the magic of gzip alone", () => GZIP.subarray(0, 3), 3, "input gzip.data"],
  ["zstd of nothing", () => zstd(filled(0, 0)), 3, "the input is empty"],
  ["zstd of a stream that is cut", () => zstd(STREAM.subarray(0, HALF)), 3, "end of the input"],
  ["zstd of zeros without an end", () => zstd(filled(64 * 2 ** 20, 0)), 3, "zero bytes"],
  ["zstd within zstd", () => zstd(ZSTD), 3, "bytes 28b52ffd"],
];

describe("compressed", () => {
  test.each(PACKED)("from a file: %s", async (_, pack, status, said) => {
    const found = await toldOfFile(pack());
    expect(found.text).toContain(said);
    expect(found.status).toBe(status);
  });

  test.each(PACKED)("from a pipe: %s", async (_, pack, status, said) => {
    const found = await toldOfPipe(pack());
    expect(found.text).toContain(said);
    expect(found.status).toBe(status);
  });
});

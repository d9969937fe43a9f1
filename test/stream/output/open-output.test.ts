// Outputs on real files, pipes, sockets and devices: what goes in comes out, however it is moved,
// and what cannot be written is one error that leaves nothing behind.

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemorySource, type Sink, type Source } from "../../../lib/bytes/index.ts";
import { MemorySink } from "../../../lib/stream/output/index.ts";
import { FileSource, PipeSource } from "../../../lib/stream/input/index.ts";
import { FdSink, openOutput, type OutputOptions } from "../../../lib/stream/output/index.ts";
import {
  Fd,
  makePipe,
  makeSocketPair,
  openForReading,
  openForWriting,
} from "../../../lib/sys/index.ts";
import { randomNumbers } from "../../helpers/pieces.ts";
import { NEEDS_MOUNT, smallDisk } from "../../helpers/small-disk.ts";
import { messageOf } from "../../helpers/system-error.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const FRESH: OutputOptions = { existing: "refuse", inputs: [] };
const OVER: OutputOptions = { existing: "replace", inputs: [] };
const MIB = 1024 * 1024;

function pipePair(): readonly [Fd, Fd] {
  const { readEnd, writeEnd } = makePipe();
  return [writeEnd, readEnd];
}

function randomBytes(length: number): Uint8Array {
  const random = randomNumbers(length);
  return new Uint8Array(length).map(() => random(256));
}

/** A process that writes `path` into a pipe or socket of ours. */
function feeding(path: string, target: Fd): void {
  Bun.spawn(["cat"], { stdio: [Bun.file(path), target.number, "ignore"] }).unref();
  target[Symbol.dispose]();
}

const SOURCES: Readonly<Record<string, (path: string) => Source>> = {
  file: (path) =>
    new FileSource(openForReading(path), { bytesTotal: statSync(path).size, start: 0 }),
  pipe(path) {
    const { readEnd, writeEnd } = makePipe();
    feeding(path, writeEnd);
    return new PipeSource(readEnd, { isPipe: true });
  },
  socket(path) {
    const [ours, theirs] = makeSocketPair("stream");
    feeding(path, theirs);
    return new PipeSource(ours, { isPipe: false });
  },
  memory: (path) => new MemorySource("memory", readFileSync(path)),
};

/** Head, moved body, head, moved body to the end: as a converted stream is put together. */
function pass(source: Source, output: { readonly sink: Sink }, bytes: number): void {
  const { sink } = output;
  source.peek(7);
  source.take(3);
  sink.write(source.bytes.subarray(source.at, source.at + 3));
  expect(source.move(MIB + 1, sink)).toBe(MIB + 1);
  source.take(8);
  const at = sink.build(8);
  sink.bytes.set(source.bytes.subarray(source.at, source.at + 8), at);
  const rest = bytes - MIB - 12;
  expect(source.move(rest + 5, sink)).toBe(rest);
  expect(sink.position).toBe(bytes);
}

describe.each(Object.entries(SOURCES))("from a %s", (_, open) => {
  test("to a file", () => {
    using folder = temporaryFolder();
    const [from, to] = [join(folder.path, "in"), join(folder.path, "out")];
    const bytes = randomBytes(3 * MIB + 5);
    writeFileSync(from, bytes);
    using source = open(from);
    using output = openOutput(to, FRESH);
    pass(source, output, bytes.byteLength);
    output.commit();
    expect(Buffer.compare(readFileSync(to), bytes)).toBe(0);
  });

  test.each(["pipe", "socket"])("to a %s", async (kind) => {
    using folder = temporaryFolder();
    const from = join(folder.path, "in");
    const bytes = randomBytes(3 * MIB + 5);
    writeFileSync(from, bytes);
    const received = join(folder.path, "received");
    const [target, other] = kind === "pipe" ? pipePair() : makeSocketPair("stream");
    const reader = Bun.spawn(["cat"], { stdio: [other.number, Bun.file(received), "inherit"] });
    other[Symbol.dispose]();
    {
      using source = open(from);
      using output = openOutput(String(target.number), FRESH);
      pass(source, output, bytes.byteLength);
      output.commit();
    }
    target[Symbol.dispose]();
    expect(await reader.exited).toBe(0);
    expect(Buffer.compare(readFileSync(received), bytes)).toBe(0);
  });

  test("to memory", () => {
    using folder = temporaryFolder();
    const from = join(folder.path, "in");
    const bytes = randomBytes(3 * MIB + 5);
    writeFileSync(from, bytes);
    using source = open(from);
    const sink = new MemorySink();
    pass(source, { sink }, bytes.byteLength);
    expect(Buffer.compare(sink.contents, bytes)).toBe(0);
  });
});

describe("what cannot be written is one error, and leaves nothing", () => {
  test.skipIf(NEEDS_MOUNT.skip).each(["file", "pipe", "memory"])(
    NEEDS_MOUNT.title("a full disk, from a %s"),
    (kind) => {
      using folder = temporaryFolder();
      using disk = smallDisk(MIB);
      const [from, to] = [join(folder.path, "in"), join(disk!.path, "out")];
      writeFileSync(from, new Uint8Array(2 * MIB));
      writeFileSync(to, "old");
      const message = messageOf(() => {
        using source = SOURCES[kind]!(from);
        using output = openOutput(to, OVER);
        source.move(2 * MIB, output.sink);
        output.commit();
      });
      expect(message).toMatch(/^Cannot write "[^"]*": the disk is full: .* ENOSPC \(errno 28\)$/);
      expect(readdirSync(disk!.path)).toEqual(["out"]);
      expect(readFileSync(to, "utf8")).toBe("old");
    },
  );

  test.each(Object.keys(SOURCES))("/dev/full, from a %s", (kind) => {
    using folder = temporaryFolder();
    const from = join(folder.path, "in");
    writeFileSync(from, new Uint8Array(2 * MIB));
    const message = messageOf(() => {
      using source = SOURCES[kind]!(from);
      using output = openOutput("/dev/full", OVER);
      source.move(2 * MIB, output.sink);
      output.commit();
    });
    expect(message).toMatch(/^Cannot write "\/dev\/full": the disk is full: .* \(errno 28\)$/);
  });

  test.each(Object.keys(SOURCES))("a pipe that nobody reads, from a %s", (kind) => {
    using folder = temporaryFolder();
    const from = join(folder.path, "in");
    writeFileSync(from, new Uint8Array(2 * MIB));
    const { readEnd, writeEnd } = makePipe();
    readEnd[Symbol.dispose]();
    const message = messageOf(() => {
      using source = SOURCES[kind]!(from);
      using output = openOutput(String(writeEnd.number), OVER);
      source.move(2 * MIB, output.sink);
      output.commit();
    });
    writeEnd[Symbol.dispose]();
    expect(message).toMatch(/^Cannot write "descriptor \d+": the reader has gone: .* EPIPE/);
  });

  test("small writes to a full device fail when they are handed on", () => {
    using output = openOutput("/dev/full", OVER);
    output.sink.write(new Uint8Array(10));
    expect(messageOf(() => output.commit())).toContain("the disk is full: write on");
  });

  test("a descriptor that is the input", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "in");
    writeFileSync(path, "old");
    const fd = openSync(path, "r+");
    const attempt = () => openOutput(String(fd), { existing: "replace", inputs: [statSync(path)] });
    expect(messageOf(attempt)).toBe(`Cannot write "descriptor ${fd}": it is the input`);
    closeSync(fd);
  });

  test("a descriptor that is not open", () => {
    expect(messageOf(() => openOutput("987", FRESH))).toBe(
      "Cannot use descriptor 987: fcntl on fd 987 failed with EBADF (errno 9)",
    );
  });
});

test("a file that was opened for appending is written by read and write", () => {
  using folder = temporaryFolder();
  const [from, to] = [join(folder.path, "in"), join(folder.path, "out")];
  const bytes = randomBytes(MIB);
  writeFileSync(from, bytes);
  writeFileSync(to, "old");
  const fd = openSync(to, "a");
  using output = openOutput(String(fd), FRESH);
  for (const kind of ["file", "pipe"]) {
    using source = SOURCES[kind]!(from);
    expect(source.move(2 * MIB, output.sink)).toBe(MIB);
  }
  output.commit();
  closeSync(fd);
  const all = Buffer.concat([Buffer.from("old"), bytes, bytes]);
  expect(Buffer.compare(readFileSync(to), all)).toBe(0);
});

test("a file that shrinks while it is moved ends early, and says so", () => {
  using folder = temporaryFolder();
  const from = join(folder.path, "in");
  writeFileSync(from, new Uint8Array(MIB));
  using source = new FileSource(openForReading(from), { bytesTotal: 2 * MIB, start: 0 });
  using null_ = openForWriting("/dev/null");
  using sink = new FdSink(null_, "character");
  expect([source.move(2 * MIB, sink), source.shrunk, source.position]).toEqual([MIB, true, MIB]);
});

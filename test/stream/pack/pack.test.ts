// Packed images: the same bytes back, whole and from any offset, and damage that is found before a
// byte of it goes out.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sampleStream } from "../../../lib/stream/index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";
import { agentCommand, run } from "../../helpers/run.ts";

const folder = mkdtempSync(join(tmpdir(), "agent-pack-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string) => join(folder, name);
const agent = (...words: string[]) => run(agentCommand(...words), {});

/** Packs, unpacks with `range`, and gives the bytes that came back. */
function roundTrip(input: string, ...range: string[]): Uint8Array {
  const packed = agent("pack", "-q", input, "--to", path("packed"));
  expect(packed).toMatchObject({ status: 0, stderr: "" });
  const unpacked = agent("unpack", "-q", path("packed"), "--to", path("out"), ...range);
  expect(unpacked).toMatchObject({ status: 0, stderr: "" });
  return readFileSync(path("out"));
}

const sample = sampleStream();
writeFileSync(path("sample"), sample);
/** The sample with bytes behind it that are no part of the stream. */
const odd = Buffer.concat([sample, Buffer.from("what stands behind the end")]);
writeFileSync(path("odd"), odd);

describe("a packed image gives back", () => {
  test("a stream, and what stands behind it, byte by byte", () => {
    expect(Buffer.compare(roundTrip(path("odd")), odd)).toBe(0);
  });

  test.each([
    [0, 1],
    [1, 4096],
    [odd.byteLength - 1, 1],
    [5000, 200_000],
    [odd.byteLength, 10],
    [odd.byteLength + 5, 10],
  ])("from offset %d so many bytes: %d", (from, bytes) => {
    const back = roundTrip(path("odd"), "--from", String(from), "--bytes", String(bytes));
    expect(Buffer.compare(back, odd.subarray(from, from + bytes))).toBe(0);
  });

  const captures = [
    "pv32.xl-save",
    "pvh48.xl-save",
    "hvm40-physmap.xl-save",
    "pv32.migrate.to-receiver",
    "pv32.remus.to-receiver",
  ].map((name) => [name, capturePath(name)] as const);
  for (const [name, capture] of captures) {
    test.skipIf(capture === undefined)(
      captureTitle(`${name}, at a fifth of its size`, capture),
      () => {
        const original = readFileSync(capture!);
        expect(Buffer.compare(roundTrip(capture!), original)).toBe(0);
        expect(statSync(path("packed")).size).toBeLessThan(original.byteLength / 5);
      },
    );
  }

  test("a stream from a pipe, kept in a file meanwhile", () => {
    const words = agentCommand("pack", "--to", path("piped"), "-");
    const shell = ["sh", "-c", `cat "$0" | "$@"`, path("sample"), ...words];
    expect(run(shell, {}).status).toBe(0);
    agent("unpack", "-q", path("piped"), "--to", path("out"));
    expect(Buffer.compare(readFileSync(path("out")), sample)).toBe(0);
  });

  test("a damaged stream as it is, and says so", () => {
    writeFileSync(path("cut"), sample.subarray(0, 100_000));
    const { status, stderr } = agent("pack", path("cut"), "--to", path("packed"));
    expect(status).toBe(3);
    expect(stderr).toContain("The stream is damaged and was packed as it is: libxc PAGE_DATA");
    agent("unpack", "-q", path("packed"), "--to", path("out"));
    expect(readFileSync(path("out")).byteLength).toBe(100_000);
  });
});

describe("a damaged packed image", () => {
  roundTrip(path("sample"));
  const packed = readFileSync(path("packed"));

  /** Unpacks a changed copy; the error line. Nothing may have been written. */
  function refused(change: (bytes: Buffer) => Buffer): string {
    writeFileSync(path("damaged"), change(Buffer.from(packed)));
    const done = agent("unpack", path("damaged"), "--to", path("never"));
    expect({ status: done.status, stdout: done.stdout }).toEqual({ status: 3, stdout: "" });
    expect(() => statSync(path("never"))).toThrow("ENOENT");
    return done.stderr;
  }
  const flipped = (at: number) => (bytes: Buffer) => {
    bytes[at]! ^= 0x10;
    return bytes;
  };

  test.each([
    ["magic", 0, "pack header.magic at offset 0x0: expected 0x4147454e5450414b, found 0x51"],
    ["version", 8, "pack header.version at offset 0x8: expected 0x1, found 0x11"],
    ["first frame", 24, "pack frame 0.data at offset 0x18: expected whole zstd data"],
    ["frame's contents", 400, "pack frame 0.data at offset 0x18: expected "],
    ["footer", packed.byteLength - 1, "pack footer.magic at offset"],
    ["index offset", packed.byteLength - 38, "an index that ends where the footer begins"],
    ["index", packed.byteLength - 52, "pack index.hash at offset"],
  ])("is refused for its %s", (_, at, message) => {
    expect(refused(flipped(at))).toContain(message);
  });

  test("is refused at every length", () => {
    for (let bytes = 0; bytes < packed.byteLength; bytes += Math.ceil(packed.byteLength / 12)) {
      expect(refused((whole) => whole.subarray(0, bytes))).toStartWith("agent: Cannot unpack ");
    }
  });

  test("that claims to become more than a frame can is refused unread", () => {
    const bomb = Bun.zstdCompressSync(new Uint8Array(64 * 1024 * 1024));
    const message = refused((bytes) => {
      bomb.copy(bytes, 24, 0, Math.min(bomb.byteLength, 64));
      return bytes;
    });
    expect(message).toContain("pack frame 0.data at offset 0x18: expected whole zstd data");
  });
});

describe("pack and unpack refuse", () => {
  test.each([
    [["pack", path("sample")], 2, "name the output with --to FILE"],
    [
      ["pack", path("sample"), "--to", path("x"), "--level", "20"],
      2,
      "wanted a level from 1 to 19",
    ],
    [["pack", "/dev/null", "--to", path("x")], 3, "no bytes at all"],
    [["pack", path("sample"), "--to", path("sample")], 1, "it is the input"],
    [["unpack", path("sample"), "--to", path("x")], 3, "pack header.magic"],
    [["unpack", folder, "--to", path("x")], 1, "wanted a file"],
    [["unpack", path("packed"), "--to", path("packed")], 1, "it is the input"],
  ])("%j", (words, status, message) => {
    const done = agent(...words);
    expect(done.status).toBe(status);
    expect(done.stderr).toContain(message);
  });
});

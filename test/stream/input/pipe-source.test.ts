// Pipes and sockets as sources: the same bytes as were sent, however they arrive, and not one taken
// that stands behind the stream.

import { describe, expect, test } from "bun:test";
import { readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { PipeSource } from "../../../lib/stream/input/index.ts";
import { enlargePipe, type Fd, makePipe, makeSocketPair } from "../../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../../helpers/open-descriptors.ts";
import { randomNumbers } from "../../helpers/pieces.ts";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import { ascii, encode, join as joinBytes } from "../../helpers/stream-plan.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { findingLines, verifyBytes, verifySource } from "../../helpers/verify-bytes.ts";
import { compareToItsEnd, noise } from "./compare.ts";

const MiB = 2 ** 20;
const BEHIND = ascii("domain is yours, you are cleared to unpause\0 and whatever comes next");

type Ends = readonly [reader: Fd, writer: Fd];
const pipeEnds = (): Ends => {
  const { readEnd, writeEnd } = makePipe();
  enlargePipe(writeEnd);
  return [readEnd, writeEnd];
};
const CHANNELS: Readonly<Record<string, { ends: () => Ends; isPipe: boolean }>> = {
  pipe: { ends: pipeEnds, isPipe: true },
  socket: { ends: () => makeSocketPair("stream"), isPipe: false },
  "pipe that cannot be spliced": { ends: pipeEnds, isPipe: false },
};

/** A process that sends the file in pieces of `piece` bytes, then closes its end. */
function sender([, writer]: Ends, path: string, piece: number) {
  const child = Bun.spawn(["dd", `if=${path}`, `bs=${piece}`, "status=none"], {
    stdio: ["ignore", writer.number, "inherit"],
  });
  writer[Symbol.dispose]();
  return child;
}

describe.each(Object.entries(CHANNELS))("a %s", (_, { ends, isPipe }) => {
  test.each([
    [0, 1],
    [1, 1],
    [5000, 7],
    [70_000, 65536],
    [3 * MiB + 3, 100_000],
  ])("of %d bytes that arrive %d at a time", async (bytesTotal, piece) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "sent");
    const before = openDescriptors();
    const children = [1, 2, 3].map((seed) => {
      const random = randomNumbers(seed);
      const bytes = noise(bytesTotal, random);
      writeFileSync(path, bytes);
      const channel = ends();
      const child = sender(channel, path, piece);
      using source = new PipeSource(channel[0], { isPipe });
      compareToItsEnd(source, bytes, random);
      return child.exited;
    });
    await Promise.all(children);
    expect(openedSince(before)).toEqual([]);
  });

  test.each(Object.entries(VALID_PLANS))("gives the same report as memory: %s", (name, build) => {
    const { bytes } = encode(build());
    const [reader, writer] = ends();
    writeSync(writer.number, bytes);
    writer[Symbol.dispose]();
    using source = new PipeSource(reader, { isPipe });
    const report = verifySource(source, {});
    expect({ ...report, input: "built", name }).toEqual({ ...verifyBytes(bytes, {}), name });
  });

  test.each(Object.entries(VALID_PLANS))("keeps what stands behind: %s", (name, build) => {
    const { bytes } = encode(build());
    const [reader, writer] = ends();
    writeSync(writer.number, joinBytes(bytes, BEHIND));
    using next = reader;
    using source = new PipeSource(reader, { isPipe });
    // A stream that may go on is asked whether it does: what it goes on with is not ours to give.
    if (/^(Remus|COLO)/.test(name) && !name.includes("END")) return;
    if (name.endsWith("to the end")) return;
    const report = verifySource(source, {});
    expect(findingLines(report)).toEqual([]);
    const left = new Uint8Array(200);
    writer[Symbol.dispose]();
    const got = readSync(next.number, left);
    // Where no QEMU record need follow, its first byte is asked for.
    const looksFor = /without QEMU|^old suspend image, PV/.test(name) ? 1 : 0;
    expect(Buffer.from(left.subarray(0, got))).toEqual(Buffer.from(BEHIND.subarray(looksFor)));
  });
});

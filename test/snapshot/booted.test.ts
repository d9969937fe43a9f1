// Guests that boot and write: the second one writes a number when the first has written it, to each
// of its two disks. No snapshot of both has a number on one disk that is missing on a disk before
// it.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { bootGuest } from "../helpers/booted-guest.ts";
import { deviceTitle, skipDevices } from "../helpers/device-parts.ts";
import { makeImage, tool } from "../helpers/disk-guest.ts";
import { DONE, runsIn } from "../helpers/snapshot-runs.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const ROUNDS = 6;
const LIMIT_MS = 300_000;

test.skipIf(skipDevices)(
  deviceTitle("two booted guests keep one order over four disks"),
  async () => {
    using own = temporaryFolder();
    const { path: folder } = own;
    const disksOf = (name: string) =>
      ["vda", "vdb"].map((id) => {
        const path = join(folder, `${name}-${id}.raw`);
        return { ...makeImage(path, "raw", "1M"), id };
      });
    const boot = (name: string) => bootGuest({ folder, name, disks: disksOf(name) });
    const [one, other] = await Promise.all([boot("one"), boot("other")]);
    await using first = one;
    await using second = other;
    let isOver = false;
    let number = 0;
    const writing = (async () => {
      while (!isOver) {
        number++;
        await first.write(number);
        await second.write(number);
      }
    })();
    const runs = runsIn(folder);
    const words = [`qmp:${first.guest.qmp}`, `qmp:${second.guest.qmp}`];
    const images = [...first.guest.disks, ...second.guest.disks].map(({ path }) => path);
    let seen = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await Bun.sleep(300);
      const name = `s${round}`;
      expect(await runs.create(words, name)).toEqual(DONE);
      const frozen = images.map((path) => frozenImage(path, round));
      const counters = frozen.map(({ path, format }) => counterOf(path, format));
      expect(counters).toEqual(counters.toSorted((a, b) => b - a));
      expect(counters[0]! - counters[3]!).toBeLessThanOrEqual(1);
      seen = Math.max(seen, ...counters);
    }
    isOver = true;
    await writing;
    expect(seen).toBeGreaterThan(0);
    expect(await first.guest.status()).toBe("running");
  },
  LIMIT_MS,
);

/** What the round's snapshot keeps: the disk itself, then the overlay of the round before. */
const frozenImage = (path: string, round: number) =>
  round === 0
    ? { path, format: "raw" }
    : { path: path.replace(/\.raw$/, `.s${round - 1}.qcow2`), format: "qcow2" };

function counterOf(path: string, format: string): number {
  const out = `${path}.counter`;
  tool("qemu-img", "convert", "-U", "-f", format, "-O", "raw", path, out);
  const text = tool("head", "-c", "512", out);
  tool("rm", out);
  return Number.parseInt(text.replaceAll("\0", ""), 10) || 0;
}

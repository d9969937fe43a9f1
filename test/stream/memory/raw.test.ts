// A raw memory image: where a page belongs stands its last version, of the end of the stream or of
// a checkpoint, held against a simple model.

import { describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MemoryFormat } from "../../../lib/stream/memory/extract-memory.ts";
import { physicalPageAt, readElf } from "../../helpers/elf-file.ts";
import { finalState } from "../../helpers/final-state.ts";
import { memoryOf, memoryOfFile } from "../../helpers/memory-image.ts";
import { withSeed } from "../../helpers/pieces.ts";
import {
  randomStream,
  type RandomStreamOptions,
  variedBatch,
} from "../../helpers/random-streams.ts";
import { refusalOf } from "../../helpers/squash-bytes.ts";
import { HVM, PV64, VALID_PLANS, xlPlan } from "../../helpers/stream-builder.ts";
import { encode, filled, recordNamed } from "../../helpers/stream-plan.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const PAGE_BYTES = 4096;
const hashOf = (page: Uint8Array): bigint => BigInt(Bun.hash.xxHash3(page));
const ZERO_HASH = hashOf(new Uint8Array(PAGE_BYTES));

interface Image {
  readonly stream: Uint8Array;
  readonly as: MemoryFormat;
  readonly at: number | undefined;
}

/** Every page that the model has is in the image, and no more is on the disk. */
async function compare({ stream, as, at }: Image): Promise<void> {
  using folder = temporaryFolder();
  const [path, to] = [join(folder.path, "stream"), join(folder.path, "image")];
  writeFileSync(path, stream);
  const { memory } = await memoryOfFile(path, to, { as, ...(at === undefined ? {} : { at }) });
  const wanted = [...finalState(stream, at).pages].filter(([, { hash }]) => hash !== undefined);
  expect(memory.places.count).toBe(wanted.length);

  const pageOf = as === "elf" ? elfPages(to) : rawPages(to);
  const wrong = wanted.filter(([pfn, { hash }]) => hashOf(pageOf(pfn)) !== hash);
  expect(wrong).toEqual([]);
  // A file system may need a few blocks more than the pages that are not zeros.
  const written = wanted.filter(([, { hash }]) => hash !== ZERO_HASH).length;
  const spare = as === "elf" ? written + 64 : 64; // Headers of scattered pages.
  expect(statSync(to).blocks * 512).toBeLessThanOrEqual((written + spare) * PAGE_BYTES);
}

function rawPages(path: string): (pfn: number) => Uint8Array {
  const bytes = readFileSync(path);
  return (pfn) => bytes.subarray(pfn * PAGE_BYTES, (pfn + 1) * PAGE_BYTES);
}

function elfPages(path: string): (pfn: number) => Uint8Array {
  const bytes = readFileSync(path);
  const elf = readElf(bytes);
  return (pfn) => physicalPageAt(elf, bytes, pfn * PAGE_BYTES) ?? new Uint8Array(0);
}

describe("the last version of each page is where it belongs", () => {
  const kinds: readonly (readonly [string, Partial<RandomStreamOptions>])[] = [
    ["a live PV stream", {}],
    ["a live HVM stream", { guest: "hvm" }],
    ["a Remus stream", { checkpoints: 3 }],
    ["a COLO stream", { guest: "hvm", checkpoints: 2, isColo: true }],
    ["a bare libxc stream", { framing: "libxc", version: 2 }],
  ];
  test.each(kinds)(
    "%s",
    async (_, kind) => {
      const seed = Number(process.env["SEED"] ?? 7);
      for (let round = 0; round < 4; round++) {
        let random = (_limit: number): number => 0;
        withSeed(seed + round, (seeded) => void (random = seeded));
        const options = {
          guest: "pv",
          checkpoints: 0,
          isColo: false,
          version: 3,
          framing: "xl",
          ...kind,
        } as const;
        const { bytes } = encode(randomStream(random, options));
        // Pages of HVM reach 16 TiB here, which no file holds: they are looked for in a core.
        const as = options.guest === "hvm" ? "elf" : "raw";
        const last = options.checkpoints === 0 ? undefined : options.checkpoints;
        await compare({ stream: bytes, as, at: last });
        if (options.checkpoints > 1) await compare({ stream: bytes, as, at: 1 });
      }
    },
    30_000,
  );
});

test("what stands behind a VERIFY is compared, not restored", async () => {
  const { bytes: stream } = encode(VALID_PLANS["xl, PV 64 with VERIFY"]!());
  await compare({ stream, as: "raw", at: undefined });
});

test("a page of zeros is a hole, and so is one that came to nothing", async () => {
  const plan = xlPlan(HVM);
  const batch = recordNamed(plan, "PAGE_DATA");
  const contents = batch.body.subarray(batch.body.byteLength - PAGE_BYTES);
  batch.body = Buffer.concat([batch.body.subarray(0, -PAGE_BYTES), contents.slice().fill(0)]);
  const { extracted, image } = await memoryOf(encode(plan).bytes, { as: "raw" });
  expect([extracted.memory.places.count, extracted.pagesWritten]).toEqual([1, 0]);
  expect(Buffer.compare(image, filled(PAGE_BYTES, 0))).toBe(0);
});

test("of a damaged stream there is an image, or it is told what is wrong", async () => {
  let random = (_limit: number): number => 0;
  withSeed(31, (seeded) => void (random = seeded));
  const plans = Object.values(VALID_PLANS);
  for (let round = 0; round < 150; round++) {
    const { bytes, starts } = encode(plans[random(plans.length)]!());
    const near = starts[random(starts.length - 1)]!;
    for (let hit = 0; hit < 3; hit++) {
      bytes[Math.min(near + random(40), bytes.byteLength - 1)] = random(256);
    }
    const as = random(2) === 0 ? "elf" : "raw";
    const told = await refusalOf(memoryOf(bytes, { as }));
    expect({ round, told }).toEqual({
      round,
      told: expect.stringMatching(/^(it was done$|StreamError: |RefusedError: )/),
    });
  }
}, 30_000);

describe("what has no memory to take is refused", () => {
  test.each([
    ["legacy HVM, tool 64", "it is a legacy stream; agent convert makes a current one of it"],
    ["xl, legacy PV", "it is a legacy stream; agent convert makes a current one of it"],
    ["suspend image, legacy", "it is a legacy stream; agent convert makes a current one of it"],
  ])("%s", async (plan, why) => {
    const { bytes } = encode(VALID_PLANS[plan]!());
    expect(await refusalOf(memoryOf(bytes, { as: "raw" }))).toEndWith(why);
  });

  test("a stream that is cut short", async () => {
    const { bytes } = encode(xlPlan(PV64));
    const cut = bytes.subarray(0, bytes.byteLength - 40);
    expect(await refusalOf(memoryOf(cut, { as: "raw" }))).toContain("the end of the input");
  });

  test("one without any page contents", async () => {
    const plan = xlPlan(HVM);
    const batch = plan.records.findIndex(({ name }) => name === "PAGE_DATA");
    plan.records[batch] = variedBatch([{ pfn: 0, type: 0xf }], 1);
    expect(await refusalOf(memoryOf(encode(plan).bytes, { as: "raw" }))).toEndWith(
      "it has no page contents",
    );
  });

  test("memory further up than a file can reach", async () => {
    const plan = xlPlan(HVM);
    const batch = plan.records.findIndex(({ name }) => name === "PAGE_DATA");
    plan.records[batch] = variedBatch([{ pfn: 2 ** 50, type: 0 }], 1);
    const { bytes } = encode(plan);
    expect(await refusalOf(memoryOf(bytes, { as: "raw" }))).toEndWith(
      "its memory reaches up to 0x4000000000001000, a core (--as elf) has no such holes",
    );
    expect((await memoryOf(bytes, { as: "elf" })).extracted.memory.places.count).toBe(1);
  });

  test("pfns that no guest could have", async () => {
    const plan = xlPlan(HVM);
    const batch = plan.records.findIndex(({ name }) => name === "PAGE_DATA");
    const far = Array.from({ length: 3000 }, (_, index) => ({ pfn: index * 2 ** 30, type: 0 }));
    plan.records[batch] = variedBatch(far, 1);
    expect(await refusalOf(memoryOf(encode(plan).bytes, { as: "elf" }))).toContain("too scattered");
  });
});

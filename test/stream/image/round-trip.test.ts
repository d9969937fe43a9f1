// Taken apart and put together again, every stream is the same bytes: valid ones of every kind, odd
// ones, and ones that are damaged or cut short anywhere.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { PAGE_DATA_HEAD } from "../../../lib/stream/libxc/index.ts";
import { firstDifference, putTogether, takeApart } from "../../helpers/image-folder.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { HVM, VALID_PLANS, xlPlan } from "../../helpers/stream-builder.ts";
import {
  ascii,
  encode,
  filled,
  overwrite,
  type PlanRecord,
  recordNamed,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import { messageOf } from "../../helpers/system-error.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

function difference(bytes: Uint8Array, allowsDamage: boolean): string {
  using folder = temporaryFolder();
  const path = join(folder.path, "apart");
  takeApart(bytes, path, { allowsDamage });
  return firstDifference(bytes, putTogether(path));
}

describe("a valid stream comes out as it went in", () => {
  test.each(Object.entries(VALID_PLANS))("%s", (_, build) => {
    expect(difference(encode(build()).bytes, false)).toBe("equal");
  });

  test.each(Object.entries(VALID_PLANS))("%s, with bytes behind its end", (_, build) => {
    const bytes = Buffer.concat([encode(build()).bytes, filled(5000, 0xa5)]);
    expect(difference(bytes, true)).toBe("equal");
  });
});

/** Streams that readers take, or at least can walk, although nobody writes them. */
const ODD: Readonly<Record<string, (plan: StreamPlan) => void>> = {
  "padding that is not zero": (plan) => {
    const record = odd(plan, "EMULATOR_CONTEXT");
    record.body = filled(13, 1);
    record.padding = ascii("odd");
  },
  "a batch with a reserved word": (plan) =>
    setField(odd(plan, "PAGE_DATA"), PAGE_DATA_HEAD, { field: "reserved", value: 7 }),
  "a batch that claims fewer pfns than it has": (plan) =>
    setField(odd(plan, "PAGE_DATA"), PAGE_DATA_HEAD, { field: "count", value: 3 }),
  "a batch that claims no pfns": (plan) =>
    setField(odd(plan, "PAGE_DATA"), PAGE_DATA_HEAD, { field: "count", value: 0 }),
  "a batch that claims more pfns than it holds": (plan) =>
    setField(odd(plan, "PAGE_DATA"), PAGE_DATA_HEAD, { field: "count", value: 2 ** 24 }),
  "a pfn with reserved bits": (plan) => overwrite(odd(plan, "PAGE_DATA"), 8 + 6, filled(1, 0x10)),
  "a page of a type that Xen does not know": (plan) =>
    overwrite(odd(plan, "PAGE_DATA"), 8 + 7, filled(1, 0x80)),
  "a batch of 3 bytes": (plan) => void (odd(plan, "PAGE_DATA").body = ascii("odd")),
  "more parameters than the record holds": (plan) =>
    overwrite(odd(plan, "HVM_PARAMS"), 0, filled(1, 0xff)),
  "a table that ends inside of a row": (plan) =>
    void (odd(plan, "X86_CPUID_POLICY").body = filled(25, 3)),
  "a table too large to be read": (plan) =>
    void (odd(plan, "X86_CPUID_POLICY").body = filled(24 * 4096, 3)),
  "a body too short for its fields": (plan) => void (odd(plan, "X86_TSC_INFO").body = ascii("odd")),
  "a body longer than its fields": (plan) =>
    void (odd(plan, "X86_TSC_INFO").body = filled(1000, 0xee)),
  "an emulator without a head": (plan) => void (odd(plan, "EMULATOR_CONTEXT").body = ascii("odd")),
  "xenstore data that are no pairs": (plan) =>
    void (odd(plan, "EMULATOR_XENSTORE_DATA").body = ascii("\x02\0\0\0\0\0\0\0key\0value")),
  "xenstore data that are no text": (plan) =>
    void (odd(plan, "EMULATOR_XENSTORE_DATA").body = filled(300, 0xff)),
  "a large optional record that nobody knows": (plan) => {
    const record = odd(plan, "X86_TSC_INFO");
    record.type = 0x8000_1234;
    record.body = filled(2 ** 21 + 5, 0x42);
  },
  "a config without its NUL, and bytes behind it": (plan) => {
    const record = plan.records.find(({ body }) => Buffer.from(body).includes('"c_info"'))!;
    const at = record.body.byteLength - 1;
    record.body = Buffer.concat([record.body.subarray(0, at), ascii("\0\0odd")]);
    const header = plan.records.find(({ name }) => name === "save_header")!;
    const length = new DataView(header.body.buffer).getUint32(header.body.byteLength - 4, true);
    header.body = header.body.slice();
    new DataView(header.body.buffer).setUint32(header.body.byteLength - 4, length + 4, true);
  },
};

const odd = (plan: StreamPlan, name: string): PlanRecord => recordNamed(plan, name);

describe("an odd stream comes out as it went in", () => {
  test.each(Object.entries(ODD))("%s", (_, spoil) => {
    const plan = xlPlan(HVM);
    spoil(plan);
    expect(difference(encode(plan).bytes, true)).toBe("equal");
  });
});

describe("a stream that is cut short", () => {
  const names = ["xl, HVM", "Remus, PV", "COLO, HVM", "suspend image, HVM", "xl, legacy PV"];

  test.each(names)(
    "%s: what is there comes out as it went in, wherever the cut is",
    (name) => {
      withSeed(20261121, (random) => {
        const { bytes, starts } = encode(VALID_PLANS[name]!());
        const cuts = [...starts, ...starts.map((at) => at + 5)];
        for (let more = 0; more < 16; more++) cuts.push(random(bytes.byteLength));
        // Shorter ones are not recognised.
        for (const cut of cuts.filter((at) => at >= 48 && at < bytes.byteLength)) {
          expect({ cut, result: difference(bytes.subarray(0, cut), true) }).toEqual({
            cut,
            result: "equal",
          });
        }
      });
    },
    30_000,
  );

  test("is refused, and nothing is left, unless it is asked for", () => {
    using folder = temporaryFolder();
    const { bytes } = encode(xlPlan(HVM));
    const path = join(folder.path, "apart");
    const cut = bytes.subarray(0, bytes.byteLength - 30);
    expect(messageOf(() => takeApart(cut, path, {}))).toContain("the end of the input after");
    expect([...new Bun.Glob("*").scanSync({ cwd: folder.path, dot: true })]).toEqual([]);
  });

  test("is taken where a receiver would fail over", () => {
    using folder = temporaryFolder();
    const { bytes } = encode(VALID_PLANS["Remus, PV"]!());
    const cut = bytes.subarray(0, bytes.byteLength - 30);
    const path = join(folder.path, "apart");
    takeApart(cut, path, {});
    expect(firstDifference(cut, putTogether(path))).toBe("equal");
  });
});

test("a stream with damage anywhere comes out as it went in", () => {
  withSeed(4711, (random) => {
    const plans = Object.values(VALID_PLANS);
    for (let round = 0; round < 40; round++) {
      const { bytes, starts } = encode(plans[random(plans.length)]!());
      const damaged = bytes.slice();
      // Mostly in headers: page contents say nothing.
      const near = starts[random(starts.length - 1)]!;
      for (let hit = 0; hit < 3; hit++) {
        damaged[Math.min(near + random(24), bytes.byteLength - 1)] = random(256);
      }
      const path = (folder: string) => join(folder, "apart");
      using folder = temporaryFolder();
      const message = messageOf(() =>
        takeApart(damaged, path(folder.path), { allowsDamage: true }),
      );
      if (message.startsWith("input start.format")) continue; // No stream at all.
      expect(message).toBe("nothing");
      expect(firstDifference(damaged, putTogether(path(folder.path)))).toBe("equal");
    }
  });
}, 30_000);

// Legacy streams of every kind, built and hostile: what comes out verifies as good, what Xen's
// converter gets wrong is right, what nobody could restore is refused with its place, and no input
// whatever does harm.

import { describe, expect, test } from "bun:test";
import { RefusedError, UsageError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import { convertBytes } from "../../helpers/convert-bytes.ts";
import {
  batch,
  block,
  cat,
  chunk,
  fill,
  GOLDEN_HVM,
  GOLDEN_PV,
  type HvmRecipe,
  hvmStream,
  page,
  param,
  type PvRecipe,
  pvBlocks,
  pvChunks,
  pvStream,
  pvTail,
  qemuRecord,
  text,
  toolstack,
  u32,
  u64,
} from "../../helpers/legacy-recipes.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { messageOf } from "../../helpers/system-error.ts";
import { findingLines, verifyBytes } from "../../helpers/verify-bytes.ts";

const PLANS = Object.entries(VALID_PLANS).filter(([name]) => /^(xl, )?legacy/.test(name));

describe("what is converted verifies as good", () => {
  const FORMATS = ["libxl", "libxc"] as const;
  const rows = PLANS.flatMap(([name, build]) =>
    FORMATS.flatMap((to) => ([2, 3] as const).map((version) => ({ name, build, to, version }))),
  ).filter(({ name, to }) => !(name.includes("without QEMU") && to === "libxl"));
  test.each(rows)("$name to $to version $version", ({ build, to, version, name }) => {
    const { bytes } = encode(build());
    const converted = convertBytes(bytes, { to, version });
    const report = verifyBytes(converted.bytes, {});
    expect(findingLines(report).filter((line) => line.startsWith("error"))).toEqual([]);
    const format = name.startsWith("xl") && to === "libxl" ? "xl" : to;
    expect([report.verdict, report.format, report.guest.libxc_version]).toEqual([
      "good",
      format,
      version,
    ]);
    expect(converted.report.output_format).toBe(format);
    expect(converted.report.bytes_out).toBe(converted.bytes.byteLength);
    // The QEMU record behind libxc's END is not part of the stream.
    const isWhole = to === "libxl" || converted.report.qemu === null;
    if (isWhole) expect(report.end_offset).toBe(converted.bytes.byteLength);
  });
});

const hvm = (recipe: Partial<HvmRecipe>) => hvmStream({ ...GOLDEN_HVM, width: 8, ...recipe });
const pv = (recipe: Partial<PvRecipe>) =>
  pvStream({ ...GOLDEN_PV, width: 8, guestWidth: 8, ...recipe });
/** HVM with these chunks; `rest` as in the golden vectors. */
const chunks = (...list: readonly Uint8Array[]) => hvm({ chunks: list });
const ONE_PAGE = batch(8, [1], page(1));

const records = (bytes: Uint8Array): string[] => {
  const names: string[] = [];
  verifyBytes(bytes, {}); // It must be walkable.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 40; at + 8 <= bytes.byteLength;) {
    const [type, length] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    names.push(`${type}:${length}`);
    if (type === 0) break;
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return names;
};

describe("what Xen's converter gets wrong or refuses is right", () => {
  test("a batch of unmapped entries only makes no record", () => {
    const stream = chunks(ONE_PAGE, batch(8, [0xf000_0000, 0xf000_0000]), ONE_PAGE);
    const { bytes, report } = convertBytes(stream, { to: "libxc" });
    expect(records(bytes)).toEqual(["16:0", "1:4112", "1:4112", "10:56", "9:8", "0:0"]);
    expect(report.pages).toEqual({ sent: 2, with_data: 2, unmapped: 2 });
  });

  test.each(["DeviceModelRecord0002", "RemusDeviceModelState", "QemuDeviceModelRecord"])(
    "the QEMU record %s",
    (signature) => {
      const rest = qemuRecord(signature, text("QEVM!"));
      const toLibxl = convertBytes(hvm({ rest }), { to: "libxl" });
      const wanted = cat(u32(3, 13, 0, 0), text("QEVM!"), fill(3, 0), u32(0, 0));
      expect(toLibxl.bytes.subarray(-wanted.byteLength)).toEqual(wanted);
      expect(toLibxl.report.qemu).toBe(signature);
      const toLibxc = convertBytes(hvm({ rest }), { to: "libxc" });
      expect(toLibxc.bytes.subarray(-rest.byteLength)).toEqual(rest);
    },
  );

  test("transcendent memory that the guest can do without is passed over", () => {
    const head = u32(1, 16, -1, 0, 5, 6, -1);
    const pool = cat(u32(3, 2, 0), u64(1, 2));
    const extra = chunk(-6, u32(3), u64(1, 2, 3), u32(9), u32(-1));
    const stream = chunks(chunk(-5, head, pool, pool, u32(-1)), ONE_PAGE, extra);
    const { bytes } = convertBytes(stream, { to: "libxc" });
    expect(records(bytes)).toEqual(["16:0", "1:4112", "10:56", "9:8", "0:0"]);
  });

  test("an xl header is passed on, with the flag of the newer stream", () => {
    const build = VALID_PLANS["xl, legacy HVM"]!;
    const { bytes } = encode(build());
    const after = convertBytes(bytes, {}).bytes;
    const length = 48 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(44, true);
    const wanted = bytes.slice(0, length);
    wanted[36]! |= 2;
    expect(after.slice(0, length)).toEqual(wanted);
    const asXen = convertBytes(bytes, { from: "xl", to: "libxc", keepsXlHeader: true }).bytes;
    expect(asXen.slice(0, length)).toEqual(bytes.slice(0, length));
    const bare = convertBytes(bytes, { to: "libxc" }).bytes;
    expect(Buffer.compare(asXen.subarray(length), bare)).toBe(0);
  });

  test("a 32-bit HVM stream in verify mode is not taken for PV", () => {
    const stream = hvmStream({
      ...GOLDEN_HVM,
      width: 4,
      chunks: [chunk(-1), batch(4, [1], page(1))],
    });
    const { report } = convertBytes(stream, { guest: "hvm" });
    expect([report.guest, report.toolstack_width]).toEqual(["hvm", 32]);
  });
});

describe("the toolstack chunk", () => {
  const name = (bytes: Uint8Array, size = bytes.byteLength) =>
    toolstack(1, cat(u64(1, 2, 3), u32(size), bytes, fill(4, 0)));
  const TOOLSTACK = "legacy TOOLSTACK";
  test.each([
    ["another version", chunk(-18, u32(8), u32(2, 0)), `${TOOLSTACK}.version`],
    ["too short for a head", chunk(-18, u32(4), u32(1)), `${TOOLSTACK}.size`],
    ["too short for its entries", toolstack(2), `${TOOLSTACK}.size`],
    ["a name of no bytes", name(text("")), `${TOOLSTACK}.namelen`],
    ["a name longer than the chunk", name(text("x\0"), 99), `${TOOLSTACK}.size`],
    ["a name without a NUL", name(text("vram")), `${TOOLSTACK}.name`],
    ["a name with a NUL inside", name(text("v\0am\0")), `${TOOLSTACK}.name`],
    ["absurdly long", chunk(-18, u32(0x7fff_ffff)), `${TOOLSTACK}.size`],
  ])("%s is refused, but not for libxc, which discards it", (title, bytes, message) => {
    expect(messageOf(() => convertBytes(chunks(bytes, ONE_PAGE), { to: "libxl" }))).toStartWith(
      message,
    );
    if (title === "absurdly long") return;
    expect(() => convertBytes(chunks(bytes, ONE_PAGE), { to: "libxc" })).not.toThrow();
  });
});

describe("what nobody could restore is refused, with its place", () => {
  const tmemPages = cat(u32(1, 16, -1, 0, 5, 6, -1, 3, 3, 2), u64(1, 2));
  const tail = pvTail(8, 8, [0, 1]);
  const wrongXsave = tail.slice();
  wrongXsave[12 + 0x1430 + 128 + 8] = 1; // Size of the first vcpu's XSAVE area.
  test.each<[string, Uint8Array, string]>([
    [
      "a type that Xen does not define",
      chunks(batch(8, [0x5000_0001], page(1))),
      "PAGE_BATCH.pfn[0]",
    ],
    ["a pfn above p2m_size", chunks(batch(8, [0x1000], page(1))), "PAGE_BATCH.pfn[0]"],
    ["bits 32 and up", chunks(batch(8, [1n << 32n], page(1))), "PAGE_BATCH.pfn[0]"],
    ["an entry twice", chunks(batch(8, [2, 1, 2], fill(12288, 1))), "PAGE_BATCH.pfn[2]"],
    ["a P2M frame above p2m_size", pv({ p2mSize: 0x100 }), "P2M_FRAMES.pfn"],
    ["a batch of 1025", chunks(batch(8, fill(1025, 0) as never)), "PAGE_BATCH.count"],
    ["an unknown chunk", chunks(chunk(-21)), "chunk.marker"],
    ["an HVM parameter in PV", pv({ chunks: [param(-3, 1)] }), "HVM_IDENT_PT.marker"],
    ["no VCPU_INFO", pv({ chunks: [] }), "END.order"],
    [
      "two of them",
      pv({ chunks: [...pvChunks(8), chunk(-2, u32(1), u64(3))] }),
      "VCPU_INFO.marker",
    ],
    ["vcpu 4096", pv({ chunks: [chunk(-2, u32(4096), fill(520, 0))] }), "VCPU_INFO.max_id"],
    ["no vcpu block", pv({ blocks: block("extv") }), "EXTENDED_INFO.blocks"],
    ["an unknown block", pv({ blocks: cat(pvBlocks(8), block("what")) }), "EXTENDED_INFO.block"],
    ["blocks beyond their length", pv({ blocks: u32(0x20202020, 99) }), "EXTENDED_INFO.size"],
    ["another XSAVE size", pv({ tail: wrongXsave }), "VCPU_XSAVE.size"],
    ["an empty context", hvm({ context: new Uint8Array(0) }), "HVM_CONTEXT.size"],
    ["no QEMU record", hvm({ rest: new Uint8Array(0) }), "QEMU.signature"],
    [
      "an unknown QEMU record",
      hvm({ rest: text("SomethingElseEntirely and more") }),
      "QEMU.signature",
    ],
    ["broken tmem", chunks(chunk(-5, u32(1, 2, 3, 4, 5, 6, 7))), "TMEM.end_of_versions"],
  ])("%s", (_, stream, where) => {
    const error = errorOf(() => convertBytes(stream, { to: "libxl" }));
    expect(error).toBeInstanceOf(StreamError);
    expect((error as Error).message).toStartWith(`legacy ${where} at offset 0x`);
  });

  test.each([
    [
      "pages in transcendent memory",
      chunks(chunk(-5, tmemPages)),
      "2 pages in transcendent memory",
    ],
    ["compression", chunks(chunk(-13), ONE_PAGE), "compressed Remus stream"],
    ["compressed pages", chunks(chunk(-12, u64(4), u32(0))), "compressed Remus stream"],
  ])("%s", (_, stream, message) => {
    const error = errorOf(() => convertBytes(stream, {}));
    expect(error).toBeInstanceOf(RefusedError);
    expect((error as Error).message).toContain(message);
  });

  test.each([
    ["-w 32 of a 64-bit stream", hvm({}), { width: 4 }, "width"],
    ["-w 64 of a 32-bit stream", pv({ width: 4 }), { width: 8 }, "width"],
    ["-g pv of an HVM stream", hvm({}), { guest: "pv" }, "guest"],
    ["-g hvm of a PV stream", pv({}), { guest: "hvm" }, "guest"],
    ["-g hvm of a 32-bit PV stream", pv({ width: 4 }), { guest: "hvm" }, "guest"],
  ] as const)("%s", (_, stream, told, field) => {
    const message = messageOf(() => convertBytes(stream, { from: "legacy", ...told }));
    expect(message).toStartWith(`legacy header.${field} at offset 0x`);
    expect(message).toContain("as it was told to be");
  });
});

function errorOf(attempt: () => unknown): unknown {
  try {
    attempt();
    return "nothing was thrown";
  } catch (error) {
    return error;
  }
}

describe("hostile input", () => {
  const pvSmall = pv({ width: 4, guestWidth: 4, p2mSize: 64 });
  const hvmSmall = hvm({
    chunks: [batch(8, [0xe000_0001]), param(-3, 1), chunk(-7, fill(20, 1)), toolstack(0)],
  });

  test("an HVM stream that is cut at any byte is refused", () => {
    for (let length = 0; length < hvmSmall.byteLength; length++) {
      const error = errorOf(() =>
        convertBytes(hvmSmall.subarray(0, length), { from: "legacy", to: "libxl" }),
      );
      expect([length, error instanceof StreamError]).toEqual([length, true]);
    }
  });

  test("a PV stream that is cut at any byte is refused", () => {
    for (let length = 0; length < pvSmall.byteLength; length++) {
      const error = errorOf(() =>
        convertBytes(pvSmall.subarray(0, length), { from: "legacy", to: "libxc" }),
      );
      if (!(error instanceof StreamError)) expect([length, error]).toEqual([length, "refused"]);
    }
  });

  test("any bytes changed: converted or refused, and never more than that", () => {
    const streams = [pvSmall, hvmSmall, ...PLANS.map(([, build]) => encode(build()).bytes)];
    withSeed(46, (random) => {
      for (let round = 0; round < 3000; round++) {
        const bytes = streams[random(streams.length)]!.slice();
        for (let change = random(4); change >= 0; change--) {
          const value = [0, 0xff, 0x80, random(256)][random(4)]!;
          // Mostly where the structure is: contents say nothing.
          const at = random(2) === 0 ? random(Math.min(600, bytes.length)) : random(bytes.length);
          bytes[at] = value;
        }
        const to = random(2) === 0 ? "libxl" : "libxc";
        const error = errorOf(() => convertBytes(bytes, { to, version: 2 }));
        const isExpected =
          error === "nothing was thrown" ||
          error instanceof StreamError ||
          error instanceof RefusedError ||
          error instanceof UsageError; // A changed flag says that it is no legacy stream.
        if (!isExpected) throw error;
      }
    });
  });
});

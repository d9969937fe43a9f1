// Against Xen's own convert-legacy-stream (Python, Debian's xen-utils-4.17): what it converts, we
// convert to the same bytes, and Xen's verify-stream-v2 takes what we wrote. Where the two differ,
// the row of CONVERT_DIFFERENCES that says why is named.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CONVERT_DIFFERENCES } from "../../lib/stream/convert/index.ts";
import { convertBytes } from "../helpers/convert-bytes.ts";
import {
  batch,
  block,
  cat,
  chunk,
  fill,
  GOLDEN_HVM,
  GOLDEN_PV,
  type HvmRecipe,
  hvmChunks,
  hvmStream,
  page,
  param,
  physmap,
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
  type Width,
} from "../helpers/legacy-recipes.ts";
import { randomNumbers } from "../helpers/pieces.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { fetchXenUtils, referenceTitle, referenceTool } from "../helpers/xen-utils.ts";

fetchXenUtils();
const TOOL = referenceTool();
const CONVERTER = TOOL && join(dirname(TOOL.script), "convert-legacy-stream");
const skip = CONVERTER === undefined || !existsSync(CONVERTER);
const title = (name: string): string => referenceTitle(name, skip ? undefined : TOOL);

interface Case {
  readonly stream: Uint8Array;
  readonly width: Width;
  readonly guest: "pv" | "hvm";
  readonly to: "libxl" | "libxc";
  readonly words?: readonly string[];
}

interface Outcome {
  readonly status: number;
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

function python(script: string, ...words: string[]): Omit<Outcome, "bytes"> {
  const { exitCode, stderr } = Bun.spawnSync([TOOL!.python, script, ...words], {
    env: { ...process.env, PYTHONPATH: TOOL!.library, PYTHONDONTWRITEBYTECODE: "1" },
  });
  return { status: exitCode, stderr: stderr.toString() };
}

/** What the original makes of it. */
function original({ stream, width, guest, to, words = [] }: Case): Outcome {
  using folder = temporaryFolder();
  const [input, output] = [join(folder.path, "in"), join(folder.path, "out")];
  writeFileSync(input, stream);
  const told = ["-w", String(width * 8), "-g", guest, "-f", to, ...words];
  const ran = python(CONVERTER!, "-i", input, "-o", output, ...told);
  return { ...ran, bytes: existsSync(output) ? readFileSync(output) : new Uint8Array(0) };
}

/** What ours makes of it, told the same. */
function ours({ stream, width, guest, to, words = [] }: Case): Uint8Array | string {
  try {
    const from = words.includes("-x") ? "xl" : "legacy";
    const skipsQemu = words.includes("--skip-qemu");
    const told = { from, to, width, guest, skipsQemu, keepsXlHeader: true } as const;
    return convertBytes(stream, told).bytes;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Xen's verifier on our output. It cannot take xenstore data under Python 3. */
function verifies(bytes: Uint8Array, format: string): string {
  using folder = temporaryFolder();
  const path = join(folder.path, "stream");
  writeFileSync(path, bytes);
  const { status, stderr } = python(TOOL!.script, "-i", path, "-f", format);
  return status === 0 || stderr.includes("Data not NUL terminated") ? "" : stderr;
}

const WIDTHS = [4, 8] as const;
const FORMATS = ["libxc", "libxl"] as const;
const hvm = (recipe: Partial<HvmRecipe>) => hvmStream({ ...GOLDEN_HVM, width: 8, ...recipe });
const pv = (recipe: Partial<PvRecipe>) =>
  pvStream({ ...GOLDEN_PV, width: 8, guestWidth: 8, ...recipe });

/** Streams that both convert alike, for each width of the toolstack. */
const ALIKE: Readonly<Record<string, (width: Width) => [Uint8Array, "pv" | "hvm"]>> = {
  "golden PV 64": (width) => [pv({ width }), "pv"],
  "golden PV 32": (width) => [pv({ width, guestWidth: 4 }), "pv"],
  "golden HVM": (width) => [hvm({ width }), "hvm"],
  "PV without extv and xcnt": (width) => {
    const tail = cat(u32(0), fill(0xaf0 * 2, 0x21), page(0xcc));
    const blocks = block("vcpu", fill(0xaf0, 1));
    return [pv({ width, guestWidth: 4, blocks, tail }), "pv"];
  },
  "PV of 70 vcpus, few online": (width) => {
    const online = [0, 3, 64, 69];
    const [, ...others] = pvChunks(width);
    const chunks = [chunk(-2, u32(69), u64(9, 33)), ...others];
    return [pv({ width, chunks, tail: pvTail(width, 8, online) }), "pv"];
  },
  "every other chunk": (width) => {
    const params = [-3, -4, -8, -10, -11, -14, -15, -16, -17, -19, -20];
    const chunks = [
      chunk(-1),
      batch(width, [1, 0xe000_0002, 0xf000_0003], page(7)),
      ...params.map((marker, index) => param(marker, 0x1_0000_0000n + BigInt(index))),
      chunk(-9),
      chunk(-7, u32(3), u64(1n << 40n), u32(2_400_000, 9)),
      chunk(-2, u32(0), u64(1)),
      toolstack(2, physmap(width, "vga.vram"), physmap(width, "")),
      chunk(-18, u32(0)),
      batch(width, [1, 2], fill(8192, 8)),
    ];
    return [hvm({ width, chunks }), "hvm"];
  },
  "a full batch": (width) => {
    const entries = Array.from({ length: 1024 }, (_, pfn) => pfn);
    return [hvm({ width, chunks: [batch(width, entries, fill(1024 * 4096, 3))] }), "hvm"];
  },
  "odd sizes": (width) => {
    const rest = qemuRecord("DeviceModelRecord0002", fill(13, 5));
    return [hvm({ width, context: fill(77, 6), rest }), "hvm"];
  },
};

const BUILT = Object.entries(VALID_PLANS).filter(
  ([name]) => name.startsWith("legacy") && !/without QEMU|QEMU to the end|Remus QEMU/.test(name),
);

describe("what both convert, both convert to the same bytes", () => {
  const rows = FORMATS.flatMap((to) => [
    ...Object.entries(ALIKE).flatMap(([name, build]) =>
      WIDTHS.map((width) => ({ name, width, to, make: () => build(width) })),
    ),
    ...BUILT.map(([name, build]) => {
      const width: Width = name.includes("tool 32") ? 4 : 8;
      const guest = name.includes("PV") ? "pv" : "hvm";
      return { name, width, to, make: () => [encode(build()).bytes, guest] as const };
    }),
  ]);
  for (const { name, width, to, make } of rows) {
    test.skipIf(skip)(title(`${name}, tool ${width * 8}, to ${to}`), () => {
      const [stream, guest] = make();
      const given: Case = { stream, width, guest, to };
      const theirs = original(given);
      // The batch of unmapped entries is in most built streams: see below.
      const isEmptied = name.startsWith("legacy PV");
      const found = ours(given);
      expect([theirs.status, typeof found]).toEqual([0, "object"]);
      const bytes = isEmptied ? withoutEmptyPageData(theirs.bytes, to) : theirs.bytes;
      expect(Buffer.compare(found as Uint8Array, bytes)).toBe(0);
      expect(verifies(found as Uint8Array, to)).toBe("");
    });
  }

  test.skipIf(skip)(title("streams at random"), () => {
    const random = randomNumbers(417);
    for (let round = 0; round < 12; round++) {
      const width = WIDTHS[random(2)]!;
      const guestWidth = WIDTHS[random(2)]!;
      const to = FORMATS[random(2)]!;
      const entries = () => {
        const types = [0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15];
        const pfns = new Set(Array.from({ length: 1 + random(40) }, () => 1 + random(0xfff)));
        return [...pfns].map((pfn) => types[random(types.length)]! * 2 ** 28 + pfn);
      };
      const batches = Array.from({ length: 1 + random(5) }, () => {
        const list = entries();
        const pages = list.filter((entry) => entry / 2 ** 28 < 13).length;
        return batch(width, [...list, 0xf000_0000], fill(pages * 4096, random(256)));
      });
      const guest = random(2) === 0 ? "pv" : "hvm";
      const stream =
        guest === "pv"
          ? pv({ width, guestWidth, chunks: [...pvChunks(width), ...batches] })
          : hvm({ width, chunks: [...batches, ...hvmChunks(width)] });
      const given: Case = { stream, width, guest, to };
      const theirs = original(given);
      const found = ours(given);
      expect([round, theirs.status, typeof found]).toEqual([round, 0, "object"]);
      expect(Buffer.compare(found as Uint8Array, theirs.bytes)).toBe(0);
    }
  });

  test.skipIf(skip)(title("--skip-qemu to libxc"), () => {
    const given: Case = {
      stream: hvm({ rest: text("whatever stands here") }),
      width: 8,
      guest: "hvm",
      to: "libxc",
      words: ["--skip-qemu"],
    };
    const theirs = original(given);
    expect(theirs.status).toBe(0);
    expect(ours(given)).toEqual(new Uint8Array(theirs.bytes));
  });
});

/** The original's output without the PAGE_DATA of no pages that it writes. */
function withoutEmptyPageData(bytes: Uint8Array, to: string): Uint8Array {
  const empty = cat(u32(1, 8), u32(0, 0));
  const at = Buffer.from(bytes).indexOf(empty, to === "libxl" ? 24 : 0);
  return at === -1 ? bytes : cat(bytes.subarray(0, at), bytes.subarray(at + empty.byteLength));
}

interface Differing extends Omit<Case, "width" | "guest" | "to"> {
  readonly width?: Width;
  readonly guest?: "pv" | "hvm";
  readonly to?: "libxl" | "libxc";
  /** Exit status of the original, and words of what it says. */
  readonly original: readonly [number, string];
  /** What ours says; undefined where it converts. */
  readonly refused: string | undefined;
}

const one = batch(8, [1], page(1));
const tmem = (pages: number) => chunk(-5, u32(1, 16, -1, 0, 0, 0, -1, 0, 1, pages), u64(1, 2));
const xl = encode(VALID_PLANS["xl, legacy HVM"]!()).bytes;
const badXsave = pvTail(8, 8, [0, 1]);
badXsave[12 + 0x1430 + 128 + 8] = 1;

/** By the id of the difference. */
const DIFFERING: Readonly<Record<string, Differing>> = {
  "xl header": {
    stream: xl,
    words: ["-x"],
    original: [1, "No xl header"],
    refused: undefined,
  },
  "empty batch": {
    stream: hvm({ chunks: [one, batch(8, [0xf000_0000])] }),
    original: [0, ""],
    refused: undefined,
  },
  "qemu to the end": {
    stream: hvm({ rest: qemuRecord("QemuDeviceModelRecord", text("QEVM")) }),
    original: [2, "Unrecognised Qemu sig"],
    refused: undefined,
  },
  "remus qemu": {
    stream: hvm({ rest: qemuRecord("RemusDeviceModelState", text("QEVM")) }),
    original: [2, "Unrecognised Qemu sig"],
    refused: undefined,
  },
  "no qemu": {
    stream: hvm({ rest: new Uint8Array(0) }),
    to: "libxc",
    original: [1, "Stream truncated"],
    refused: undefined,
  },
  tmem: {
    stream: hvm({ chunks: [cat(tmem(0), u32(-1)), one] }),
    original: [2, "todo"],
    refused: undefined,
  },
  "tmem pages": {
    stream: hvm({ chunks: [tmem(1), one] }),
    original: [2, "todo"],
    refused: "1 page in transcendent memory",
  },
  compressed: {
    stream: hvm({ chunks: [one, chunk(-13)] }),
    original: [2, "todo"],
    refused: "compressed Remus stream",
  },
  "wrong width": {
    stream: hvm({}),
    width: 4,
    original: [2, "Unrecognised Qemu sig"],
    refused: "expected words of 32 bits",
  },
  "wrong guest": {
    stream: hvm({}),
    guest: "pv",
    original: [1, "Unexpected extended info marker"],
    refused: "expected the start of a PV stream",
  },
  "page type": {
    stream: hvm({ chunks: [batch(8, [0x5000_0001], page(1))] }),
    original: [0, ""],
    refused: "a page type that Xen defines",
  },
  "pfn range": {
    stream: hvm({ chunks: [batch(8, [0x1000], page(1))] }),
    original: [0, ""],
    refused: "a pfn below p2m_size",
  },
  "pfn bits": {
    stream: hvm({ chunks: [batch(8, [(1n << 32n) + 1n], page(1))] }),
    original: [0, ""],
    refused: "bits 32 and up clear",
  },
  "p2m frame": {
    stream: pv({ p2mSize: 0x100 }),
    guest: "pv",
    original: [0, ""],
    refused: "P2M_FRAMES.pfn",
  },
  "no vcpus": {
    stream: pv({ chunks: [one], tail: pvTail(8, 8, []) }),
    guest: "pv",
    original: [0, ""],
    refused: "VCPU_INFO before the end",
  },
  "empty context": {
    stream: hvm({ context: new Uint8Array(0) }),
    original: [0, ""],
    refused: "HVM_CONTEXT.size",
  },
  "no vcpu block": {
    stream: pv({ blocks: block("extv") }),
    guest: "pv",
    original: [1, "ZeroDivisionError"],
    refused: 'a "vcpu" block',
  },
  "xsave size": {
    stream: pv({ tail: badXsave }),
    guest: "pv",
    original: [1, "AssertionError"],
    refused: "VCPU_XSAVE.size",
  },
  "nul in name": {
    stream: hvm({ chunks: [one, toolstack(1, physmap(8, "a\0b"))] }),
    original: [0, ""],
    refused: "TOOLSTACK.name",
  },
  "half a file": {
    stream: pv({ blocks: cat(pvBlocks(8), block("what")) }),
    guest: "pv",
    original: [1, "Unrecognised extended block"],
    refused: 'a block "vcpu", "extv" or "xcnt"',
  },
};

describe("where the two differ, a row of the table says why", () => {
  for (const { id, input } of CONVERT_DIFFERENCES) {
    test.skipIf(skip)(title(input), () => {
      const row = DIFFERING[id];
      if (row === undefined) throw new Error(`no stream shows "${id}"`);
      const { width = 8, guest = "hvm", to = "libxl", refused } = row;
      const given: Case = { ...row, width, guest, to };
      const theirs = original(given);
      expect([theirs.status, theirs.stderr]).toEqual([
        row.original[0],
        expect.stringContaining(row.original[1]),
      ]);
      const found = ours(given);
      if (refused !== undefined) return expect(found).toContain(refused);
      expect(typeof found).toBe("object");
      expect(verifies(found as Uint8Array, id === "xl header" ? "xl" : to)).toBe("");
      const isAlike = Buffer.compare(found as Uint8Array, theirs.bytes) === 0;
      expect(theirs.status === 0 && isAlike).toBe(false);
    });
  }

  test("every stream is in the table", () => {
    const ids = CONVERT_DIFFERENCES.map(({ id }) => id);
    expect(Object.keys(DIFFERING).filter((id) => !ids.includes(id))).toEqual([]);
  });
});

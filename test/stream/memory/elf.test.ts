// The ELF core: registers, memory by physical address and by the kernel's, what Xen's dump-core
// format adds; read back by a reader of its own, and by readelf and gdb.

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeElfCore } from "../../../lib/stream/memory/elf-core.ts";
import { PagePlaces } from "../../../lib/stream/memory/page-places.ts";
import { PageIndex } from "../../../lib/stream/page-index.ts";
import { openForReading, openForWriting } from "../../../lib/sys/index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";
import {
  CODE,
  CODE_PFN,
  debugGuest,
  type GuestMode,
  LARGE_PFN,
  LARGE_TEXT,
  MODES,
  registerOf,
} from "../../helpers/debug-guest.ts";
import { type ElfFile, notesOf, pageAt, physicalPageAt, readElf } from "../../helpers/elf-file.ts";
import { memoryOf, memoryOfFile } from "../../helpers/memory-image.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const NAMES = Object.keys(MODES) as GuestMode[];
const NT_PRSTATUS = 1;
/** Registers of struct elf_prstatus in the order that registerOf() counts; then ip, flags, sp. */
const WIDE = [192, 152, 200, 208, 216, 224, 144, 184, 176, 168, 160, 136, 128, 120, 112];
const WIDE_REST = { ip: 240, flags: 256, sp: 264, gs_base: 288 };
const NARROW = [96, 72, 76, 80, 84, 88, 92];
const NARROW_REST = { ip: 120, flags: 128, sp: 132 };

const GDB = Bun.which("gdb");
const READELF = Bun.which("readelf");
const CRASH = Bun.which("crash");
const needs = (program: string, path: string | null): string =>
  path === null ? ` (skipped: no ${program} here)` : "";

function output(...command: string[]): string {
  const { stdout, stderr } = Bun.spawnSync(command, {
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
  });
  return `${stdout}${stderr}`;
}

interface Core {
  readonly elf: ElfFile;
  readonly image: Uint8Array;
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

async function coreOf(
  name: GuestMode,
  vcpus: number,
  more: ReadonlyMap<number, Uint8Array>,
): Promise<Core> {
  const { bytes, pages } = debugGuest(name, vcpus, more);
  const { image } = await memoryOf(bytes, { as: "elf" });
  return { elf: readElf(image), image, pages };
}

const textOf = (bytes: Uint8Array | undefined, length: number): string =>
  Buffer.from(bytes ?? [])
    .subarray(0, length)
    .toString("latin1");

describe.each(NAMES)("the core of a guest: %s", (name) => {
  const mode = MODES[name];
  const isWide = mode.width === 8;

  test("is of the guest's machine, with its vcpus' registers", async () => {
    const { elf } = await coreOf(name, 2, new Map());
    expect([elf.bits, elf.machine]).toEqual(isWide ? [64, 62] : [32, 3]);
    const statuses = elf.notes.filter(
      ({ type, name: owner }) => type === NT_PRSTATUS && owner === "CORE",
    );
    expect(statuses.map(({ description }) => description.byteLength)).toEqual(
      isWide ? [336, 336] : [144, 144],
    );
    for (const [id, { description }] of statuses.entries()) {
      const view = new DataView(description.buffer, description.byteOffset);
      const word = (at: number) =>
        isWide ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
      const general = (isWide ? WIDE : NARROW).map(word);
      expect(general).toEqual(general.map((_, number) => BigInt(registerOf(id, number))));
      const rest = isWide ? WIDE_REST : NARROW_REST;
      expect([word(rest.ip), word(rest.flags), word(rest.sp)]).toEqual([
        mode.address,
        0x246n,
        mode.address + 0x10n,
      ]);
      if (isWide) expect(word(WIDE_REST.gs_base)).toBe(0xffff_8880_0000_1000n);
      expect(view.getUint32(isWide ? 32 : 24, true)).toBe(id + 1); // Its thread.
    }
  });

  test("has all memory by physical address, but for a PV guest's table of frames", async () => {
    const { elf, image, pages } = await coreOf(
      name,
      1,
      new Map([[9, new Uint8Array(4096).fill(9)]]),
    );
    const wrong = [...pages].filter(([pfn, page]) => {
      const found = physicalPageAt(elf, image, pfn * 4096);
      return found === undefined || Buffer.compare(found, page) !== 0;
    });
    expect(wrong.map(([pfn]) => pfn)).toEqual([]);
    expect(physicalPageAt(elf, image, 6 * 4096)).toBeUndefined();
  });

  test("has the kernel's addresses", async () => {
    const { elf, image } = await coreOf(name, 1, new Map());
    expect(textOf(pageAt(elf, image, mode.address), CODE.length)).toBe(textOf(CODE, CODE.length));
    expect(pageAt(elf, image, mode.address + 0x1000n)).toBeUndefined();
    if (mode.large === undefined) return;
    expect(textOf(pageAt(elf, image, mode.large.address), 15)).toBe(LARGE_TEXT);
  });
});

describe("what Xen's dump-core format has", () => {
  test.each(["pv 64", "hvm 64"] as const)("%s", async (name) => {
    const { elf, pages } = await coreOf(name, 2, new Map());
    const isPv = MODES[name].isPv;
    const notes = notesOf(elf.sections.get(".note.Xen")!);
    expect(notes.map(({ name: owner, type }) => `${owner} ${type.toString(16)}`)).toEqual([
      "Xen 2000000",
      "Xen 2000001",
      "Xen 2000002",
      "Xen 2000003",
    ]);
    const header = new BigUint64Array(notes[1]!.description.slice().buffer);
    const magic = isPv ? 0xf00febedn : 0xf00febeen;
    expect([...header]).toEqual([magic, 2n, BigInt(pages.size), 4096n]);
    expect(notes[2]!.description.byteLength).toBe(1280);

    const frames = elf.sections.get(isPv ? ".xen_p2m" : ".xen_pfn")!;
    const words = [...new BigUint64Array(frames.slice().buffer)].map(Number);
    const pfns = [...pages.keys()].sort((left, right) => left - right);
    expect(words).toEqual(isPv ? pfns.flatMap((pfn) => [pfn, pfn]) : pfns);
    const contents = elf.sections.get(".xen_pages")!;
    const at = pfns.indexOf(CODE_PFN) * 4096;
    expect(textOf(contents.subarray(at), CODE.length)).toBe(textOf(CODE, CODE.length));
    const context = elf.sections.get(".xen_prstatus")!;
    expect(context.byteLength).toBe(2 * 5168);
    const rip = new DataView(context.buffer, context.byteOffset).getBigUint64(648, true);
    expect(rip).toBe(MODES[name].address);
    expect(elf.sections.has(".xen_shared_info")).toBe(isPv);
  });
});

test("a PV guest's table of machine frames names the frames of the core", async () => {
  // p2mFrames() says that pages 0, 1 and 2 hold it: 512 entries each.
  const more = new Map([0, 1, 2].map((pfn) => [pfn, new Uint8Array(4096).fill(0x77)]));
  const { elf, image, pages } = await coreOf("pv 64", 1, more);
  for (const frame of [0, 1, 2]) {
    const page = physicalPageAt(elf, image, frame * 4096)!;
    const entries = [...new BigUint64Array(page.slice().buffer)];
    const wanted = entries.map((_, index) => {
      const pfn = frame * 512 + index;
      return pages.has(pfn) ? BigInt(pfn) : 2n ** 64n - 1n;
    });
    expect(entries).toEqual(wanted);
  }
  expect(elf.segments.some(({ physical }) => physical === LARGE_PFN * 4096)).toBeTrue();
});

describe("the kernel's own note", () => {
  const lines = `OSRELEASE=6.1.0-test\nPAGESIZE=4096\n${"SYMBOL(x)=0\n".repeat(338)}`;
  const description = new TextEncoder().encode(lines);
  const note = new Uint8Array(24 + description.length);
  new Uint32Array(note.buffer, 0, 3).set([11, description.length, 0]);
  note.set(new TextEncoder().encode("VMCOREINFO\0"), 12);
  note.set(description, 24);
  const pagesOf = (bytes: Uint8Array) => {
    const both = new Uint8Array(8192);
    both.set(bytes);
    return [both.subarray(0, 4096), both.subarray(4096)] as const;
  };
  const [first, second] = pagesOf(note);

  test("is found in memory, though it reaches into the next page", async () => {
    expect(note.length).toBeGreaterThan(4096);
    const { elf } = await coreOf(
      "hvm 64",
      1,
      new Map([
        [7, first],
        [8, second],
      ]),
    );
    const found = elf.notes.find(({ name }) => name === "VMCOREINFO");
    expect(textOf(found?.description, 10_000)).toBe(lines);
  });

  test.skipIf(CRASH === null)(`is what crash finds${needs("crash", CRASH)}`, async () => {
    using folder = temporaryFolder();
    const more = new Map([
      [7, first],
      [8, second],
    ]);
    for (const name of ["hvm 64", "pv 64"] as const) {
      const path = join(folder.path, name);
      writeFileSync(path, (await coreOf(name, 2, more)).image);
      expect(output(CRASH!, "--osrelease", path)).toBe("6.1.0-test\n");
    }
  });

  test("is left out where a part of it is missing, or it only looks like one", async () => {
    const damaged = first.slice();
    damaged[30] = 0;
    for (const more of [
      new Map([[7, first]]),
      new Map([
        [7, damaged],
        [8, second],
      ]),
    ]) {
      const { elf } = await coreOf("hvm 64", 1, more);
      expect(elf.notes.map(({ name }) => name)).not.toContain("VMCOREINFO");
    }
  });
});

test("more segments than a program header count can say", () => {
  using folder = temporaryFolder();
  const [from, to] = [join(folder.path, "page"), join(folder.path, "core")];
  writeFileSync(from, Buffer.concat([new Uint8Array(4096), new Uint8Array(4096).fill(0x42)]));
  writeFileSync(to, "");
  const places = new PagePlaces();
  // Every other page: each is a segment of its own. All are zeros but the last one.
  const last = 70_000 * 2;
  for (let pfn = 2; pfn < last; pfn += 2) places.set(pfn, 2);
  places.set(last, 4096);
  using source = openForReading(from);
  using target = openForWriting(to);
  const memory = { type: "hvm", width: 8, xen: [4, 20], checkpoint: undefined, places } as const;
  writeElfCore(
    { ...memory, vcpus: [], p2mFrames: new PageIndex("u32"), sharedInfo: undefined },
    { source, target, onProgress: () => undefined },
  );
  const image = new Uint8Array(readFileSync(to));
  const elf = readElf(image);
  expect(elf.segments).toHaveLength(70_002);
  expect(physicalPageAt(elf, image, last * 4096)?.[0]).toBe(0x42);
}, 30_000);

// ---- Programs that people use ----------------------------------------------------------------

const gdb = (core: string, ...commands: string[]): string =>
  output(GDB!, "-nx", "-batch", ...commands.flatMap((one) => ["-ex", one]), "-c", core);

describe("debuggers open it", () => {
  const quietly = `readelf, without a warning: %s${needs("readelf", READELF)}`;
  test.skipIf(READELF === null).each(NAMES)(quietly, async (name) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "core");
    writeFileSync(path, (await coreOf(name, 2, new Map())).image);
    const text = output(READELF!, "-a", "-W", path);
    expect(text).toContain("NT_PRSTATUS");
    expect(text).toContain(MODES[name].isPv ? ".xen_p2m" : ".xen_pfn");
    expect(text).not.toMatch(/warning|error|corrupt/i);
  });

  test.skipIf(GDB === null).each(NAMES)(
    `gdb: %s${needs("gdb", GDB)}`,
    async (name) => {
      using folder = temporaryFolder();
      const path = join(folder.path, "core");
      writeFileSync(path, (await coreOf(name, 2, new Map())).image);
      const mode = MODES[name];
      const isWide = mode.width === 8;
      const text = gdb(
        path,
        "info threads",
        `p/x ${isWide ? "$rax" : "$eax"}`,
        "thread 2",
        `p/x ${isWide ? "$rbp" : "$ebp"}`,
        "p/x $pc",
        "x/2i $pc",
        "x/s $pc+2",
        `x/s 0x${(CODE_PFN * 4096 + 2).toString(16)}`,
      );
      expect(text.match(/LWP [12] /g)).toContain("LWP 2 ");
      expect(text).toContain("$1 = 0x1000");
      expect(text).toContain("$2 = 0x2006");
      expect(text).toContain(`$3 = 0x${mode.address.toString(16)}`);
      expect(text).toMatch(/hlt[\s\S]*nop/);
      // By the kernel's address, and by the physical one.
      expect(text.match(/"in the kernel"/g)).toHaveLength(2);
    },
    30_000,
  );

  const real = [
    // Capture, vcpus, what stands where the first vcpu was: the end of a hypercall, or a halt.
    ["pv32.xl-save", 1, /=> 0xffffffff80527275:\tpop +%r11/],
    ["pvh48.xl-save", 2, /=> 0xffffffff80526ff3:\tret/],
    ["hvm40-physmap.xl-save", 1, /=> 0xffffffff80526ff3:\tret/],
    ["pv32.remus.to-receiver", 1, /=> 0xffffffff80[0-9a-f]{6}:\t/],
  ] as const;
  for (const [name, vcpus, wanted] of real) {
    const path = capturePath(name);
    const title = `gdb on a real guest: ${name}${needs("gdb", GDB)}`;
    test.skipIf(path === undefined || GDB === null)(
      captureTitle(title, path),
      async () => {
        using folder = temporaryFolder();
        const core = join(folder.path, "core");
        const { elf } = await memoryOfFile(path!, core, { as: "elf" });
        expect(elf?.hasAllKernel).toBeTrue();
        // The kernel's banner stands at that address of it.
        const text = gdb(core, "info threads", "x/i $pc", "x/2gx $sp", "x/s 0xffffffff80a00100");
        expect(text.match(/LWP [0-9]+ +0x/g)).toHaveLength(vcpus);
        expect(text).toMatch(wanted);
        expect(text).toContain('"Linux version 6.1.192 ');
      },
      30_000,
    );
  }
});

// Writes a guest's memory as an ELF core file, for gdb, crash, drgn and readelf; elf-layout.ts has
// its layout.
//
// A PV guest's own table of machine frames names frames of the host it was saved on. Its page
// tables hold pfns in a stream, so in the core every machine frame is the pfn, and the table says
// so.

import { assert, roundUp } from "../../base/index.ts";
import { type Layout, sizeOf } from "../../bytes/index.ts";
import { type Fd } from "../../sys/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import {
  ELF_CLASSES,
  EM,
  ET_CORE,
  PF_RWX,
  PN_XNUM,
  PT,
  SHT,
  XEN_P2M,
  XEN_PFN,
} from "./elf-layout.ts";
import { pack, vcpuNotes, xenNotes } from "./elf-notes.ts";
import { kernelSegments, physicalSegments, type Segment } from "./elf-segments.ts";
import type { GuestMemory } from "./guest-memory.ts";
import { findKernelNote, KERNEL_NOTE_BYTES_MAX, type KernelNote } from "./kernel-note.ts";
import { OffsetWriter } from "./offset-writer.ts";
import { copyPages, type PfnRun, runsOf } from "./page-copier.ts";

export interface ElfOptions {
  readonly source: Fd;
  readonly target: Fd;
  readonly onProgress: (pages: number) => void;
}

export interface ElfCore {
  readonly bits: 32 | 64;
  readonly pagesWritten: number;
  /** Segments of kernel addresses, and whether they are all there are. */
  readonly kernelSegments: number;
  readonly hasAllKernel: boolean;
  /** The kernel's description of itself was found. */
  readonly hasKernelNote: boolean;
}

/** Below this a 32-bit core can say where things are. */
const LIMIT_32 = 2 ** 32;
/** Room for what stands behind the pages, which 32 bits must be able to name too. */
const TAIL_BYTES_MAX = 2 ** 28;

export function writeElfCore(memory: GuestMemory, options: ElfOptions): ElfCore {
  const { source, target, onProgress } = options;
  const { places, p2mFrames } = memory;
  const runs = runsOf(places);
  const kernel = kernelSegments(memory, runs, source);
  const plan = planOf(memory, [...firstPage(runs), ...kernel.segments, ...physicalSegments(runs)]);
  let kernelNote: KernelNote | undefined;
  const pagesWritten = copyPages({
    source,
    target,
    places,
    targetOffset: (index) => plan.pagesAt + index * PAGE_BYTES,
    edit(pfn, page) {
      kernelNote ??= findKernelNote(pfn, page);
      const frame = p2mFrames.get(pfn);
      if (frame > 0) nameFrames(memory, page, frame - 1);
    },
    onProgress,
  });
  const description = kernelNote?.read(places, source) ?? new Uint8Array(0);
  const notes = Buffer.concat([plan.notes, description]);
  const sections = writeTail(memory, { plan, runs, target });
  writeHead(plan, { notes, sections, target });
  return {
    bits: plan.bits,
    pagesWritten,
    kernelSegments: kernel.segments.length,
    hasAllKernel: kernel.isWhole,
    hasKernelNote: description.byteLength > 0,
  };
}

// ---- Where everything stands -----------------------------------------------------------------

interface Plan {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly segments: readonly Segment[];
  /** Of the vcpus; the kernel's own comes behind them. */
  readonly notes: Uint8Array;
  readonly notesAt: number;
  readonly pagesAt: number;
  /** Behind the pages: sections. */
  readonly tailAt: number;
}

function planOf({ width, places, vcpus }: GuestMemory, segments: readonly Segment[]): Plan {
  const machine = width === 8 ? EM.X86_64 : EM[386];
  const plan = (bits: 32 | 64): Plan => {
    const { ehdr, phdr } = ELF_CLASSES[bits];
    const notes = vcpuNotes(vcpus, bits);
    const notesAt = sizeOf(ehdr) + sizeOf(phdr) * (segments.length + 1);
    const pagesAt = roundUp(notesAt + notes.byteLength + KERNEL_NOTE_BYTES_MAX, PAGE_BYTES);
    const tailAt = pagesAt + places.count * PAGE_BYTES;
    return { bits, machine, segments, notes, notesAt, pagesAt, tailAt };
  };
  const small = plan(32);
  const fits =
    (places.pfnLast + 1) * PAGE_BYTES <= LIMIT_32 && small.tailAt + TAIL_BYTES_MAX <= LIMIT_32;
  return width === 4 && fits ? small : plan(64);
}

/**
 * crash takes the offset of the first segment for the end of the headers, and reads them all at
 * once: the first one is the first page, whatever comes behind it.
 */
const firstPage = (runs: readonly PfnRun[]): Segment[] =>
  physicalSegments(runs.slice(0, 1).map((run) => ({ ...run, count: 1 })));

/** Writes into a page of the guest's table of machine frames what the core has. */
function nameFrames({ width, places }: GuestMemory, page: DataView, frame: number): void {
  const perFrame = PAGE_BYTES / width;
  for (let entry = 0; entry < perFrame; entry++) {
    const pfn = frame * perFrame + entry;
    const isThere = places.get(pfn) !== 0;
    page.setUint32(entry * width, isThere ? pfn : 0xffff_ffff, true);
    const upper = isThere ? Math.floor(pfn / 2 ** 32) : 0xffff_ffff;
    if (width === 8) page.setUint32(entry * width + 4, upper, true);
  }
}

// ---- Behind the pages ------------------------------------------------------------------------

interface Section {
  readonly name: string;
  readonly type: number;
  readonly at: number;
  readonly bytes: number;
  readonly entryBytes: number;
}

const NAMES_SECTION = ".shstrtab";

interface SectionHeaders {
  readonly at: number;
  readonly count: number;
}

/** The sections that Xen's tools look for. */
function writeTail(
  memory: GuestMemory,
  {
    plan,
    runs,
    target,
  }: { readonly plan: Plan; readonly runs: readonly PfnRun[]; readonly target: Fd },
): SectionHeaders {
  const { vcpus, sharedInfo, places, type } = memory;
  using writer = new OffsetWriter(target, plan.tailAt);
  const sections: Section[] = [];
  const section = (name: string, sectionType: number, entryBytes: number, write: () => void) => {
    writer.align(8);
    const at = writer.position;
    write();
    sections.push({ name, type: sectionType, at, bytes: writer.position - at, entryBytes });
  };
  section(".note.Xen", SHT.NOTE, 0, () => writer.put(xenNotes(memory)));
  section(".xen_prstatus", SHT.PROGBITS, vcpus[0]?.context.byteLength ?? 0, () => {
    for (const { context } of vcpus) writer.put(context);
  });
  if (sharedInfo !== undefined) {
    section(".xen_shared_info", SHT.PROGBITS, PAGE_BYTES, () => writer.put(sharedInfo));
  }
  sections.push({
    name: ".xen_pages",
    type: SHT.PROGBITS,
    at: plan.pagesAt,
    bytes: places.count * PAGE_BYTES,
    entryBytes: PAGE_BYTES,
  });
  const isPv = type === "pv";
  const frameBytes = isPv ? sizeOf(XEN_P2M) : sizeOf(XEN_PFN);
  section(isPv ? ".xen_p2m" : ".xen_pfn", SHT.PROGBITS, frameBytes, () =>
    writeFrames(writer, runs, isPv),
  );
  const names = ["", NAMES_SECTION, ...sections.map(({ name }) => name)];
  section(NAMES_SECTION, SHT.STRTAB, 0, () => writer.put(nameTable(names)));
  writer.align(8);
  const at = writer.position;
  writeSectionHeaders(writer, { plan, sections, names });
  writer.flush();
  return { at, count: sections.length + 1 };
}

function writeFrames(writer: OffsetWriter, runs: readonly PfnRun[], isPv: boolean): void {
  for (const { first, count } of runs) {
    for (let pfn = first; pfn < first + count; pfn++) {
      writer.word(pfn);
      if (isPv) writer.word(pfn);
    }
  }
}

const nameTable = (names: readonly string[]): Uint8Array =>
  new TextEncoder().encode(names.map((name) => `${name}\0`).join(""));

function writeSectionHeaders(
  writer: OffsetWriter,
  {
    plan,
    sections,
    names,
  }: { readonly plan: Plan; readonly sections: readonly Section[]; readonly names: string[] },
): void {
  const { shdr } = ELF_CLASSES[plan.bits];
  const programHeaders = plan.segments.length + 1;
  const sh_info = programHeaders >= PN_XNUM ? programHeaders : 0;
  writer.put(pack(shdr, { sh_info })); // The first one stands for none.
  for (const { name, type, at, bytes, entryBytes } of sections) {
    const nameAt = nameTable(names.slice(0, names.indexOf(name))).byteLength;
    writer.put(
      pack(shdr, {
        sh_name: nameAt,
        sh_type: type,
        sh_offset: at,
        sh_size: bytes,
        sh_addralign: type === SHT.STRTAB ? 1 : 8,
        sh_entsize: entryBytes,
      }),
    );
  }
}

// ---- In front of the pages -------------------------------------------------------------------

function writeHead(
  plan: Plan,
  {
    notes,
    sections,
    target,
  }: { readonly notes: Uint8Array; readonly sections: SectionHeaders; readonly target: Fd },
): void {
  const { bits, machine, segments, notesAt, pagesAt } = plan;
  const { ehdr, phdr, shdr } = ELF_CLASSES[bits];
  const programHeaders = segments.length + 1;
  using writer = new OffsetWriter(target, 0);
  writer.put(
    pack(ehdr, {
      magic: 0x7f45_4c46,
      class: bits / 32,
      data: 1,
      version: 1,
      e_type: ET_CORE,
      e_machine: machine,
      e_version: 1,
      e_phoff: sizeOf(ehdr),
      e_shoff: sections.at,
      e_ehsize: sizeOf(ehdr),
      e_phentsize: sizeOf(phdr),
      e_phnum: Math.min(programHeaders, PN_XNUM),
      e_shentsize: sizeOf(shdr),
      e_shnum: sections.count,
      e_shstrndx: sections.count - 1, // The names stand last.
    }),
  );
  const put = (values: Parameters<typeof pack>[1], layout: Layout) =>
    writer.put(pack(layout, values));
  const notesBytes = notes.byteLength;
  put({ p_type: PT.NOTE, p_offset: notesAt, p_filesz: notesBytes, p_memsz: notesBytes }, phdr);
  for (const { address, pfn, count, index } of segments) {
    const bytes = count * PAGE_BYTES;
    put(
      {
        p_type: PT.LOAD,
        p_flags: PF_RWX,
        p_offset: pagesAt + index * PAGE_BYTES,
        p_vaddr: address,
        p_paddr: pfn * PAGE_BYTES,
        p_filesz: bytes,
        p_memsz: bytes, // No p_align: crash takes that for another kind of dump.
      },
      phdr,
    );
  }
  writer.put(notes);
  assert(writer.position <= pagesAt, "the headers end before the pages");
  writer.flush();
}

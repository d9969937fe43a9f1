// A tiny guest for debuggers: a few pages, page tables that map one of them at a kernel address,
// and vcpus whose registers are known. Written by the byte offsets of Xen's headers.

import { DOMAIN_HVM, DOMAIN_PV, LIBXC } from "../../lib/stream/libxc/index.ts";
import { context } from "../stream/hvm-context/build.ts";
import { variedBatch } from "./random-streams.ts";
import { encode, filled, type PlanRecord, words } from "./stream-plan.ts";
import {
  domainHeader,
  hvmParams,
  imageHeader,
  libxcRecord,
  p2mFrames,
  pvInfo,
  sharedInfo,
  staticDataEnd,
  tscInfo,
} from "./stream-records.ts";

export type GuestMode = "pv 64" | "pv 32" | "hvm 64" | "hvm la57" | "hvm pae" | "hvm 32";

/** The page that is mapped, and what stands at its start: `hlt; nop`, then text. */
export const CODE_PFN = 5;
export const CODE = Uint8Array.of(0xf4, 0x90, ...new TextEncoder().encode("in the kernel\0"));
/** A second page, in a large mapping where the mode has such. */
export const LARGE_PFN = 0x400;
export const LARGE_TEXT = "in a large page";

interface Mode {
  readonly isPv: boolean;
  readonly width: 4 | 8;
  readonly entryBytes: 4 | 8;
  /** Index in each table from the top for `address`. */
  readonly path: readonly number[];
  readonly address: bigint;
  /** In the table above the last one: entry and address of a large mapping of LARGE_PFN. */
  readonly large: { readonly entry: number; readonly address: bigint } | undefined;
  readonly control: { readonly cr4: number; readonly efer: number };
}

const LMA = 0x500; // LME and LMA.
const PAE = 1 << 5;
const LA57 = 1 << 12;
const PSE = 1 << 4;

export const MODES: Readonly<Record<GuestMode, Mode>> = {
  "pv 64": {
    isPv: true,
    width: 8,
    entryBytes: 8,
    path: [511, 510, 8, 0],
    address: 0xffff_ffff_8100_0000n,
    large: undefined,
    control: { cr4: PAE, efer: 0 },
  },
  "pv 32": {
    isPv: true,
    width: 4,
    entryBytes: 8,
    path: [3, 8, 0],
    address: 0xc100_0000n,
    large: undefined,
    control: { cr4: PAE, efer: 0 },
  },
  "hvm 64": {
    isPv: false,
    width: 8,
    entryBytes: 8,
    path: [511, 510, 8, 0],
    address: 0xffff_ffff_8100_0000n,
    large: { entry: 16, address: 0xffff_ffff_8200_0000n },
    control: { cr4: PAE, efer: LMA },
  },
  "hvm la57": {
    isPv: false,
    width: 8,
    entryBytes: 8,
    path: [511, 511, 510, 8, 0],
    address: 0xffff_ffff_8100_0000n,
    large: { entry: 16, address: 0xffff_ffff_8200_0000n },
    control: { cr4: PAE | LA57, efer: LMA },
  },
  "hvm pae": {
    isPv: false,
    width: 4,
    entryBytes: 8,
    path: [3, 8, 0],
    address: 0xc100_0000n,
    large: { entry: 16, address: 0xc200_0000n },
    control: { cr4: PAE, efer: 0 },
  },
  "hvm 32": {
    isPv: false,
    width: 4,
    entryBytes: 4,
    path: [772, 0],
    address: 0xc100_0000n,
    large: { entry: 776, address: 0xc200_0000n },
    control: { cr4: PSE, efer: 0 },
  },
};

const [PRESENT, LARGE] = [0x63n, 0xe3n];
const TABLE_PFN = 16;

export interface DebugGuest {
  readonly bytes: Uint8Array;
  /** Contents by pfn. */
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

/** rax to r15 of vcpu `id` are 0x1000 * (id + 1) + their number in that order. */
export const registerOf = (id: number, number: number): number => 0x1000 * (id + 1) + number;

export function debugGuest(
  name: GuestMode,
  vcpus: number,
  more: ReadonlyMap<number, Uint8Array>,
): DebugGuest {
  const mode = MODES[name];
  const pages = new Map(more);
  pages.set(CODE_PFN, paged(CODE));
  pages.set(LARGE_PFN, paged(new TextEncoder().encode(LARGE_TEXT)));
  tables(mode).forEach((table, depth) => pages.set(TABLE_PFN + depth, table));
  const ids = Array.from({ length: vcpus }, (_, id) => id);
  const records: PlanRecord[] = [
    imageHeader(3),
    domainHeader(mode.isPv ? DOMAIN_PV : DOMAIN_HVM, { major: 4, minor: 20 }),
    ...(mode.isPv ? [pvInfo(mode.width)] : []),
    staticDataEnd(),
    ...(mode.isPv ? [p2mFrames(mode.width, LARGE_PFN + 1)] : []),
    batch(pages),
    tscInfo(),
    ...(mode.isPv
      ? [sharedInfo(), ...ids.map((id) => pvContext(mode, id))]
      : [hvmContext(mode, ids), hvmParams()]),
    libxcRecord(LIBXC.end),
  ];
  return { bytes: encode({ records }).bytes, pages };
}

function paged(bytes: Uint8Array): Uint8Array {
  const page = new Uint8Array(4096);
  page.set(bytes);
  return page;
}

function batch(pages: ReadonlyMap<number, Uint8Array>): PlanRecord {
  const pfns = [...pages.keys()].sort((left, right) => left - right);
  const record = variedBatch(
    pfns.map((pfn) => ({ pfn, type: 0 })),
    1,
  );
  record.body = record.body.slice();
  pfns.forEach((pfn, index) =>
    record.body.set(pages.get(pfn)!, 8 + pfns.length * 8 + index * 4096),
  );
  return record;
}

/** One table a level; an entry of the last but one maps a large page. */
function tables({ path, entryBytes, large }: Mode): Uint8Array[] {
  return path.map((index, depth) => {
    const view = new DataView(new ArrayBuffer(4096));
    const put = (entry: number, value: bigint) => {
      if (entryBytes === 8) view.setBigUint64(entry * 8, value, true);
      else view.setUint32(entry * 4, Number(value), true);
    };
    const isLast = depth === path.length - 1;
    const target = isLast ? CODE_PFN : TABLE_PFN + depth + 1;
    put(index, (BigInt(target) << 12n) | PRESENT);
    if (depth === path.length - 2 && large !== undefined) {
      put(large.entry, (BigInt(LARGE_PFN) << 12n) | LARGE);
    }
    return new Uint8Array(view.buffer);
  });
}

// ---- vcpus --------------------------------------------------------------------------------------

/** Offsets in a vcpu_guest_context of 64 bits, in the order rax rbx rcx rdx rsi rdi rbp r8... */
const WIDE = [600, 560, 608, 616, 624, 632, 552, 592, 584, 576, 568, 544, 536, 528, 520];
/** And of 32 bits: eax ebx ecx edx esi edi ebp. */
const NARROW = [540, 516, 520, 524, 528, 532, 536];
/** In an HVM CPU entry, in the first order. */
const HVM = [512, 520, 528, 536, 552, 560, 544, 576, 584, 592, 600, 608, 616, 624, 632];

function pvContext({ width, address }: Mode, id: number): PlanRecord {
  const body = new Uint8Array(width === 8 ? 5168 : 2800);
  const view = new DataView(body.buffer);
  body.set(filled(512, 0x11)); // The FPU.
  const word = (at: number, value: bigint) => {
    if (width === 8) view.setBigUint64(at, value, true);
    else view.setUint32(at, Number(value), true);
  };
  word(512, 0x24n); // Online, in the kernel.
  (width === 8 ? WIDE : NARROW).forEach((at, number) => word(at, BigInt(registerOf(id, number))));
  const [ip, flags, sp, cr3] = width === 8 ? [648, 664, 672, 5008] : [548, 556, 560, 2728];
  word(ip!, address);
  word(flags!, 0x246n);
  word(sp!, address + 0x10n);
  view.setUint16(width === 8 ? 656 : 552, width === 8 ? 0xe033 : 0xe019, true);
  word(cr3!, BigInt(TABLE_PFN) << 12n); // Below 20 bits the folded form is the same.
  if (width === 8) view.setBigUint64(5152, 0xffff_8880_0000_1000n, true); // gs_base_kernel.
  return libxcRecord(LIBXC.vcpuBasic, words(4, [id, 0]), body);
}

function hvmContext({ address, control }: Mode, ids: readonly number[]): PlanRecord {
  const cpus = ids.map((id) => {
    const body = new Uint8Array(1032);
    const view = new DataView(body.buffer);
    body.set(filled(512, 0x11));
    HVM.forEach((at, number) => view.setBigUint64(at, BigInt(registerOf(id, number)), true));
    view.setBigUint64(568, address + 0x10n, true); // rsp
    view.setBigUint64(640, address, true); // rip
    view.setBigUint64(648, 0x246n, true);
    view.setBigUint64(656, 0x8005_0033n, true); // cr0
    view.setBigUint64(672, BigInt(TABLE_PFN) << 12n, true); // cr3
    view.setBigUint64(680, BigInt(control.cr4), true);
    view.setUint32(736, 0x10, true); // cs
    view.setBigUint64(840, 0xffff_8880_0000_1000n, true); // gs_base
    view.setUint32(888, 0xa9b, true); // Access rights of cs.
    view.setBigUint64(992, BigInt(control.efer), true);
    return { name: "CPU", instance: id, body };
  });
  const entries = ["HEADER", ...cpus, ...ids.map((id) => `LAPIC ${id}`), "END"];
  return libxcRecord(LIBXC.hvmContext, new Uint8Array(context(entries)));
}

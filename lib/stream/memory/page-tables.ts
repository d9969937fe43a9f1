// A guest's kernel addresses, from its page tables (Intel SDM volume 3, chapter 4): which runs of
// virtual pages stand for which runs of physical ones. Only the kernel's half is followed: what is
// below it belongs to whatever process a vcpu happened to run.
//
// In a stream of a PV guest the tables hold pfns, as if the guest were not a PV one.

import type { Paging, PagingMode } from "./vcpu.ts";

interface Level {
  /** Address bits below the entry's. */
  readonly shift: number;
  /** Its entries can map memory themselves. */
  readonly canMap: boolean;
}

interface ModeLayout {
  readonly entryBytes: 4 | 8;
  readonly levels: readonly Level[];
  /** First entry of the top table that is the kernel's, and how many entries that has. */
  readonly kernelFrom: number;
  readonly topEntries: number;
}

const level = (shift: number, canMap: boolean): Level => ({ shift, canMap });
const LONG = [level(39, false), level(30, true), level(21, true), level(12, true)];
const wide = { entryBytes: 8, kernelFrom: 256, topEntries: 512 } as const;

const MODES: Readonly<Record<PagingMode, ModeLayout>> = {
  "4 levels": { ...wide, levels: LONG },
  "5 levels": { ...wide, levels: [level(48, false), ...LONG] },
  // 3 GiB for processes, 1 GiB for the kernel.
  pae: {
    entryBytes: 8,
    levels: [level(30, false), ...LONG.slice(2)],
    kernelFrom: 3,
    topEntries: 4,
  },
  "2 levels": {
    entryBytes: 4,
    levels: [level(22, true), level(12, true)],
    kernelFrom: 768,
    topEntries: 1024,
  },
};

const PAGE_BYTES = 4096;
const PAGE_SHIFT = 12;
const PRESENT_MASK = 1;
const LARGE_MASK = 1 << 7;
const FRAME_HIGH_MASK = 0x000f_ffff;
/** Tables that are looked at: 512 GiB of 4 KiB pages. Tables can point at themselves. */
const TABLES_MAX = 262_144;
/** Far more than a kernel's memory is fragmented into, and soon counted. */
const MAPPINGS_MAX = 4_194_304;

/** Pages of virtual memory that stand for consecutive pages of physical memory. */
export interface Mapping {
  /** Of the address without its sign: the upper bits repeat its highest one. */
  readonly page: number;
  readonly pfn: number;
  readonly count: number;
}

export interface PageTableOptions {
  readonly paging: Paging;
  /** A page of memory, good until the next call for the depth; undefined where there is none. */
  readPage(pfn: number, depth: number): DataView | undefined;
  /** Returns false to stop. */
  onMapping(mapping: Mapping): boolean;
}

/** Tells whether all of it was looked at. */
export function walkKernelPages(options: PageTableOptions): boolean {
  const walk = new TableWalk(options);
  const isWhole = walk.run();
  return walk.flush() && isWhole;
}

class TableWalk {
  private readonly options: PageTableOptions;
  private readonly mode: ModeLayout;
  private tables = 0;
  private mappings = 0;
  private pending: { page: number; pfn: number; count: number } | undefined;

  constructor(options: PageTableOptions) {
    this.options = options;
    this.mode = MODES[options.paging.mode];
  }

  run(): boolean {
    const { rootPfn, rootAt } = this.options.paging;
    const { kernelFrom, topEntries } = this.mode;
    return this.table(rootPfn, { depth: 0, at: rootAt, from: kernelFrom, to: topEntries, page: 0 });
  }

  private table(
    pfn: number,
    where: {
      readonly depth: number;
      readonly at: number;
      readonly from: number;
      readonly to: number;
      /** First virtual page of the table. */
      readonly page: number;
    },
  ): boolean {
    if (++this.tables > TABLES_MAX) return false;
    const { depth, at, from, to, page } = where;
    const view = this.options.readPage(pfn, depth);
    if (view === undefined) return true;
    const { entryBytes, levels } = this.mode;
    const { shift, canMap } = levels[depth]!;
    const isLast = depth === levels.length - 1;
    const pages = 2 ** (shift - PAGE_SHIFT);
    for (let entry = from; entry < to; entry++) {
      const low = view.getUint32(at + entry * entryBytes, true);
      if ((low & PRESENT_MASK) === 0) continue;
      const high =
        entryBytes === 8 ? view.getUint32(at + entry * 8 + 4, true) & FRAME_HIGH_MASK : 0;
      const target = high * 2 ** (32 - PAGE_SHIFT) + (low >>> PAGE_SHIFT);
      const first = page + entry * pages;
      if (isLast || (canMap && (low & LARGE_MASK) !== 0)) {
        if (!this.map(first, target - (target % pages), pages)) return false;
        continue;
      }
      const inner = PAGE_BYTES / entryBytes;
      const below = { depth: depth + 1, at: 0, from: 0, to: inner, page: first };
      if (!this.table(target, below)) return false;
    }
    return true;
  }

  private map(page: number, pfn: number, count: number): boolean {
    const { pending: run } = this;
    if (run !== undefined && page === run.page + run.count && pfn === run.pfn + run.count) {
      run.count += count;
      return true;
    }
    if (!this.flush()) return false;
    this.pending = { page, pfn, count };
    return true;
  }

  flush(): boolean {
    const { pending: run } = this;
    this.pending = undefined;
    if (run === undefined) return true;
    return ++this.mappings <= MAPPINGS_MAX && this.options.onMapping(run);
  }
}

/** The address of a virtual page, with its sign. */
export function addressOf(page: number, mode: PagingMode): bigint {
  const address = BigInt(page) << BigInt(PAGE_SHIFT);
  if (mode === "4 levels") return BigInt.asUintN(64, BigInt.asIntN(48, address));
  return mode === "5 levels" ? BigInt.asUintN(64, BigInt.asIntN(57, address)) : address;
}

// PAGE_DATA entries: a u64 each, bits 63..60 the page's type, 59..52 reserved, 51..0 the pfn.
// The hot loops read an entry as two u32 (low, high): a bigint costs ten times as much.

export interface PageType {
  readonly name: string;
  /** Its 4096 bytes are in the stream. */
  readonly hasData: boolean;
  /** 0 for an ordinary page, 1 to 4 for a page table of that level. */
  readonly tableLevel: number;
  /** Xen defines it (XEN_DOMCTL_PFINFO_*). */
  readonly known: boolean;
}

const page = (name: string, hasData: boolean, tableLevel: number): PageType => ({
  name,
  hasData,
  tableLevel,
  known: true,
});
const unknown = (type: number): PageType => ({
  name: `type ${type}`,
  hasData: false,
  tableLevel: 0,
  known: false,
});

/** By type number, 0x0 to 0xf. */
export const PAGE_TYPES: readonly PageType[] = [
  page("NOTAB", true, 0),
  page("L1TAB", true, 1),
  page("L2TAB", true, 2),
  page("L3TAB", true, 3),
  page("L4TAB", true, 4),
  unknown(5),
  unknown(6),
  unknown(7),
  unknown(8),
  page("L1TAB pinned", true, 1),
  page("L2TAB pinned", true, 2),
  page("L3TAB pinned", true, 3),
  page("L4TAB pinned", true, 4),
  page("BROKEN", false, 0),
  page("XALLOC", false, 0), // Populated on restore, contents not sent.
  page("XTAB", false, 0), // A hole, or a page that is sent again later.
];

/** In the high word of an entry. */
export const TYPE_SHIFT = 28;
export const RESERVED_HIGH_MASK = 0x0ff0_0000;
export const PFN_HIGH_MASK = 0x000f_ffff;

/** The pfn of an entry: a plain number, up to 52 bits. */
export const pfnOf = (low: number, high: number): number =>
  (high & PFN_HIGH_MASK) * 2 ** 32 + (low >>> 0);

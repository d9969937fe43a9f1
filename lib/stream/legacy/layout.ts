// The legacy migration stream (before Xen 4.6; tools/python/xen/migration/legacy.py). It has no
// header, no version and no guest type:
//
//   ulong p2m_size                 4 or 8 bytes, the word width of the toolstack that wrote it
//   PV: extended info              ulong all ones, u32 total_length, blocks of
//                                  {char id[4], u32 size, bytes}
//       P2M frame list             ulong[(p2m_size - 1) / fpp + 1], fpp = 4096 / guest width
//   body: chunks                   i32 marker; above 0: so many pfns; below 0: CHUNKS;
//                                  0: the end of the body
//   tail, PV                       u32 nr_unmapped, ulong[], per vcpu its context, shared info page
//   tail, HVM                      3 x u64 magic pfns, u32 size, HVM context; then the QEMU record
//
// Everything is little endian and nothing is padded.

import { assert } from "../../base/index.ts";
import { any, atLeast, exactly, reserved, sizeOf, u32, u64 } from "../../bytes/index.ts";

/** A batch holds at most this many pfns (MAX_BATCH_SIZE). */
export const LEGACY_BATCH_PFNS_MAX = 1024;
/** The old domain size limit of the toolstack was far below this many pages (1 TiB). */
export const LEGACY_P2M_SIZE_MAX = 2 ** 28;
export const LEGACY_VCPU_ID_MAX = 4095;
export const LEGACY_BLOB_BYTES_MAX = 128 * 1024 * 1024;

/** A pfn entry: type in bits 31..28, pfn in 27..0, in 64-bit streams too. */
export const LEGACY_TYPE_SHIFT = 28;
export const LEGACY_PFN_MASK = 0x0fff_ffff;

/** Not in the order of libxc's record of the same name. */
export const LEGACY_TSC_INFO = {
  mode: any(u32),
  nsec: any(u64),
  khz: any(u32),
  incarnation: any(u32),
};
/** An HVM parameter; which one, the chunk says. */
export const LEGACY_PARAM = { padding: reserved(u32), value: any(u64) };
/** Behind the body of an HVM stream: three more HVM parameters, by these indices. */
export const LEGACY_MAGIC_PFNS = { ioreq: any(u64), bufioreq: any(u64), store: any(u64) };
export const LEGACY_MAGIC_PARAMS = { ioreq: 5n, bufioreq: 6n, store: 1n } as const;

/** The toolstack chunk, as libxl fills it: PHYSMAP_HEAD, then `count` times PHYSMAP and a name. */
export const LEGACY_PHYSMAP_HEAD = { version: exactly(u32, 1), count: any(u32) };
export const LEGACY_PHYSMAP = {
  phys_offset: any(u64),
  start_addr: any(u64),
  size: any(u64),
  namelen: atLeast(u32, 1),
};
/** A 64-bit toolstack put the padding of its struct behind the name, and did not count it. */
export const LEGACY_PHYSMAP_LEAK_BYTES: Readonly<Record<4 | 8, number>> = { 4: 0, 8: 4 };

export type LegacyPayload =
  | { readonly kind: "none" }
  /** So many bytes. */
  | { readonly kind: "fixed"; readonly bytes: number }
  /** u32 padding, u64: an HVM parameter. */
  | { readonly kind: "param"; readonly index: number }
  /** i32 max_id, u64 bitmap[max_id / 64 + 1]. */
  | { readonly kind: "vcpus" }
  /** u32 size, so many bytes. */
  | { readonly kind: "sized" }
  /** ulong size, so many bytes: page contents of a compressed Remus stream. */
  | { readonly kind: "compressed" }
  /** Pools of transcendent memory (tools/libxc/xc_tmem.c): TMEM_HEAD, then pools. */
  | { readonly kind: "tmem" }
  /** {u32 pool id, u64 object[3], u32 index} until a pool id of -1. */
  | { readonly kind: "tmem_extra" };

export interface LegacyChunk {
  readonly marker: number;
  readonly name: string;
  readonly payload: LegacyPayload;
}

const chunk = (marker: number, name: string, payload: LegacyPayload): LegacyChunk => {
  return { marker, name, payload };
};
const NONE = { kind: "none" } as const;
const param = (index: number) => ({ kind: "param", index }) as const;

export const LEGACY_CHUNKS: readonly LegacyChunk[] = [
  chunk(-1, "ENABLE_VERIFY_MODE", NONE),
  chunk(-2, "VCPU_INFO", { kind: "vcpus" }),
  chunk(-3, "HVM_IDENT_PT", param(12)),
  chunk(-4, "HVM_VM86_TSS", param(15)),
  chunk(-5, "TMEM", { kind: "tmem" }),
  chunk(-6, "TMEM_EXTRA", { kind: "tmem_extra" }),
  chunk(-7, "TSC_INFO", { kind: "fixed", bytes: sizeOf(LEGACY_TSC_INFO) }),
  chunk(-8, "HVM_CONSOLE_PFN", param(17)),
  chunk(-9, "LAST_CHECKPOINT", NONE),
  chunk(-10, "HVM_ACPI_IOPORTS_LOCATION", param(19)),
  chunk(-11, "HVM_VIRIDIAN", param(9)),
  chunk(-12, "COMPRESSED_DATA", { kind: "compressed" }),
  chunk(-13, "ENABLE_COMPRESSION", NONE),
  chunk(-14, "HVM_GENERATION_ID_ADDR", param(34)),
  chunk(-15, "HVM_PAGING_RING_PFN", param(27)),
  chunk(-16, "HVM_MONITOR_RING_PFN", param(28)),
  chunk(-17, "HVM_SHARING_RING_PFN", param(29)),
  chunk(-18, "TOOLSTACK", { kind: "sized" }),
  chunk(-19, "HVM_IOREQ_SERVER_PFN", param(32)),
  chunk(-20, "HVM_NR_IOREQ_SERVER_PAGES", param(33)),
];
const BY_MARKER = new Map(LEGACY_CHUNKS.map((entry) => [entry.marker, entry]));
export const legacyChunkOf = (marker: number): LegacyChunk | undefined => BY_MARKER.get(marker);

// ---- Transcendent memory ----------------------------------------------------------------------
//
// TMEM_HEAD, then pools until a pool id of -1: TMEM_POOL and, for a pool whose pages outlive the
// guest's use of them, up to n_pages times {u64 object[3], u32 index, a page}, ended early by an
// object of all ones. Xen dropped tmem in 4.13: no later stream can carry it.

export const LEGACY_TMEM_HEAD = {
  version: any(u32),
  max_pools: any(u32),
  end_of_versions: exactly(u32, 0xffff_ffff),
  flags: any(u32),
  weight: any(u32),
  cap: any(u32),
  end_of_settings: exactly(u32, 0xffff_ffff),
};
export const LEGACY_TMEM_POOL = {
  id: any(u32),
  flags: any(u32, "bits 4..7: page size, 4096 << n"),
  n_pages: any(u32),
  uuid_low: any(u64),
  uuid_high: any(u64),
};
export const LEGACY_TMEM_OBJECT_BYTES = 24;
export const LEGACY_TMEM_INDEX_BYTES = 4;
export const LEGACY_TMEM_NO_POOL = 0xffff_ffff;
/** TMEM_POOL_PAGESIZE_SHIFT and _MASK. */
export const legacyTmemPageBytes = (flags: number): number => 4096 * 2 ** ((flags >>> 4) & 0xf);

/**
 * Extended-info blocks. The size of "vcpu" tells the guest's width and is the context size in the
 * tail.
 */
export const LEGACY_VCPU_BLOCK = "vcpu";
export const LEGACY_EXTENDED_BLOCK = "extv";
export const LEGACY_XSAVE_BLOCK = "xcnt";
export const LEGACY_VCPU_WIDTH: Readonly<Record<number, number>> = { 0xaf0: 4, 0x1430: 8 };
export const LEGACY_EXTENDED_VCPU_BYTES = 128;
/** Before the area of an XSAVE record: what xcnt counts and libxc's XSAVE record does not hold. */
export const LEGACY_XSAVE_HEAD = { mask: any(u64), size: any(u64, "bytes of the area") };

/**
 * Signatures of the QEMU record behind an HVM tail, 21 bytes each; how its length is told differs.
 */
export const LEGACY_QEMU_SIGNATURES = [
  { signature: "QemuDeviceModelRecord", sized: false }, // Goes on until the end of the file.
  { signature: "DeviceModelRecord0002", sized: true }, // u32 length.
  { signature: "RemusDeviceModelState", sized: true },
] as const;
export const LEGACY_QEMU_SIGNATURE_BYTES = 21;
assert(
  LEGACY_QEMU_SIGNATURES.every((row) => row.signature.length === LEGACY_QEMU_SIGNATURE_BYTES),
  "a legacy QEMU signature is 21 bytes",
);

/**
 * The toolstack's word width from the first 8 octets, or undefined where they fit neither: octets
 * 4..7 are zero for 64 bit; for 32 bit all ones (PV), a chunk marker, or the count of the first
 * batch (HVM).
 */
export function legacyWidthOf(view: DataView, at: number): 4 | 8 | undefined {
  const low = view.getUint32(at, true);
  const next = view.getInt32(at + 4, true);
  if (low === 0 || low > LEGACY_P2M_SIZE_MAX) return undefined;
  if (next === 0) return 8;
  if (next === -1 || (next > 0 && next <= LEGACY_BATCH_PFNS_MAX)) return 4;
  return legacyChunkOf(next) === undefined ? undefined : 4;
}

// The head of a qcow2 image: header, header extensions, entries of the snapshot table.
// (QEMU, docs/interop/qcow2.txt; all numbers are big-endian.)

import { any, between, exactly, oneOf, u16be, u32be, u64be } from "../bytes/index.ts";

/** "QFI\xfb" */
export const QCOW2_MAGIC = 0x514649fb;

export const HEADER = {
  magic: exactly(u32be, QCOW2_MAGIC),
  version: oneOf(u32be, [2, 3]),
  backing_file_offset: any(u64be),
  backing_file_size: between(u32be, 0, 1023),
  cluster_bits: between(u32be, 9, 21),
  size: any(u64be),
  crypt_method: between(u32be, 0, 2),
  l1_size: between(u32be, 0, 32 * 1024 * 1024),
  l1_table_offset: any(u64be),
  refcount_table_offset: any(u64be),
  refcount_table_clusters: any(u32be),
  nb_snapshots: between(u32be, 0, 65536),
  snapshots_offset: any(u64be),
} as const;

/** What version 3 adds. */
export const HEADER_3 = {
  incompatible_features: any(u64be),
  compatible_features: any(u64be),
  autoclear_features: any(u64be),
  refcount_order: between(u32be, 0, 6),
  header_length: between(u32be, 104, 512),
} as const;

/** Bit 0: it was not closed. Bit 1: QEMU found it corrupt and refuses to write. */
export const INCOMPATIBLE_DIRTY_MASK = 1n << 0n;
export const INCOMPATIBLE_CORRUPT_MASK = 1n << 1n;
export const INCOMPATIBLE_KNOWN_MASK = 0b11111n;

export const EXTENSION = { type: any(u32be), length: between(u32be, 0, 65536) } as const;
export const EXTENSION_TYPE = {
  end: 0,
  backingFormat: 0xe2792aca,
  /**
   * Ours ("agnt"): which group an overlay was made by, as JSON. QEMU keeps extensions that it does
   * not know when it rewrites a header.
   */
  agent: 0x61676e74,
} as const;

export const SNAPSHOT_ENTRY = {
  l1_table_offset: any(u64be),
  l1_size: any(u32be),
  id_size: any(u16be),
  name_size: any(u16be),
  date_sec: any(u32be),
  date_nsec: any(u32be),
  vm_clock_nsec: any(u64be),
  vm_state_size: any(u32be),
  extra_data_size: between(u32be, 0, 1024),
} as const;

// Makes a qcow2 overlay: an image that holds nothing yet and names its backing file.
//
// Layout, one cluster of 64 KiB each: header with extensions and backing file name; refcount table;
// refcount block; then the L1 table, one cluster for each 4 TiB of the disk. All of it but the
// header and a few counts is zero, so the file is sparse. The mark in the header says which group
// made it: whoever finds the file later needs no list of ours.

import { fchmodSync, fchownSync, ftruncateSync } from "node:fs";
import { assert } from "../base/index.ts";
import { sizeOf, write } from "../bytes/index.ts";
import { createNewFile, writeFully } from "../sys/index.ts";
import type { OverlayMark } from "./qcow2-image.ts";
import { EXTENSION, EXTENSION_TYPE, HEADER, HEADER_3, QCOW2_MAGIC } from "./qcow2-layout.ts";
import { SnapshotRefusal } from "./refusal.ts";

const CLUSTER_BITS = 16;
const CLUSTER_BYTES = 2 ** CLUSTER_BITS;
/** An L1 entry stands for a cluster of L2 entries of 8 bytes, each for a cluster of data. */
const BYTES_PER_L1_ENTRY = (CLUSTER_BYTES / 8) * CLUSTER_BYTES;
const HEADER_LENGTH = 104;
const L1_AT = 3 * CLUSTER_BYTES;
/** The format's own limit. */
export const BACKING_NAME_BYTES_MAX = 1023;
/** QEMU opens an L1 table of at most 32 MiB: disks of 2 PiB. */
const L1_CLUSTERS_MAX = 512;

export interface OverlayOptions {
  readonly path: string;
  readonly virtualBytes: number;
  readonly backingFile: string;
  readonly backingFormat: string;
  readonly mark: OverlayMark;
  /** Of the image below: whoever may write that may write this. */
  readonly owner: { readonly uid: number; readonly gid: number; readonly mode: number };
}

/**
 * The file appears whole, synced and under a name that was free, or not at all. Throws SystemError
 * or RefusedError.
 */
export function createOverlay(options: OverlayOptions): void {
  const { path, owner } = options;
  const { head, fileBytes } = overlayBytes(options);
  using file = createNewFile({ path, existing: "refuse", inputs: [] });
  fchownSync(file.fd.number, owner.uid, owner.gid);
  fchmodSync(file.fd.number, owner.mode);
  writeFully(file.fd, head, head.byteLength);
  ftruncateSync(file.fd.number, fileBytes);
  file.commit();
}

/** The first three clusters, and how long the file is with its L1 table. */
export function overlayBytes(options: Omit<OverlayOptions, "path" | "owner">) {
  const { virtualBytes, backingFile, backingFormat, mark } = options;
  assert(Number.isSafeInteger(virtualBytes), "a disk has a whole number of bytes below 2^53");
  const l1Entries = Math.ceil(virtualBytes / BYTES_PER_L1_ENTRY);
  const l1Clusters = Math.ceil((l1Entries * 8) / CLUSTER_BYTES);
  if (l1Clusters > L1_CLUSTERS_MAX) {
    throw new SnapshotRefusal(`Cannot make an overlay for a disk of ${virtualBytes} bytes`);
  }
  const name = Buffer.from(backingFile);
  if (name.byteLength > BACKING_NAME_BYTES_MAX) {
    const most = `at most ${BACKING_NAME_BYTES_MAX} bytes`;
    throw new SnapshotRefusal(`Cannot name "${backingFile}" as a backing file: wanted ${most}`);
  }
  const head = Buffer.alloc(3 * CLUSTER_BYTES);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  let at = HEADER_LENGTH;
  const extend = (type: number, data: Buffer) => {
    write(EXTENSION, view, at, { type, length: data.byteLength });
    data.copy(head, at + sizeOf(EXTENSION));
    at += sizeOf(EXTENSION) + Math.ceil(data.byteLength / 8) * 8;
  };
  extend(EXTENSION_TYPE.backingFormat, Buffer.from(backingFormat));
  extend(EXTENSION_TYPE.agent, Buffer.from(JSON.stringify(mark)));
  extend(EXTENSION_TYPE.end, Buffer.alloc(0));
  name.copy(head, at);
  write(HEADER, view, 0, {
    magic: QCOW2_MAGIC,
    version: 3,
    backing_file_offset: BigInt(at),
    backing_file_size: name.byteLength,
    cluster_bits: CLUSTER_BITS,
    size: BigInt(virtualBytes),
    crypt_method: 0,
    l1_size: l1Entries,
    l1_table_offset: BigInt(L1_AT),
    refcount_table_offset: BigInt(CLUSTER_BYTES),
    refcount_table_clusters: 1,
    nb_snapshots: 0,
    snapshots_offset: 0n,
  });
  write(HEADER_3, view, sizeOf(HEADER), {
    incompatible_features: 0n,
    compatible_features: 0n,
    autoclear_features: 0n,
    refcount_order: 4, // 16 bits each.
    header_length: HEADER_LENGTH,
  });
  view.setBigUint64(CLUSTER_BYTES, BigInt(2 * CLUSTER_BYTES)); // The one refcount block.
  for (let cluster = 0; cluster < 3 + l1Clusters; cluster++) {
    view.setUint16(2 * CLUSTER_BYTES + 2 * cluster, 1);
  }
  return { head, fileBytes: L1_AT + l1Clusters * CLUSTER_BYTES };
}

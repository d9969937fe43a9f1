// Reads of a qcow2 image what a snapshot needs to know, without opening anything that the image
// names: size, backing file, internal snapshots, whose overlay it is, whether it holds any data.
//
// An image is written by a guest's disk and may be hostile: every offset and size is bounded, and
// nothing is sized by what it claims.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import * as v from "valibot";
import { toCount } from "../base/index.ts";
import { check, type Layout, read, type Row, sizeOf, StreamError } from "../bytes/index.ts";
import { systemErrorOf } from "./file-error.ts";
import { SnapshotRefusal } from "./refusal.ts";
import {
  EXTENSION,
  EXTENSION_TYPE,
  HEADER,
  HEADER_3,
  INCOMPATIBLE_CORRUPT_MASK,
  INCOMPATIBLE_DIRTY_MASK,
  QCOW2_MAGIC,
  SNAPSHOT_ENTRY,
} from "./qcow2-layout.ts";

/** What we write into an overlay of ours, see EXTENSION_TYPE.agent. */
const Mark = v.object({
  group: v.pipe(v.string(), v.maxLength(64)),
  /** Of the moment that the image below is kept at. */
  snapshot: v.pipe(v.string(), v.maxLength(255)),
  made: v.pipe(v.string(), v.maxLength(64)),
  /** What names of further overlays begin with. */
  stem: v.pipe(v.string(), v.maxLength(255)),
});
export type OverlayMark = v.InferOutput<typeof Mark>;

export interface InternalSnapshot {
  readonly id: string;
  readonly name: string;
  readonly dateSec: number;
  readonly vmStateBytes: number;
}

export interface Qcow2Image {
  readonly path: string;
  readonly virtualBytes: number;
  readonly clusterBytes: number;
  readonly backingFile: string | undefined;
  readonly backingFormat: string | undefined;
  readonly isEncrypted: boolean;
  readonly isCorrupt: boolean;
  readonly isDirty: boolean;
  readonly snapshots: readonly InternalSnapshot[];
  readonly mark: OverlayMark | undefined;
  readonly l1: { readonly fileOffset: number; readonly entries: number };
}

const HEAD_BYTES = 65536;
const SNAPSHOT_TABLE_BYTES_MAX = 64 * 1024 * 1024;
const SNAPSHOT_NAME_BYTES_MAX = 65535;

/** Throws SystemError or SnapshotRefusal. */
export function readQcow2(path: string): Qcow2Image {
  return withFile(path, (fd) => new Reader(fd, path).image());
}

/** undefined where the file does not begin as a qcow2 image. Throws SystemError. */
export function readIfQcow2(path: string): Qcow2Image | undefined {
  return withFile(path, (fd) => {
    const head = Buffer.alloc(4);
    if (readSync(fd, head, 0, 4, 0) < 4 || head.readUInt32BE(0) !== QCOW2_MAGIC) return undefined;
    return new Reader(fd, path).image();
  });
}

/** Whether any cluster of the image holds data or hides the backing file's. */
export function holdsData(path: string): boolean {
  return withFile(path, (fd) => new Reader(fd, path).holdsData());
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    throw systemErrorOf(`Cannot read "${path}"`, "open", path, error);
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

class Reader {
  private readonly fd: number;
  private readonly path: string;
  private readonly fileBytes: number;
  constructor(fd: number, path: string) {
    [this.fd, this.path, this.fileBytes] = [fd, path, fstatSync(fd).size];
  }

  private bytes(fileOffset: number, count: number, what: string): Buffer {
    const bytes = Buffer.alloc(count);
    const got = readSync(this.fd, bytes, 0, count, fileOffset);
    if (got < count) throw this.bad(`${what} at offset 0x${fileOffset.toString(16)} is cut short`);
    return bytes;
  }

  private bad(what: string): SnapshotRefusal {
    return new SnapshotRefusal(`Cannot use "${this.path}" as a qcow2 image: ${what}`);
  }

  private row<L extends Layout>(layout: L, { bytes, at, fileOffset, record }: Located): Row<L> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (at + sizeOf(layout) > bytes.byteLength) throw this.bad(`${record} is cut short`);
    const place = { layer: "qcow2", record, recordNumber: 0, fileOffset } as const;
    for (const finding of check(layout, view, at, place)) {
      if (finding.severity === "error") throw this.bad(new StreamError(finding).message);
    }
    return read(layout, view, at);
  }

  private count(value: bigint, what: string): number {
    const count = toCount(value);
    if (count === undefined) throw this.bad(`${what} is 0x${value.toString(16)}`);
    return count;
  }

  private head() {
    const bytes = this.bytes(0, Math.min(HEAD_BYTES, this.fileBytes), "header");
    const first = this.row(HEADER, { bytes, at: 0, fileOffset: 0, record: "header" });
    const at = sizeOf(HEADER);
    const located = { bytes, at, fileOffset: at, record: "header" };
    const third = first.version === 3 ? this.row(HEADER_3, located) : undefined;
    return { bytes, first, third };
  }

  image(): Qcow2Image {
    const { bytes, first, third } = this.head();
    const extensions = this.extensions(bytes, third?.header_length ?? sizeOf(HEADER));
    const features = third?.incompatible_features ?? 0n;
    return {
      path: this.path,
      virtualBytes: this.count(first.size, "size"),
      clusterBytes: 2 ** first.cluster_bits,
      backingFile: this.backingFile(bytes, first),
      backingFormat: extensions.get(EXTENSION_TYPE.backingFormat)?.toString("utf8"),
      isEncrypted: first.crypt_method !== 0,
      isCorrupt: (features & INCOMPATIBLE_CORRUPT_MASK) !== 0n,
      isDirty: (features & INCOMPATIBLE_DIRTY_MASK) !== 0n,
      snapshots: this.snapshots(first),
      mark: parseMark(extensions.get(EXTENSION_TYPE.agent)),
      l1: {
        fileOffset: this.count(first.l1_table_offset, "l1_table_offset"),
        entries: first.l1_size,
      },
    };
  }

  private backingFile(bytes: Buffer, header: Row<typeof HEADER>): string | undefined {
    const at = this.count(header.backing_file_offset, "backing_file_offset");
    if (at === 0 || header.backing_file_size === 0) return undefined;
    const name = bytes.subarray(at, at + header.backing_file_size);
    if (name.byteLength < header.backing_file_size) throw this.bad("its backing file is cut short");
    return name.toString("utf8");
  }

  private extensions(bytes: Buffer, start: number): Map<number, Buffer> {
    const found = new Map<number, Buffer>();
    for (let at = start; at + sizeOf(EXTENSION) <= bytes.byteLength;) {
      const located = { bytes, at, fileOffset: at, record: "header extension" };
      const { type, length } = this.row(EXTENSION, located);
      if (type === EXTENSION_TYPE.end) break;
      at += sizeOf(EXTENSION);
      found.set(type, bytes.subarray(at, at + length));
      at += Math.ceil(length / 8) * 8;
    }
    return found;
  }

  private snapshots(header: Row<typeof HEADER>): InternalSnapshot[] {
    const start = this.count(header.snapshots_offset, "snapshots_offset");
    const found: InternalSnapshot[] = [];
    const isPlace = start > 0 && start % 2 ** header.cluster_bits === 0;
    if (header.nb_snapshots > 0 && !isPlace) {
      throw this.bad(`its snapshot table is at offset 0x${start.toString(16)}`);
    }
    let fileOffset = start;
    for (let index = 0; index < header.nb_snapshots; index++) {
      if (fileOffset - start > SNAPSHOT_TABLE_BYTES_MAX)
        throw this.bad("its snapshot table is too long");
      const record = `snapshot ${index}`;
      const bytes = this.bytes(fileOffset, sizeOf(SNAPSHOT_ENTRY), record);
      const entry = this.row(SNAPSHOT_ENTRY, { bytes, at: 0, fileOffset, record });
      const { extra_data_size, id_size, name_size } = entry;
      const more = this.bytes(
        fileOffset + sizeOf(SNAPSHOT_ENTRY),
        extra_data_size + id_size + Math.min(name_size, SNAPSHOT_NAME_BYTES_MAX),
        record,
      );
      const id = more.subarray(extra_data_size, extra_data_size + id_size).toString("utf8");
      const name = more.subarray(extra_data_size + id_size).toString("utf8");
      const big = extra_data_size >= 8 ? more.readBigUInt64BE(0) : BigInt(entry.vm_state_size);
      const vmStateBytes = this.count(big, "vm_state_size");
      found.push({ id, name, dateSec: entry.date_sec, vmStateBytes });
      const length = sizeOf(SNAPSHOT_ENTRY) + extra_data_size + id_size + name_size;
      fileOffset += Math.ceil(length / 8) * 8;
    }
    return found;
  }

  holdsData(): boolean {
    const { first } = this.head();
    const start = this.count(first.l1_table_offset, "l1_table_offset");
    const total = first.l1_size * 8;
    for (let done = 0; done < total; done += HEAD_BYTES) {
      const piece = this.bytes(start + done, Math.min(HEAD_BYTES, total - done), "L1 table");
      if (piece.some((byte) => byte !== 0)) return true;
    }
    return false;
  }
}

interface Located {
  readonly bytes: Buffer;
  readonly at: number;
  readonly fileOffset: number;
  readonly record: string;
}

/** A mark that we cannot read is not ours. */
function parseMark(bytes: Buffer | undefined): OverlayMark | undefined {
  if (bytes === undefined) return undefined;
  try {
    const parsed = v.safeParse(Mark, JSON.parse(bytes.toString("utf8")));
    return parsed.success ? parsed.output : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

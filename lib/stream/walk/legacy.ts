// Walking a legacy stream (before Xen 4.6). Nothing in it has a length of its own that could be
// passed over blindly: each chunk must be understood to find the next. The byte layout stands in
// ../legacy/layout.ts.

import { hex } from "../../base/index.ts";
import {
  LEGACY_BATCH_PFNS_MAX,
  LEGACY_BLOB_BYTES_MAX,
  LEGACY_EXTENDED_BLOCK,
  LEGACY_EXTENDED_VCPU_BYTES,
  LEGACY_QEMU_SIGNATURE_BYTES,
  LEGACY_QEMU_SIGNATURES,
  LEGACY_TYPE_SHIFT,
  LEGACY_VCPU_BLOCK,
  LEGACY_VCPU_ID_MAX,
  LEGACY_VCPU_WIDTH,
  LEGACY_XSAVE_BLOCK,
  legacyChunkOf,
  legacyWidthOf,
} from "../legacy/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import type { Cursor } from "./cursor.ts";
import { alignedWords } from "./pfn-list.ts";
import type { StreamRecord } from "./visitor.ts";

/** What the stream has told about itself so far. */
interface LegacyState {
  readonly width: 4 | 8;
  readonly p2mSize: number;
  guestWidth: number;
  vcpuBytes: number;
  hasExtended: boolean;
  xsaveBytes: number;
  onlineVcpus: number;
  isCompressed: boolean;
}

/** In an xl save file the QEMU record of an HVM guest must be there: libxl wants it. */
export function walkLegacy(cursor: Cursor, { inXl }: { readonly inXl: boolean }): void {
  const state = walkStart(cursor);
  while (walkChunk(cursor, state));
  if (state.guestWidth > 0) walkPvTail(cursor, state);
  else walkHvmTail(cursor, inXl);
}

/** p2m_size, and for PV the extended info and the P2M frame list. */
function walkStart(cursor: Cursor): LegacyState {
  const place = cursor.place("legacy", "header");
  const got = cursor.source.peek(16);
  const { view, at } = cursor.source;
  const width = got < 8 ? undefined : legacyWidthOf(view, at);
  if (width === undefined) {
    const expected = "p2m_size, then zeros (64 bit), all ones or a chunk (32 bit)";
    const found = got === 0 ? "the end of the input" : `bytes ${peeked(cursor, got)}`;
    throw cursor.fail(place, { field: "p2m_size", expected, found });
  }
  const p2mSize = view.getUint32(at, true);
  const isPv = got >= width + 4 && view.getInt32(at + width, true) === -1;
  const state: LegacyState = {
    width,
    p2mSize,
    guestWidth: 0,
    vcpuBytes: 0,
    hasExtended: false,
    xsaveBytes: 0,
    onlineVcpus: 0,
    isCompressed: false,
  };
  const record = announce(cursor, "P2M_SIZE", { bodyBytes: width });
  cursor.body(record, width);
  cursor.visitor.recordEnd(record);
  if (isPv) {
    walkExtendedInfo(cursor, state);
    const framePfns = PAGE_BYTES / state.guestWidth;
    const frames = Math.floor((p2mSize - 1) / framePfns) + 1;
    whole(cursor, "P2M_FRAMES", frames * width);
  }
  return state;
}

const peeked = (cursor: Cursor, got: number): string =>
  cursor.source.bytes.subarray(cursor.source.at, cursor.source.at + got).toHex();

function announce(
  cursor: Cursor,
  record: string,
  { bodyBytes, startedAt }: { readonly bodyBytes: number; readonly startedAt?: number },
): StreamRecord {
  const fileOffset = startedAt ?? cursor.position;
  return cursor.record({ layer: "legacy", record, fileOffset, type: 0, bodyBytes });
}

/** A record without a header of its own. */
function whole(cursor: Cursor, name: string, bodyBytes: number): void {
  const record = announce(cursor, name, { bodyBytes });
  cursor.body(record, 0);
  cursor.visitor.recordEnd(record);
}

function takeU32(cursor: Cursor, record: string, field: string): number {
  const { view, at } = cursor.take(4, cursor.place("legacy", record), field);
  return view.getUint32(at, true);
}

/** A size that something of `record` claims; refused before anything is sized by it. */
function takeSize(cursor: Cursor, record: string, width: 4 | 8): number {
  const place = cursor.place("legacy", record);
  const { view, at } = cursor.take(width, place, "size");
  const size =
    view.getUint32(at, true) + (width === 8 ? view.getUint32(at + 4, true) * 2 ** 32 : 0);
  if (size <= LEGACY_BLOB_BYTES_MAX) return size;
  const expected = `at most ${hex(LEGACY_BLOB_BYTES_MAX)}`;
  throw cursor.fail(place, { field: "size", expected, found: hex(size) });
}

function walkExtendedInfo(cursor: Cursor, state: LegacyState): void {
  const name = "EXTENDED_INFO";
  cursor.take(state.width, cursor.place("legacy", name), "signature");
  const totalPlace = cursor.place("legacy", name);
  const total = takeSize(cursor, name, 4);
  let left = total;
  while (left > 0) {
    const place = cursor.place("legacy", name);
    const head = cursor.take(8, place, "block");
    const id = String.fromCharCode(...head.bytes.subarray(head.at, head.at + 4));
    const size = head.view.getUint32(head.at + 4, true);
    left -= 8 + size;
    if (left < 0) {
      const found = `${hex(size)} for block "${printable(id)}"`;
      throw cursor.fail(place, {
        field: "size",
        fileOffset: place.fileOffset + 4,
        expected: `blocks of ${total} bytes in all`,
        found,
      });
    }
    walkBlock(cursor, state, { id, size });
  }
  if (state.guestWidth > 0) return;
  const expected = 'a "vcpu" block: it tells the guest\'s width';
  throw cursor.fail(totalPlace, { field: "blocks", expected, found: "none" });
}

function walkBlock(
  cursor: Cursor,
  state: LegacyState,
  { id, size }: { readonly id: string; readonly size: number },
): void {
  const place = cursor.place("legacy", "EXTENDED_INFO");
  const [idAt, sizeAt] = [place.fileOffset - 8, place.fileOffset - 4];
  if (id === LEGACY_VCPU_BLOCK) {
    const width = LEGACY_VCPU_WIDTH[size];
    if (width === undefined) {
      const expected = "0x1430 (64-bit guest) or 0xaf0 (32-bit guest)";
      const found = hex(size);
      throw cursor.fail(place, { field: "vcpu size", fileOffset: sizeAt, expected, found });
    }
    state.guestWidth = width;
    state.vcpuBytes = size;
  } else if (id === LEGACY_EXTENDED_BLOCK) {
    state.hasExtended = true;
  } else if (id === LEGACY_XSAVE_BLOCK) {
    if (size < 4) {
      const found = String(size);
      const expected = "at least 4";
      throw cursor.fail(place, { field: "xcnt size", fileOffset: sizeAt, expected, found });
    }
    state.xsaveBytes = takeU32(cursor, "EXTENDED_INFO", "xcnt");
    if (state.xsaveBytes > LEGACY_BLOB_BYTES_MAX) {
      const expected = `at most ${hex(LEGACY_BLOB_BYTES_MAX)}`;
      throw cursor.fail(place, { field: "xcnt", expected, found: hex(state.xsaveBytes) });
    }
    return cursor.skip(size - 4, place, "block");
  } else {
    const expected = 'a block "vcpu", "extv" or "xcnt"';
    const found = `"${printable(id)}"`;
    throw cursor.fail(place, { field: "block", fileOffset: idAt, expected, found });
  }
  cursor.skip(size, place, "block");
}

const printable = (text: string): string => text.replace(/[^ -~]/g, "?");

/** One chunk of the body; false behind the last one. */
function walkChunk(cursor: Cursor, state: LegacyState): boolean {
  const startedAt = cursor.position;
  const marker = takeU32(cursor, "chunk", "marker") | 0;
  if (marker === 0) {
    const record = announce(cursor, "END", { bodyBytes: 0, startedAt });
    cursor.body(record, 0);
    cursor.visitor.recordEnd(record);
    return false;
  }
  if (marker > 0) {
    walkBatch(cursor, state, { count: marker, startedAt });
    return true;
  }
  const chunk = legacyChunkOf(marker);
  if (chunk === undefined) {
    const place = { ...cursor.place("legacy", "chunk"), fileOffset: startedAt };
    throw cursor.fail(place, { field: "marker", expected: "a known chunk", found: String(marker) });
  }
  const bodyBytes = payloadBytes(cursor, state, marker);
  const record = announce(cursor, chunk.name, { bodyBytes, startedAt });
  cursor.body(record, bodyBytes);
  cursor.visitor.recordEnd(record);
  return true;
}

/** Bytes that follow what has been taken of the chunk; takes what tells them. */
function payloadBytes(cursor: Cursor, state: LegacyState, marker: number): number {
  const chunk = legacyChunkOf(marker)!; // The caller has looked it up.
  switch (chunk.payload.kind) {
    case "none":
      if (chunk.name === "ENABLE_COMPRESSION") state.isCompressed = true;
      return 0;
    case "fixed":
      return chunk.payload.bytes;
    case "param":
      return 12;
    case "sized":
      return takeSize(cursor, chunk.name, 4);
    case "compressed":
      return takeSize(cursor, chunk.name, state.width);
    case "vcpus": {
      const place = cursor.place("legacy", chunk.name);
      const maxId = takeU32(cursor, chunk.name, "max_id");
      if (maxId > LEGACY_VCPU_ID_MAX) {
        const expected = `at most ${LEGACY_VCPU_ID_MAX}`;
        throw cursor.fail(place, { field: "max_id", expected, found: String(maxId) });
      }
      const bitmapBytes = (Math.floor(maxId / 64) + 1) * 8;
      const { view, at } = cursor.take(bitmapBytes, place, "bitmap");
      for (let word = 0; word < bitmapBytes; word += 4) {
        state.onlineVcpus += bitCount(view.getUint32(at + word, true));
      }
      return 0;
    }
  }
}

function bitCount(word: number): number {
  let count = 0;
  for (let left = word >>> 0; left !== 0; left = (left & (left - 1)) >>> 0) count++;
  return count;
}

/**
 * ulong pfn[count], then 4096 bytes for each whose type carries data (none in a compressed stream).
 */
function walkBatch(
  cursor: Cursor,
  state: LegacyState,
  { count, startedAt }: { readonly count: number; readonly startedAt: number },
): void {
  const { visitor } = cursor;
  if (count > LEGACY_BATCH_PFNS_MAX) {
    const place = { ...cursor.place("legacy", "PAGE_BATCH"), fileOffset: startedAt };
    const expected = `at most ${LEGACY_BATCH_PFNS_MAX}`;
    throw cursor.fail(place, { field: "count", expected, found: String(count) });
  }
  const wordsPerPfn = state.width === 8 ? 2 : 1;
  const listBytes = count * state.width;
  const listOffset = cursor.position;
  const place = cursor.place("legacy", "PAGE_BATCH");
  const { bytes, at } = cursor.take(listBytes, place, "pfns");
  const words = alignedWords(bytes, at, count * wordsPerPfn);
  const dataPages = state.isCompressed ? 0 : countDataPages(words, wordsPerPfn);
  const contentBytes = dataPages * PAGE_BYTES;
  const record: StreamRecord = {
    ...announce(cursor, "PAGE_BATCH", { bodyBytes: listBytes + contentBytes, startedAt }),
    bodyOffset: listOffset,
  };
  const want = visitor.record(record);
  if (want !== "nothing") {
    const list = { words, wordsPerPfn, count, firstIndex: 0, batchCount: count } as const;
    visitor.pfns(record, { ...list, fileOffset: listOffset });
  }
  if (want === "body") cursor.pieces(record, contentBytes, (piece) => visitor.pages(record, piece));
  else cursor.skip(contentBytes, record, "page contents");
  visitor.recordEnd(record);
}

/** BROKEN, XALLOC and XTAB (0xd and up) have no contents in the stream. */
function countDataPages(words: Uint32Array, wordsPerPfn: number): number {
  let pages = 0;
  for (let word = 0; word < words.length; word += wordsPerPfn) {
    if (words[word]! >>> LEGACY_TYPE_SHIFT < 0xd) pages++;
  }
  return pages;
}

function walkPvTail(cursor: Cursor, state: LegacyState): void {
  const unmapped = takeU32(cursor, "UNMAPPED_PFNS", "count");
  if (unmapped > state.p2mSize) {
    const place = cursor.place("legacy", "UNMAPPED_PFNS");
    const expected = `at most p2m_size, ${hex(state.p2mSize)}`;
    throw cursor.fail(place, { field: "count", expected, found: hex(unmapped) });
  }
  whole(cursor, "UNMAPPED_PFNS", unmapped * state.width);
  for (let vcpu = 0; vcpu < state.onlineVcpus; vcpu++) {
    whole(cursor, "VCPU_BASIC", state.vcpuBytes);
    if (state.hasExtended) whole(cursor, "VCPU_EXTENDED", LEGACY_EXTENDED_VCPU_BYTES);
    if (state.xsaveBytes > 0) whole(cursor, "VCPU_XSAVE", state.xsaveBytes);
  }
  whole(cursor, "SHARED_INFO", PAGE_BYTES);
}

function walkHvmTail(cursor: Cursor, inXl: boolean): void {
  whole(cursor, "MAGIC_PFNS", 24); // u64 ioreq, bufioreq and store pfn.
  whole(cursor, "HVM_CONTEXT", takeSize(cursor, "HVM_CONTEXT", 4));
  const got = cursor.source.peek(LEGACY_QEMU_SIGNATURE_BYTES);
  const { bytes, at } = cursor.source;
  const signature = String.fromCharCode(...bytes.subarray(at, at + got));
  // The input may end inside of a signature: taking it whole says so.
  const known = LEGACY_QEMU_SIGNATURES.find(
    (row) => got > 0 && row.signature.startsWith(signature),
  );
  const place = cursor.place("legacy", "QEMU");
  if (known === undefined) {
    if (!inXl) return; // A bare libxc stream: what stands behind it is not ours.
    if (got > 0) {
      const expected = "a QEMU record behind the HVM context";
      throw cursor.fail(place, {
        field: "signature",
        expected,
        found: `"${printable(signature)}"`,
      });
    }
  }
  cursor.take(LEGACY_QEMU_SIGNATURE_BYTES, place, "signature");
  if (known?.sized === true) return whole(cursor, "QEMU", takeSize(cursor, "QEMU", 4));
  const { source } = cursor;
  if (source.bytesTotal !== undefined) whole(cursor, "QEMU", source.bytesTotal - source.position);
  else while (source.skip(PAGE_BYTES) === PAGE_BYTES); // It goes on to the end of the input.
}

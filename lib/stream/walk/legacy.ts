// Walking a legacy stream (before Xen 4.6). Nothing in it has a length of its own that could be
// passed over blindly: each chunk must be understood to find the next. The byte layout stands in
// ../legacy/layout.ts.

import { hex } from "../../base/index.ts";
import { sizeOf } from "../../bytes/index.ts";
import {
  LEGACY_BATCH_PFNS_MAX,
  LEGACY_EXTENDED_VCPU_BYTES,
  LEGACY_MAGIC_PFNS,
  LEGACY_PARAM,
  LEGACY_QEMU_SIGNATURE_BYTES,
  LEGACY_QEMU_SIGNATURES,
  LEGACY_TYPE_SHIFT,
  LEGACY_VCPU_ID_MAX,
  LEGACY_XSAVE_HEAD,
  type LegacyChunk,
  legacyChunkOf,
} from "../legacy/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import type { Cursor } from "./cursor.ts";
import { announce, printable, takeSize, takeU32, whole } from "./legacy-parts.ts";
import { type LegacyState, walkStart } from "./legacy-start.ts";
import { walkTmem, walkTmemExtra } from "./legacy-tmem.ts";
import { alignedWords } from "./pfn-list.ts";
import { nextSignature } from "./signature.ts";
import type { StreamRecord } from "./visitor.ts";

const PARAM_BYTES = sizeOf(LEGACY_PARAM);
const MAGIC_PFNS_BYTES = sizeOf(LEGACY_MAGIC_PFNS);
const XSAVE_HEAD_BYTES = sizeOf(LEGACY_XSAVE_HEAD);

const SIGNATURES: readonly Uint8Array[] = LEGACY_QEMU_SIGNATURES.map(({ signature }) =>
  new TextEncoder().encode(signature),
);

/** In an xl save file the QEMU record of an HVM guest must be there: libxl wants it. */
export function walkLegacy(cursor: Cursor, { inXl }: { readonly inXl: boolean }): void {
  const state = walkStart(cursor);
  while (walkChunk(cursor, state));
  if (state.guestWidth > 0) walkPvTail(cursor, state);
  else walkHvmTail(cursor, inXl);
}

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
  walkPayload(cursor, state, { chunk, startedAt });
  return true;
}

interface ChunkStart {
  readonly chunk: LegacyChunk;
  /** Absolute offset of its marker. */
  readonly startedAt: number;
}

function walkPayload(cursor: Cursor, state: LegacyState, { chunk, startedAt }: ChunkStart): void {
  const { name, payload } = chunk;
  switch (payload.kind) {
    case "none":
      if (name === "ENABLE_COMPRESSION") state.isCompressed = true;
      return walkBody(cursor, name, { bodyBytes: 0, startedAt });
    case "fixed":
      return walkBody(cursor, name, { bodyBytes: payload.bytes, startedAt });
    case "param":
      return walkBody(cursor, name, { bodyBytes: PARAM_BYTES, startedAt });
    case "sized":
      return walkBody(cursor, name, { bodyBytes: takeSize(cursor, name, 4), startedAt });
    case "compressed": {
      const bodyBytes = takeSize(cursor, name, state.width);
      return walkBody(cursor, name, { bodyBytes, startedAt });
    }
    case "tmem":
      return walkTmem(cursor, startedAt);
    case "tmem_extra":
      return walkTmemExtra(cursor, startedAt);
    case "vcpus":
      return walkVcpus(cursor, state, startedAt);
  }
}

function walkBody(
  cursor: Cursor,
  name: string,
  { bodyBytes, startedAt }: { readonly bodyBytes: number; readonly startedAt: number },
): void {
  const record = announce(cursor, name, { bodyBytes, startedAt });
  cursor.body(record, bodyBytes);
  cursor.visitor.recordEnd(record);
}

/** Which vcpus the tail has: the body is the bitmap behind the highest id. */
function walkVcpus(cursor: Cursor, state: LegacyState, startedAt: number): void {
  const name = "VCPU_INFO";
  const place = cursor.place("legacy", name);
  const maxId = takeU32(cursor, name, "max_id");
  if (maxId > LEGACY_VCPU_ID_MAX) {
    const expected = `at most ${LEGACY_VCPU_ID_MAX}`;
    throw cursor.fail(place, { field: "max_id", expected, found: String(maxId) });
  }
  const bodyBytes = (Math.floor(maxId / 64) + 1) * 8;
  const bodyOffset = cursor.position;
  const piece = cursor.take(bodyBytes, place, "bitmap");
  for (let word = 0; word < bodyBytes; word += 4) {
    state.onlineVcpus += bitCount(piece.view.getUint32(piece.at + word, true));
  }
  const record = { ...announce(cursor, name, { bodyBytes, startedAt }), bodyOffset };
  if (cursor.visitor.record(record) !== "nothing") cursor.visitor.body(record, piece);
  cursor.visitor.recordEnd(record);
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
  else cursor.rest(record, want, { bytes: contentBytes, field: "page contents" });
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
  const place = cursor.place("legacy", "UNMAPPED_PFNS");
  const unmapped = takeU32(cursor, "UNMAPPED_PFNS", "count");
  if (unmapped > state.p2mSize) {
    const expected = `at most p2m_size, ${hex(state.p2mSize)}`;
    throw cursor.fail(place, { field: "count", expected, found: hex(unmapped) });
  }
  bare(cursor, "UNMAPPED_PFNS", unmapped * state.width);
  const { xsaveBytes } = state;
  for (let vcpu = 0; vcpu < state.onlineVcpus; vcpu++) {
    bare(cursor, "VCPU_BASIC", state.vcpuBytes);
    if (state.hasExtended) bare(cursor, "VCPU_EXTENDED", LEGACY_EXTENDED_VCPU_BYTES);
    if (xsaveBytes === 0) continue;
    whole(cursor, "VCPU_XSAVE", { bodyBytes: xsaveBytes, headBytes: XSAVE_HEAD_BYTES });
  }
  bare(cursor, "SHARED_INFO", PAGE_BYTES);
}

/** A record without a header or a head of its own. */
const bare = (cursor: Cursor, name: string, bodyBytes: number): void =>
  whole(cursor, name, { bodyBytes, headBytes: 0 });

function walkHvmTail(cursor: Cursor, inXl: boolean): void {
  bare(cursor, "MAGIC_PFNS", MAGIC_PFNS_BYTES);
  bare(cursor, "HVM_CONTEXT", takeSize(cursor, "HVM_CONTEXT", 4));
  if (cursor.legacy.stopsBeforeQemu) return;
  const place = cursor.place("legacy", "QEMU");
  const type = qemuSignature(cursor, inXl);
  if (type === undefined) return; // A bare libxc stream: what stands behind it is not ours.
  cursor.take(LEGACY_QEMU_SIGNATURE_BYTES, place, "signature");
  const { sized } = LEGACY_QEMU_SIGNATURES[type]!;
  const { bytesTotal } = cursor.source;
  const left = bytesTotal === undefined ? 0 : bytesTotal - cursor.position;
  const bodyBytes = sized ? takeSize(cursor, "QEMU", 4) : left;
  const { fileOffset } = place;
  const announced = announce(cursor, "QEMU", { bodyBytes, startedAt: fileOffset });
  if (sized || bytesTotal !== undefined) {
    const record = { ...announced, type };
    cursor.body(record, 0);
    return cursor.visitor.recordEnd(record);
  }
  const record = { ...announced, type, isToTheEnd: true } as const;
  cursor.toTheEnd(record);
  cursor.visitor.recordEnd(record);
}

/** Its row in LEGACY_QEMU_SIGNATURES; undefined where no QEMU record follows. */
function qemuSignature(cursor: Cursor, inXl: boolean): number | undefined {
  // The input may end inside of a signature: taking it whole says so.
  const next = nextSignature(cursor, SIGNATURES);
  if (next !== undefined) return SIGNATURES.indexOf(next);
  if (!inXl) return undefined;
  const got = cursor.source.peek(LEGACY_QEMU_SIGNATURE_BYTES);
  if (got === 0) return 0; // Taking the signature says what is missing.
  const { bytes, at } = cursor.source;
  const signature = String.fromCharCode(...bytes.subarray(at, at + got));
  const place = cursor.place("legacy", "QEMU");
  const expected = "a QEMU record behind the HVM context";
  throw cursor.fail(place, { field: "signature", expected, found: `"${printable(signature)}"` });
}

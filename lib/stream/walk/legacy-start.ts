// The start of a legacy stream: p2m_size, and for PV the extended info and the P2M frame list. Here
// it shows who wrote it and for what guest, or the caller says so; where the two disagree the
// stream is not what the caller takes it for.

import { hex } from "../../base/index.ts";
import {
  LEGACY_BLOB_BYTES_MAX,
  LEGACY_EXTENDED_BLOCK,
  LEGACY_P2M_SIZE_MAX,
  LEGACY_VCPU_BLOCK,
  LEGACY_VCPU_WIDTH,
  LEGACY_XSAVE_BLOCK,
  legacyWidthOf,
} from "../legacy/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import type { Cursor } from "./cursor.ts";
import { printable, takeSize, takeU32, whole } from "./legacy-parts.ts";

/** What the stream has told about itself so far. */
export interface LegacyState {
  readonly width: 4 | 8;
  readonly p2mSize: number;
  guestWidth: number;
  vcpuBytes: number;
  hasExtended: boolean;
  xsaveBytes: number;
  onlineVcpus: number;
  isCompressed: boolean;
}

/** p2m_size, then p2m for PV, or the first chunk for HVM: enough to tell who wrote it. */
const START_BYTES = 24;
const BLOCKS: readonly string[] = [LEGACY_VCPU_BLOCK, LEGACY_EXTENDED_BLOCK, LEGACY_XSAVE_BLOCK];

/** p2m_size, and for PV the extended info and the P2M frame list. */
export function walkStart(cursor: Cursor): LegacyState {
  const got = cursor.source.peek(START_BYTES);
  const width = widthOf(cursor, got);
  const isPv = guestOf(cursor, { got, width }) === "pv";
  const state: LegacyState = {
    width,
    p2mSize: cursor.source.view.getUint32(cursor.source.at, true),
    guestWidth: 0,
    vcpuBytes: 0,
    hasExtended: false,
    xsaveBytes: 0,
    onlineVcpus: 0,
    isCompressed: false,
  };
  whole(cursor, "P2M_SIZE", { bodyBytes: width, headBytes: width });
  if (isPv) walkExtendedInfo(cursor, state);
  cursor.visitor.legacyGuest?.(state);
  if (isPv) {
    const framePfns = PAGE_BYTES / state.guestWidth;
    const frames = Math.floor((state.p2mSize - 1) / framePfns) + 1;
    whole(cursor, "P2M_FRAMES", { bodyBytes: frames * width, headBytes: 0 });
  }
  return state;
}

/** Where the first bytes tell the width they are right; the caller settles only what is open. */
function widthOf(cursor: Cursor, got: number): 4 | 8 {
  const place = cursor.place("legacy", "header");
  const { view, at } = cursor.source;
  const seen = got < 8 ? undefined : legacyWidthOf(view, at);
  const told = cursor.legacy.width;
  if (seen !== undefined && told !== undefined && seen !== told) {
    const expected = `words of ${told * 8} bits, as it was told to be`;
    throw cursor.fail(place, { field: "width", expected, found: `words of ${seen * 8} bits` });
  }
  if (seen !== undefined) return seen;
  const p2mSize = got < 8 ? 0 : view.getUint32(at, true);
  if (told !== undefined && p2mSize > 0 && p2mSize <= LEGACY_P2M_SIZE_MAX) return told;
  const expected = "p2m_size, then zeros (64 bit), all ones or a chunk (32 bit)";
  const found = got === 0 ? "the end of the input" : `bytes ${peeked(cursor, Math.min(got, 16))}`;
  throw cursor.fail(place, { field: "p2m_size", expected, found });
}

/** PV begins with all ones and a block; in a 32-bit HVM stream all ones is also a chunk. */
function guestOf(
  cursor: Cursor,
  { got, width }: { readonly got: number; readonly width: 4 | 8 },
): "pv" | "hvm" {
  const { view, bytes, at } = cursor.source;
  const ones = got >= width * 2 && view.getInt32(at + width, true) === -1;
  const isSignature = ones && view.getInt32(at + width * 2 - 4, true) === -1;
  const blockAt = width * 2 + 4;
  const block = String.fromCharCode(...bytes.subarray(at + blockAt, at + blockAt + 4));
  const hasBlock = isSignature && got >= blockAt + 4 && BLOCKS.includes(block);
  const told = cursor.legacy.guest;
  const seen = isSignature && (hasBlock || told !== "hvm") ? "pv" : "hvm";
  if (told === undefined || told === seen) return seen;
  const place = cursor.place("legacy", "header");
  const expected = `the start of ${told === "pv" ? "a PV" : "an HVM"} stream, as it was told to be`;
  const found =
    seen === "pv" ? "the extended info of a PV stream" : "no extended info, which PV begins with";
  throw cursor.fail(place, {
    field: "guest",
    fileOffset: cursor.position + width,
    expected,
    found,
  });
}

const peeked = (cursor: Cursor, got: number): string =>
  cursor.source.bytes.subarray(cursor.source.at, cursor.source.at + got).toHex();

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

// Walking the transcendent memory of a legacy stream. Each pool is a record; the pages of a pool
// are passed over: nothing later than Xen 4.12 has a place for them.

import { check, read, sizeOf, StreamError } from "../../bytes/index.ts";
import {
  LEGACY_TMEM_HEAD,
  LEGACY_TMEM_INDEX_BYTES,
  LEGACY_TMEM_NO_POOL,
  LEGACY_TMEM_OBJECT_BYTES,
  LEGACY_TMEM_POOL,
  legacyTmemPageBytes,
} from "../legacy/index.ts";
import type { Cursor } from "./cursor.ts";
import { announce, takeU32, whole } from "./legacy-parts.ts";

const HEAD_BYTES = sizeOf(LEGACY_TMEM_HEAD);
const POOL_BYTES = sizeOf(LEGACY_TMEM_POOL);
const ID_BYTES = 4;

/** Settings, then pools until an id of -1. */
export function walkTmem(cursor: Cursor, startedAt: number): void {
  const place = cursor.place("legacy", "TMEM");
  const head = cursor.take(HEAD_BYTES, place, "head");
  for (const finding of check(LEGACY_TMEM_HEAD, head.view, head.at, place)) {
    if (finding.severity === "error") throw new StreamError(finding);
  }
  const record = announce(cursor, "TMEM", { bodyBytes: 0, startedAt });
  cursor.body(record, 0);
  cursor.visitor.recordEnd(record);
  while (nextPool(cursor)) walkPool(cursor);
}

/** Whether a pool id stands next; takes the -1 that ends the list. */
function nextPool(cursor: Cursor): boolean {
  const got = cursor.source.peek(ID_BYTES);
  const { view, at } = cursor.source;
  if (got === ID_BYTES && view.getUint32(at, true) !== LEGACY_TMEM_NO_POOL) return true;
  takeU32(cursor, "TMEM_POOL", "id");
  return false;
}

function walkPool(cursor: Cursor): void {
  const place = cursor.place("legacy", "TMEM_POOL");
  const piece = cursor.take(POOL_BYTES, place, "head");
  const { flags, n_pages: pages } = read(LEGACY_TMEM_POOL, piece.view, piece.at);
  const fields = { bodyBytes: POOL_BYTES, startedAt: place.fileOffset };
  const record = { ...announce(cursor, "TMEM_POOL", fields), bodyOffset: place.fileOffset };
  if (cursor.visitor.record(record) !== "nothing") cursor.visitor.body(record, piece);
  const pageBytes = legacyTmemPageBytes(flags);
  for (let page = 0; page < pages; page++) {
    const object = cursor.take(LEGACY_TMEM_OBJECT_BYTES, record, "object");
    const id = object.bytes.subarray(object.at, object.at + LEGACY_TMEM_OBJECT_BYTES);
    if (id.every((byte) => byte === 0xff)) break;
    cursor.skip(LEGACY_TMEM_INDEX_BYTES + pageBytes, record, "page");
  }
  cursor.visitor.recordEnd(record);
}

/** Pages that were dropped after they were sent: {pool id, object, index} until an id of -1. */
export function walkTmemExtra(cursor: Cursor, startedAt: number): void {
  whole(cursor, "TMEM_EXTRA", { bodyBytes: 0, headBytes: 0 });
  const place = { ...cursor.place("legacy", "TMEM_EXTRA"), fileOffset: startedAt };
  while (nextPool(cursor)) {
    cursor.skip(ID_BYTES + LEGACY_TMEM_OBJECT_BYTES + LEGACY_TMEM_INDEX_BYTES, place, "page");
  }
}

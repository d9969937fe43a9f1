// Walking a xenopsd suspend image: headers and records until END_OF_IMAGE; the older layout too.

import { hex } from "../../base/index.ts";
import { offsetOf, read, sizeOf } from "../../bytes/index.ts";
import {
  XAPI_HEADER,
  XAPI_OLD_QEMU_HEAD,
  XAPI_OLD_QEMU_SIGNATURE,
  XAPI_OLD_SIGNATURE,
  XAPI_RECORD_BYTES_MAX,
  XAPI_SIGNATURE,
  xapiRecordOf,
} from "../xapi/index.ts";
import type { Cursor } from "./cursor.ts";
import { walkLegacy } from "./legacy.ts";
import { nextSignature } from "./signature.ts";
import { type Progress, walkLibxc, walkLibxl } from "./libxl.ts";

export function walkXapi(cursor: Cursor, progress: Progress): void {
  const place = cursor.place("xapi", "signature");
  const signature = cursor.take(XAPI_SIGNATURE.byteLength, place, "signature");
  const found = signature.bytes.subarray(signature.at, signature.at + signature.length).slice();
  cursor.visitor.literal?.(place, signature);
  if (sameBytes(found, XAPI_OLD_SIGNATURE)) return walkOldLayout(cursor, progress);
  if (!sameBytes(found, XAPI_SIGNATURE)) {
    const expected = '"XenSavedDomv2-" or "XenSavedDomain"';
    throw cursor.fail(place, { field: "signature", expected, found: `bytes ${found.toHex()}` });
  }
  while (walkRecord(cursor, progress) !== "end");
}

function walkRecord(cursor: Cursor, progress: Progress): "more" | "end" {
  const place = cursor.place("xapi", "record_header");
  const head = cursor.take(sizeOf(XAPI_HEADER), place, "header");
  const { type, length } = read(XAPI_HEADER, head.view, head.at);
  const layout = type <= 0xffffn ? xapiRecordOf(Number(type)) : undefined;
  if (layout === undefined) {
    const expected = "a record type that xenopsd knows";
    throw cursor.fail(place, { field: "type", expected, found: hex(type) });
  }
  const isStream = ["libxc", "libxl", "legacy"].includes(layout.content);
  if (!isStream && length > BigInt(XAPI_RECORD_BYTES_MAX)) {
    const expected = `at most ${hex(XAPI_RECORD_BYTES_MAX)} for ${layout.name}`;
    const fileOffset = place.fileOffset + offsetOf(XAPI_HEADER, "length");
    throw cursor.fail(place, { field: "length", fileOffset, expected, found: hex(length) });
  }
  const record = cursor.record({
    layer: "xapi",
    record: layout.name,
    fileOffset: place.fileOffset,
    type: layout.type,
    bodyBytes: isStream ? 0 : Number(length),
  });
  cursor.body(record, 0);
  cursor.visitor.recordEnd(record);
  switch (layout.content) {
    case "end":
      return "end";
    case "libxc":
      walkLibxc(cursor, progress);
      return "more";
    case "libxl":
      walkLibxl(cursor, progress);
      return "more";
    case "legacy":
      walkLegacy(cursor, { inXl: false });
      return "more";
    default:
      return "more";
  }
}

/**
 * A libxc stream at once; behind it, for HVM, a signature, a big-endian length and the QEMU record.
 */
function walkOldLayout(cursor: Cursor, progress: Progress): void {
  const first = cursor.source.peek(8);
  const { view, at } = cursor.source;
  const isLibxc = first === 8 && view.getBigUint64(at, false) === 0xffff_ffff_ffff_ffffn;
  if (!isLibxc) return walkLegacy(cursor, { inXl: false });
  walkLibxc(cursor, progress);
  const signatureBytes = XAPI_OLD_QEMU_SIGNATURE.byteLength;
  // The input may end inside of the signature: taking it whole says so.
  if (nextSignature(cursor, [XAPI_OLD_QEMU_SIGNATURE]) === undefined) return;
  const place = cursor.place("xapi", "qemu_header");
  const signature = cursor.take(signatureBytes, place, "signature");
  cursor.visitor.literal?.(place, signature);
  const head = cursor.take(sizeOf(XAPI_OLD_QEMU_HEAD), place, "length");
  cursor.visitor.literal?.(place, head);
  const { length } = read(XAPI_OLD_QEMU_HEAD, head.view, head.at);
  if (length > XAPI_RECORD_BYTES_MAX) {
    const expected = `at most ${hex(XAPI_RECORD_BYTES_MAX)} for the QEMU record`;
    const fileOffset = place.fileOffset + signatureBytes;
    throw cursor.fail(place, { field: "length", fileOffset, expected, found: hex(length) });
  }
  const record = cursor.record({
    layer: "xapi",
    record: "QEMU_XEN",
    fileOffset: place.fileOffset,
    type: 0x0f01,
    bodyBytes: length,
  });
  cursor.body(record, 0);
  cursor.visitor.recordEnd(record);
}

const sameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.byteLength === right.byteLength && left.every((byte, index) => byte === right[index]);

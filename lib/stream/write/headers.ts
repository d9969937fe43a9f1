// Writing what stands before records: the headers of each framing.

import { assert } from "../../base/index.ts";
import type { Row, Sink } from "../../bytes/index.ts";
import { DOMAIN_HEADER, IMAGE_HEADER, IMAGE_ID, IMAGE_MARKER } from "../libxc/index.ts";
import { LIBXL_HEADER, LIBXL_IDENT } from "../libxl/index.ts";
import { XAPI, XAPI_HEADER, XAPI_RECORD_BYTES_MAX, XAPI_SIGNATURE } from "../xapi/index.ts";
import { SAVE_HEADER, SAVE_MAGIC } from "../xl/index.ts";
import { writeFields } from "./fields.ts";

const XAPI_BY_NAME = new Map(XAPI.map((record) => [record.name, record]));

/** The xl save header; `optional_data_len` bytes of optional data must follow. */
export function writeXlHeader(sink: Sink, row: Row<typeof SAVE_HEADER>): void {
  sink.write(SAVE_MAGIC);
  writeFields(sink, SAVE_HEADER, row);
}

/** `options`: LEGACY_MASK for a stream that was converted. */
export const writeLibxlHeader = (sink: Sink, options: number): void =>
  writeFields(sink, LIBXL_HEADER, { ident: LIBXL_IDENT, version: 2, options });

export function writeImageHeader(sink: Sink, version: 2 | 3): void {
  const fixed = { marker: IMAGE_MARKER, id: IMAGE_ID, options: 0, reserved_a: 0, reserved_b: 0 };
  writeFields(sink, IMAGE_HEADER, { ...fixed, version });
}

/** `xen`: who wrote the stream; major 0 for one converted from a legacy stream. */
export function writeDomainHeader(
  sink: Sink,
  { type, xen }: { readonly type: number; readonly xen: readonly [number, number] },
): void {
  const [xen_major, xen_minor] = xen;
  writeFields(sink, DOMAIN_HEADER, { type, page_shift: 12, reserved: 0, xen_major, xen_minor });
}

export const writeXapiSignature = (sink: Sink): void => sink.write(XAPI_SIGNATURE);

/** The header of a suspend image's record, by its name in the table; `length` bytes must follow. */
export function writeXapiHeader(sink: Sink, name: string, length: number): void {
  const layout = XAPI_BY_NAME.get(name);
  assert(layout, `a suspend image has a record ${name}`);
  assert(length <= XAPI_RECORD_BYTES_MAX, "a suspend image's record is at most 128 MiB");
  writeFields(sink, XAPI_HEADER, { type: BigInt(layout.type), length: BigInt(length) });
}

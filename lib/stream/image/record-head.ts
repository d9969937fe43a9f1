// The header in front of a record and the padding behind it, as a writer makes them.

import { roundUp } from "../../base/index.ts";
import { type Layout, type Row, sizeOf, write } from "../../bytes/index.ts";
import { RECORD_HEADER } from "../libxl/index.ts";
import { XAPI_HEADER, XAPI_OLD_QEMU_HEAD, XAPI_OLD_QEMU_SIGNATURE } from "../xapi/index.ts";
import type { RecordLayer } from "./bodies.ts";

const RECORD_ALIGNMENT = 8;

export interface HeadFacts {
  readonly layer: RecordLayer;
  readonly type: number;
  readonly bodyBytes: number;
}

export function row<L extends Layout>(layout: L, values: Row<L>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeOf(layout));
  write(layout, new DataView(bytes.buffer), 0, values);
  return bytes;
}

/** undefined for a legacy record: its head is known to the walk alone. */
export function plainHead({ layer, type, bodyBytes }: HeadFacts): Uint8Array | undefined {
  if (layer === "legacy") return undefined;
  if (layer !== "xapi") return row(RECORD_HEADER, { type, body_length: bodyBytes });
  return row(XAPI_HEADER, { type: BigInt(type), length: BigInt(bodyBytes) });
}

/** In front of the QEMU record of the older suspend image: a signature and its length. */
export function oldQemuHead(bodyBytes: number): Uint8Array {
  const length = row(XAPI_OLD_QEMU_HEAD, { length: bodyBytes });
  return Uint8Array.of(...XAPI_OLD_QEMU_SIGNATURE, ...length);
}

export const paddingBytes = ({ layer, bodyBytes }: HeadFacts): number =>
  layer === "libxl" || layer === "libxc" ? roundUp(bodyBytes, RECORD_ALIGNMENT) - bodyBytes : 0;

export const sameBytes = (left: Uint8Array, right: Uint8Array | undefined): boolean =>
  right !== undefined && Buffer.compare(left, right) === 0;

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  return new Uint8Array(Buffer.concat(parts));
}

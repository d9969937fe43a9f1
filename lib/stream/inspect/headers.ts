// The fixed headers of a stream, field by field, from their layout tables.

import { hex } from "../../base/index.ts";
import { read } from "../../bytes/index.ts";
import { DOMAIN_HVM, DOMAIN_PV, OPTION_BIG_ENDIAN_MASK } from "../libxc/index.ts";
import { LEGACY_MASK } from "../libxl/index.ts";
import type { HeaderEvent, Piece } from "../walk/index.ts";
import { CONFIG_JSON_MASK, STREAM_V2_MASK } from "../xl/index.ts";
import type { InspectHeader } from "./report.ts";

/** A suspend image may hold several streams; a hostile one any number. */
const HEADERS_MAX = 64;

/** What the bits of a field mean, by header and field. */
const FLAGS: Readonly<Record<string, readonly (readonly [number, string])[]>> = {
  "save_header.mandatory_flags": [
    [CONFIG_JSON_MASK, "JSON config"],
    [STREAM_V2_MASK, "v2 stream"],
  ],
  "header.options": [
    [OPTION_BIG_ENDIAN_MASK, "big-endian"],
    [LEGACY_MASK, "converted from a legacy stream"],
  ],
  "image_header.options": [[OPTION_BIG_ENDIAN_MASK, "big-endian"]],
};

export class Headers {
  readonly list: InspectHeader[] = [];

  add({ layer, record, fileOffset, layout }: HeaderEvent, { view, at }: Piece): void {
    if (this.list.length >= HEADERS_MAX) return;
    const fields = Object.entries(read(layout, view, at)).map(([name, value]) => ({
      name,
      value: hex(value),
      meaning: meaningOf(`${record}.${name}`, Number(value)) ?? null,
    }));
    this.list.push({ layer, name: record, offset: fileOffset, fields });
  }
}

function meaningOf(field: string, value: number): string | undefined {
  const bits = FLAGS[field]?.filter(([mask]) => (value & mask) !== 0).map(([, name]) => name);
  if (bits !== undefined) return bits.length > 0 ? bits.join(", ") : "little-endian";
  switch (field) {
    case "domain_header.type":
      return value === DOMAIN_PV ? "x86 PV" : value === DOMAIN_HVM ? "x86 HVM or PVH" : undefined;
    case "domain_header.page_shift":
      return value < 32 ? `pages of ${2 ** value} bytes` : undefined;
    case "domain_header.xen_major":
      return value === 0 ? "converted from a legacy stream" : `Xen ${value}`;
    case "save_header.optional_data_len":
      return `${value} bytes`;
    default:
      return undefined;
  }
}

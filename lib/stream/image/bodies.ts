// How the body of each record is kept: derived from the layout tables, for both directions.

import { type Layout, sizeOf } from "../../bytes/index.ts";
import { HVM_PARAMS_HEAD, LIBXC } from "../libxc/index.ts";
import { LIBXL } from "../libxl/index.ts";
import { XAPI } from "../xapi/index.ts";

export type BodyPlan =
  /** The bytes, in a file. */
  | { readonly kind: "opaque" }
  /** A pfn list in the line, contents in the page log. */
  | { readonly kind: "pages" }
  /** The head's fields in the line; what stands behind them in a file. */
  | { readonly kind: "fields"; readonly head: Layout; readonly hasData: boolean }
  /** The head's fields and rows in a JSON file. `counted`: the head tells how many rows. */
  | {
      readonly kind: "table";
      readonly head: Layout;
      readonly row: Layout;
      readonly counted: boolean;
    }
  /** The head's fields in the line, the pairs in a JSON file. */
  | { readonly kind: "xenstore"; readonly head: Layout };

export type RecordLayer = "libxl" | "libxc" | "xapi" | "legacy";

/** Larger tables stay bytes: they are nothing to read. */
export const TABLE_BODY_BYTES_MAX = 64 * 1024;

const OPAQUE: BodyPlan = { kind: "opaque" };
const UNKNOWN_TYPE = /^type (0x[0-9a-f]{1,8})$/;

const LIBXC_BY_NAME = new Map(Object.values(LIBXC).map((row) => [row.name as string, row]));
const LIBXL_BY_NAME = new Map(Object.values(LIBXL).map((row) => [row.name as string, row]));
const XAPI_BY_NAME = new Map(XAPI.map((row) => [row.name, row]));

export function bodyPlan(layer: RecordLayer, record: string): BodyPlan {
  if (layer === "legacy") return record === "PAGE_BATCH" ? { kind: "pages" } : OPAQUE;
  if (layer === "libxl") {
    const layout = LIBXL_BY_NAME.get(record);
    if (layout === undefined) return OPAQUE;
    if (layout === LIBXL.emulatorXenstoreData) return { kind: "xenstore", head: layout.head };
    return { kind: "fields", head: layout.head, hasData: layout.tail === "bytes" };
  }
  const layout = layer === "libxc" ? LIBXC_BY_NAME.get(record) : undefined;
  if (layout === undefined) return OPAQUE;
  const { head, tail } = layout;
  switch (tail.kind) {
    case "pages":
      return { kind: "pages" };
    case "rows":
      return { kind: "table", head, row: tail.row, counted: layout.head === HVM_PARAMS_HEAD };
    default:
      return { kind: "fields", head, hasData: tail.kind === "bytes" };
  }
}

/** The plan for a body of this size: opaque where the size does not fit the layout. */
export function bodyPlanFor(layer: RecordLayer, record: string, bodyBytes: number): BodyPlan {
  const plan = bodyPlan(layer, record);
  if (plan.kind === "opaque" || plan.kind === "pages") return plan;
  const rest = bodyBytes - sizeOf(plan.head);
  if (rest < 0) return OPAQUE;
  if (plan.kind === "fields") return rest > 0 && !plan.hasData ? OPAQUE : plan;
  if (bodyBytes > TABLE_BODY_BYTES_MAX) return OPAQUE;
  return plan.kind === "table" && rest % sizeOf(plan.row) !== 0 ? OPAQUE : plan;
}

/** The type number of a record by its name; undefined where there is none of that name. */
export function typeOf(layer: RecordLayer, record: string): number | undefined {
  const unknown = UNKNOWN_TYPE.exec(record)?.[1];
  if (layer === "xapi") return XAPI_BY_NAME.get(record)?.type;
  if (layer === "legacy") return 0; // Its head is kept as it is.
  const layout = (layer === "libxc" ? LIBXC_BY_NAME : LIBXL_BY_NAME).get(record);
  return layout?.type ?? (unknown === undefined ? undefined : Number(unknown));
}

// ---- Pairs of xenstore -----------------------------------------------------------------------

/** key NUL value NUL ...; undefined for bytes that are not such pairs of text. */
export function pairsOf(bytes: Uint8Array): [string, string][] | undefined {
  if (bytes.byteLength > 0 && bytes.at(-1) !== 0) return undefined;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined; // Not UTF-8.
  }
  const words = text.split("\0").slice(0, -1);
  if (words.length % 2 !== 0) return undefined;
  return Array.from({ length: words.length / 2 }, (_, pair) => {
    return [words[pair * 2]!, words[pair * 2 + 1]!];
  });
}

export const pairsBytes = (pairs: readonly (readonly [string, string])[]): Uint8Array =>
  new TextEncoder().encode(pairs.map(([key, value]) => `${key}\0${value}\0`).join(""));

// ---- Names of files --------------------------------------------------------------------------

const BASE_NAMES: Readonly<Record<string, string>> = {
  EMULATOR_CONTEXT: "emulator",
  EMULATOR_XENSTORE_DATA: "xenstore",
};
const VCPU_NAME = /^X86_PV_VCPU_([A-Z]+)$/;
/** Beyond it an id is not worth a name of its own: libxc refuses it. */
const VCPU_ID_MAX = 8191;

/** "emulator", "hvm-params", "vcpu-0-basic": without a number and an ending. */
export function baseName(record: string, vcpu: number | undefined): string {
  const part = VCPU_NAME.exec(record)?.[1]?.toLowerCase();
  if (part !== undefined && vcpu !== undefined && vcpu <= VCPU_ID_MAX)
    return `vcpu-${vcpu}-${part}`;
  const plain = record.replace(/^X86_(PV_)?/, "").toLowerCase();
  return BASE_NAMES[record] ?? plain.replaceAll(/[^a-z0-9]+/g, "-");
}

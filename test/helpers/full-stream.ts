// Streams with contents for every page: larger than the pipes that a relay has on the way.

import { LIBXC } from "../../lib/stream/libxc/index.ts";
import { CONFIG_JSON_MASK, STREAM_V2_MASK } from "../../lib/stream/xl/index.ts";
import { type GuestSpec, libxcRecords, libxlRecords } from "./stream-builder.ts";
import { encode, type PlanRecord, recordNamed, type StreamPlan } from "./stream-plan.ts";
import { guestConfig, pageData, xlRecords } from "./stream-records.ts";

const BATCH_PAGES = 256;
const NOTAB = 0;
/** Where the first entry of the pfn list begins, and where in it the type stands. */
const PAGE_DATA_HEAD_BYTES = 8;
const TYPE_AT = 7;

/** The same records, with batches of pages that all carry contents. */
function filled(records: readonly PlanRecord[], pages: number): PlanRecord[] {
  const isBatch = ({ name }: PlanRecord): boolean => name === LIBXC.pageData.name;
  const first = records.findIndex(isBatch);
  const batches: PlanRecord[] = [];
  for (let pfn = 0; pfn < pages; pfn += BATCH_PAGES) {
    const count = Math.min(BATCH_PAGES, pages - pfn);
    batches.push(
      pageData(Array.from({ length: count }, (_, index) => ({ pfn: pfn + index, type: NOTAB }))),
    );
  }
  const rest = records.filter((record) => !isBatch(record));
  return [...rest.slice(0, first), ...batches, ...rest.slice(first)];
}

/** A bare libxc stream: what a save helper writes. */
export const fullLibxcStream = (spec: GuestSpec): Uint8Array =>
  encode({ records: filled(libxcRecords(spec), spec.pages) }).bytes;

/** What xl save writes. */
export function fullXlStream(spec: GuestSpec): Uint8Array {
  const head = xlRecords(guestConfig(spec.guest), CONFIG_JSON_MASK | STREAM_V2_MASK);
  const records = filled(libxlRecords(spec), spec.pages);
  return encode({ records: [...head, ...records] }).bytes;
}

/** A page of a type that Xen does not define, which every reader refuses. */
export function withBadPage(plan: StreamPlan): StreamPlan {
  const { body } = recordNamed(plan, LIBXC.pageData.name);
  body[PAGE_DATA_HEAD_BYTES + TYPE_AT] = 0x50;
  return plan;
}

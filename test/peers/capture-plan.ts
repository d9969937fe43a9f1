// A real capture as a list of records, cut down to a few pages a batch: small enough to be damaged
// hundreds of times, and still what a real toolstack wrote.

import { MemorySource, type Place } from "../../lib/bytes/index.ts";
import { verifyStream } from "../../lib/stream/index.ts";
import { LIBXC, PAGE_BYTES, PAGE_TYPES, TYPE_SHIFT } from "../../lib/stream/libxc/index.ts";
import { bare, planRecord, type PlanRecord, type StreamPlan } from "../helpers/stream-plan.ts";

/** Batches that are kept, and the pages that are kept of each. */
const BATCHES_KEPT = 3;
const PAGES_KEPT = 4;

/** The capture must be a good xl save file. */
export function capturePlan(bytes: Uint8Array): StreamPlan {
  const starts: (Place & { readonly type?: number })[] = [];
  const report = verifyStream(new MemorySource("capture", bytes), {
    format: "xl",
    compression: undefined,
    limit: 10,
    onProgress: () => undefined,
    listener: {
      header: (header) => starts.push(header),
      record: (record) => starts.push(record),
    },
  });
  const records: PlanRecord[] = [];
  let batches = 0;
  for (const [index, { layer, record: name, fileOffset, type }] of starts.entries()) {
    const end = starts[index + 1]?.fileOffset ?? report.end_offset;
    if (type === undefined || layer === "xl") {
      records.push(bare(layer, name, bytes.slice(fileOffset, end)));
      continue;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset + fileOffset);
    const body = bytes.slice(fileOffset + 8, fileOffset + 8 + view.getUint32(4, true));
    if (name !== LIBXC.pageData.name) {
      records.push(planRecord({ layer, name, framing: "record", type }, body));
    } else if (batches++ < BATCHES_KEPT) {
      records.push(planRecord({ layer, name, framing: "record", type }, fewPages(body)));
    }
  }
  return { records };
}

/** The first pages of a batch, with their contents. */
function fewPages(body: Uint8Array): Uint8Array {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const count = view.getUint32(0, true);
  const kept = Math.min(count, PAGES_KEPT);
  let dataPages = 0;
  for (let index = 0; index < kept; index++) {
    const type = view.getUint32(8 + index * 8 + 4, true) >>> TYPE_SHIFT;
    if (PAGE_TYPES[type]!.hasData) dataPages++;
  }
  const contentsAt = 8 + count * 8;
  const few = new Uint8Array(8 + kept * 8 + dataPages * PAGE_BYTES);
  few.set(body.subarray(0, 8 + kept * 8));
  new DataView(few.buffer).setUint32(0, kept, true);
  few.set(body.subarray(contentsAt, contentsAt + dataPages * PAGE_BYTES), 8 + kept * 8);
  return few;
}

// xenopsd suspend images as plans: the structured layout with a record of every type, and the older
// one.

import { row } from "./stream-plan.ts";
import { ascii, bare, planRecord, type PlanRecord } from "./stream-plan.ts";
import {
  XAPI,
  XAPI_OLD_QEMU_HEAD,
  XAPI_OLD_QEMU_SIGNATURE,
  XAPI_OLD_SIGNATURE,
  XAPI_SIGNATURE,
} from "../../lib/stream/xapi/index.ts";
import { qemuState } from "./stream-records.ts";

/** A header and its record, by the name in the table. */
export function suspendRecord(name: string, body: Uint8Array): PlanRecord {
  const layout = XAPI.find((candidate) => candidate.name === name);
  if (layout === undefined) throw new Error(`xenopsd has no record ${name}`);
  return planRecord({ layer: "xapi", name, framing: "suspend", type: layout.type }, body);
}

const NOTHING = new Uint8Array(0);
const XENOPS = "((time 20260801T00:00:00Z)(word_size 64)(xs_subtree((a b)(c d))))";
const HEADERS = { libxc: "LIBXC", libxl: "LIBXL", legacy: "LIBXC_LEGACY" } as const;

/** Every type of record around one stream. */
export const suspendRecords = (
  content: keyof typeof HEADERS,
  stream: readonly PlanRecord[],
): PlanRecord[] => [
  bare("xapi", "signature", XAPI_SIGNATURE),
  suspendRecord("XENOPS", ascii(XENOPS)),
  suspendRecord(HEADERS[content], NOTHING),
  ...stream,
  suspendRecord("QEMU_TRAD", ascii("opaque")),
  suspendRecord("QEMU_XEN", qemuState()),
  suspendRecord("DEMU", ascii("vgpu")),
  suspendRecord("VARSTORED", ascii("variables")),
  suspendRecord("SWTPM0", ascii("tpm")),
  suspendRecord("SWTPM", ascii("vtpm")),
  suspendRecord("END_OF_IMAGE", NOTHING),
];

/** The stream at once behind the signature, and for HVM the QEMU record behind it. */
export function suspendOldRecords(stream: readonly PlanRecord[], hasQemu: boolean): PlanRecord[] {
  const state = qemuState();
  const qemu = [
    bare("xapi", "qemu_signature", XAPI_OLD_QEMU_SIGNATURE),
    bare("xapi", "qemu_header", row(XAPI_OLD_QEMU_HEAD, { length: state.byteLength })),
    bare("xapi", "QEMU_XEN", state),
  ];
  return [bare("xapi", "signature", XAPI_OLD_SIGNATURE), ...stream, ...(hasQemu ? qemu : [])];
}

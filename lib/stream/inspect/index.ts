// What other rooms may use of inspect.
export { bitNames, FEATURE_REGISTERS } from "./features.ts";
export { GuestState } from "./guest-state.ts";
export { inspectStream, withDamage } from "./inspect.ts";
export type { InspectOptions } from "./inspect.ts";
export type { OnPage, PageRange } from "./page-versions.ts";
export { RECORD_KEPT_BYTES } from "./record-detail.ts";
export type { OnDetailPiece } from "./record-detail.ts";
export { InspectReportSchema } from "./report.ts";
export type { InspectIteration, InspectMemoryMap, InspectReport } from "./report.ts";
export type { InspectVcpu, PageVersion, RecordDetail } from "./report-state.ts";

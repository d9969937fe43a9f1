// What other rooms may use of squash.
export { BATCH_PFNS_MAX, PageBatch } from "./page-batch.ts";
export { SquashReportSchema } from "./report.ts";
export type { SquashReport } from "./report.ts";
export { squashStream } from "./squash.ts";

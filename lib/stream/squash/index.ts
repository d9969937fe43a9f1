// What other rooms may use of squash.
export { SquashReportSchema } from "./report.ts";
export type { SquashReport } from "./report.ts";
export { squashStream } from "./squash.ts";

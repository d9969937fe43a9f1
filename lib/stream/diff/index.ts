// What other rooms may use of diff.
export { compareSides, readSideA, readSideB } from "./diff.ts";
export type { Side } from "./diff.ts";
export { DiffReportSchema } from "./report.ts";
export type { DiffReport, StateDifference } from "./report.ts";

// What other rooms may use of inspect.
export { InspectReportSchema } from "./report.ts";
export type { InspectIteration, InspectMemoryMap, InspectReport } from "./report.ts";

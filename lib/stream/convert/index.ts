// What other rooms may use of convert.
export { convertStream } from "./convert.ts";
export type { ConvertOptions } from "./convert.ts";
export { CONVERT_DIFFERENCES, convertDifferenceDocs } from "./differences.ts";
export { LegacyListing } from "./listing.ts";
export { ConvertReportSchema } from "./report.ts";
export type { ConvertReport } from "./report.ts";

// What other rooms may use of verify.
export { FindingLog } from "./finding-log.ts";
export { FindingSchema, VerifyReportSchema } from "./report.ts";
export { findingMark, FindingMarkSchema, VerifyMarkSchema } from "./mark.ts";
export type { VerifyMark } from "./mark.ts";
export type { VerifyReport } from "./report.ts";
export { reportFinding, verifyStream, withError } from "./verify.ts";
export type { VerifyListener, VerifyOptions } from "./verify.ts";

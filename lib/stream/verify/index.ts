// What other rooms may use of verify.
export { FindingSchema, VerifyReportSchema } from "./report.ts";
export type { VerifyReport } from "./report.ts";
export { verifyStream, withError } from "./verify.ts";
export type { VerifyListener, VerifyOptions } from "./verify.ts";

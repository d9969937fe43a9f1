// What other rooms may use of snapshot.
export { createGroup, planGroup } from "./create.ts";
export type { Conditions, Created, Planned } from "./create.ts";
export { KINDS } from "./group-plan.ts";
export type { CreatePlan, Kind, PlannedDisk, PlannedEmulator } from "./group-plan.ts";
export { groupFromFile, groupFromWords } from "./group-spec.ts";
export type { GroupSpec } from "./group-spec.ts";
export { listGroup, ListReportSchema } from "./list.ts";
export type { ListedImage, ListReport } from "./list.ts";
export type { CreateOptions } from "./make-plan.ts";
export { timeName } from "./names.ts";
export { recoverAll } from "./recover.ts";
export type { Recovered } from "./recover.ts";
export {
  createReport,
  CreateReportSchema,
  planReport,
  PlanReportSchema,
  recoverReport,
  RecoverReportSchema,
} from "./report.ts";
export type { CreateReport, PlanReport, RecoverReport } from "./report.ts";

// What other rooms may use of snapshot.
export { createGroup, planGroup } from "./create.ts";
export type { Conditions, Created, Planned } from "./create.ts";
export { deleteGroup } from "./delete.ts";
export type { DeleteOptions } from "./delete-plan.ts";
export { KINDS, MERGES } from "./group-plan.ts";
export type { CreatePlan, Kind, PlannedDisk, PlannedEmulator } from "./group-plan.ts";
export { groupFromFile, groupFromWords } from "./group-spec.ts";
export type { GroupSpec } from "./group-spec.ts";
export { listGroup, ListReportSchema } from "./list.ts";
export type { ListedImage, ListReport } from "./list.ts";
export type { CreateOptions } from "./make-plan.ts";
export { timeName } from "./names.ts";
export { recoverAll } from "./recover.ts";
export type { Recovered } from "./recover.ts";
export { revertGroup } from "./revert.ts";
export type { RevertOptions } from "./revert.ts";
export {
  createReport,
  CreateReportSchema,
  deleteReport,
  DeleteReportSchema,
  planReport,
  PlanReportSchema,
  recoverReport,
  RecoverReportSchema,
  revertReport,
  RevertReportSchema,
} from "./report.ts";
export type {
  CreateReport,
  DeleteReport,
  PlanReport,
  RecoverReport,
  RevertReport,
} from "./report.ts";

// What other rooms may use of handover.
export { carriedFd } from "./carried.ts";
export { claimHandover } from "./in-place.ts";
export type { Claimed } from "./in-place.ts";
export { HANDOVER_VARIABLE, LAUNCHER_COMMAND, PROBE_COMMAND, runLauncher } from "./launcher.ts";
export type { ProbeAnswer } from "./launcher.ts";
export type { SelfCommand } from "./launch.ts";
export { heirStep, holderStep, WORD } from "./machine.ts";
export type {
  HeirEffect,
  HeirEvent,
  HeirState,
  HolderEffect,
  HolderEvent,
  HolderState,
} from "./machine.ts";
export { ORDER_ENTRIES, orderedBy } from "./order.ts";
export { PROTOCOL } from "./messages.ts";
export { continueAtSeam } from "./seam-heir.ts";
export type { SeamHeir } from "./seam-heir.ts";
export { Seams } from "./seams.ts";
export type { SeamProgram, SeamSettings } from "./seams.ts";
export { PollWaiter } from "./poll-waiter.ts";
export { NO_REPORT } from "./survivor.ts";
export type {
  Adoption,
  CarriedDescriptor,
  Counts,
  Digest,
  Heir,
  Heirs,
  Outcome,
  ProbeStep,
  ProbeTalk,
  Snapshot,
  Survivor,
  Touch,
  UpdateReport,
  Way,
} from "./survivor.ts";
export { takeOver } from "./take-over.ts";
export type { TakenOver, TakeOverOptions } from "./take-over.ts";
export { ALREADY_ACTIVE, Updater } from "./update.ts";
export type { UpdateEnd, UpdateOrder, UpdaterOptions } from "./update.ts";
export { loopWaiter } from "./waiter.ts";
export type { Deadline, Waiter } from "./waiter.ts";

// What other rooms may use of checkpoint: checkpointed streams received, kept and given back.
export { CommitLine } from "./commit-line.ts";
export { failOver } from "./failover.ts";
export type { FailoverResult } from "./failover.ts";
export { isBeingWritten } from "./folder.ts";
export type { PausedReceiver } from "./keeper.ts";
export type { RestorePoint } from "./points.ts";
export { scanFolder } from "./points.ts";
export { pruneFolder } from "./prune.ts";
export { goOnReceiving } from "./receive-handover.ts";
export type { GoOnOptions } from "./receive-handover.ts";
export { RECEIVE_KIND, RECEIVE_STATE_VERSION } from "./receive-state.ts";
export { receiveStream } from "./receive.ts";
export type { Companion, ReceiveListener, ReceiveOptions, ReceiveResult } from "./receiver.ts";
export {
  CheckpointListSchema,
  CheckpointPruneSchema,
  CheckpointReceiveSchema,
  CheckpointRestoreSchema,
  CheckpointVerifySchema,
  listReport,
  pointReport,
} from "./report.ts";
export type {
  CheckpointList,
  CheckpointPrune,
  CheckpointReceive,
  CheckpointRestore,
  CheckpointVerify,
  RestorePointReport,
} from "./report.ts";
export { openPoint, restorePoint } from "./restore.ts";
export type { OpenPoint } from "./restore.ts";
export { systemClock } from "./retention.ts";
export type { Clock, Retention } from "./retention.ts";
export { openSender, parseListenAddress, sendBanner } from "./sender.ts";
export type { Sender, SenderPlace } from "./sender.ts";
export type { Duty } from "./stream-source.ts";
export { COMPACT_SLACK_BYTES } from "./stream-writer.ts";
export type { Durability } from "./stream-writer.ts";
export { verifyFolder } from "./verify.ts";
export type { FolderCheck } from "./verify.ts";

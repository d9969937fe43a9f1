// What other rooms may use of checkpoint: checkpointed streams received, kept and given back.
export type { PausedReceiver } from "./keeper.ts";
export type { RestorePoint } from "./points.ts";
export { scanFolder } from "./points.ts";
export { receiveStream } from "./receive.ts";
export type { ReceiveListener, ReceiveOptions, ReceiveResult } from "./receive.ts";
export { openPoint, restorePoint } from "./restore.ts";
export { systemClock } from "./retention.ts";
export type { Clock, Retention } from "./retention.ts";
export type { Duty } from "./stream-source.ts";
export type { Durability } from "./stream-writer.ts";

// What other rooms may use of sys.
export { borrow, reserve } from "./arena.ts";
export type { Loan, Region } from "./arena.ts";
export {
  adviseDrop,
  adviseRandom,
  currentOffset,
  duplicate,
  Fd,
  isNonBlocking,
  kindOf,
  openForReading,
  openForWriting,
  pathOf,
  readAt,
  readFully,
  sizeBySeeking,
  statOf,
} from "./file.ts";
export type { FileKind } from "./file.ts";
export { mapWindow, Window, WINDOW_BYTES_MAX } from "./mapping.ts";
export type { MapResult } from "./mapping.ts";
export { enlargePipe, makePipe, openNull, spliceFully } from "./pipe.ts";
export type { Pipe, SpliceResult } from "./pipe.ts";
export { waitReadable, waitWritable } from "./poll.ts";

// What other rooms may use of the walk.
export type { LegacyHints } from "./cursor.ts";
export type {
  Checkpoint,
  HeaderEvent,
  LegacyGuest,
  PfnList,
  Piece,
  StreamRecord,
  Visitor,
  Want,
} from "./visitor.ts";
export { WalkMarkSchema } from "./mark.ts";
export type { WalkMark } from "./mark.ts";
export { walk } from "./walk.ts";
export type { Trailing, WalkEnd, WalkOptions } from "./walk.ts";

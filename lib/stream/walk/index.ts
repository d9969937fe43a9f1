// What other rooms may use of the walk.
export type {
  Checkpoint,
  HeaderEvent,
  PfnList,
  Piece,
  StreamRecord,
  Visitor,
  Want,
} from "./visitor.ts";
export { walk } from "./walk.ts";
export type { Trailing, WalkEnd, WalkOptions } from "./walk.ts";

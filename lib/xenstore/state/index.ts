// What other rooms and the rest of xenstore may use of state.
export { decodeState, detectStateFormat, DUMP_BYTES_MAX, encodeState } from "./codec.ts";
export type { Decoded } from "./codec.ts";
export { compareStates } from "./compare.ts";
export type { CompareOptions, StateDifference } from "./compare.ts";
export { createStateBuilder } from "./builder.ts";
export type { StateBuilder } from "./builder.ts";
export { documentOf, permissionText } from "./json.ts";
export { StateDocumentSchema } from "./json-schema.ts";
export type { StateDocument } from "./json-schema.ts";
export { describeLoss, losses, STATE_FORMATS, STREAM_VARIANTS } from "./losses.ts";
export type { Loss, StateFormat, StateTarget } from "./losses.ts";
export { ABSENT_GENERATION, channelName, EMPTY_STATE } from "./model.ts";
export type {
  Access,
  Permission,
  Quota,
  RingChannel,
  StateConnection,
  StateDomain,
  StateNode,
  StateTransaction,
  StateWatch,
  StoreState,
  TransactionNode,
  UnknownPart,
} from "./model.ts";
export type { Problem } from "./problems.ts";

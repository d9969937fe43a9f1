// What other rooms may use of xenstore.
export {
  DOMID,
  FEATURE_MASK,
  HEADER_BYTES,
  LOG_SWITCH,
  OPERATION,
  PATH_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  QUOTAS,
} from "./limits.ts";
export type { QuotaName } from "./limits.ts";
export type {
  ControlAnswer,
  ControlRequest,
  ErrorName,
  Host,
  Outbox,
  StoreMemory,
} from "./ports.ts";
export { StoreDamagedError } from "./arena.ts";
export { changePortOf, isArena } from "./format.ts";
export { ARENA_VERSION } from "./layout.ts";
export { requestBytes } from "./dispatch.ts";
export { adoptStore, awaitStore, continueStore, formatStore } from "./open-store.ts";
export { isArenaFile, stateOfArena } from "./state-of.ts";
export { storeFrom } from "./store-from.ts";
export type { MadeStore } from "./store-from.ts";
export { OUTCOME } from "./store.ts";
export type {
  ConnectionInfo,
  DomainInfo,
  Hold,
  Outcome,
  StoreCounts,
  StoreOptions,
  XenStore,
} from "./store.ts";
export {
  ABSENT_GENERATION,
  channelName,
  compareStates,
  decodeState,
  describeLoss,
  detectStateFormat,
  documentOf,
  DUMP_BYTES_MAX,
  EMPTY_STATE,
  encodeState,
  losses,
  permissionText,
  STATE_FORMATS,
  StateDocumentSchema,
  STREAM_VARIANTS,
} from "./state/index.ts";
export type {
  Access,
  Decoded,
  Loss,
  Permission,
  Quota,
  StateConnection,
  StateDifference,
  StateDocument,
  StateDomain,
  StateFormat,
  StateNode,
  StateTarget,
  StateTransaction,
  StateWatch,
  StoreState,
  TransactionNode,
  UnknownPart,
} from "./state/index.ts";

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
export { OUTCOME } from "./store.ts";
export type {
  AdoptStore,
  ConnectionInfo,
  DomainInfo,
  FormatStore,
  Hold,
  StoreCounts,
  StoreOptions,
  XenStore,
} from "./store.ts";

// What other rooms may use of store-client.
export { StoreClient } from "./client.ts";
export { textOf } from "./connection.ts";
export type { Answer, ConnectOptions, StoreEvent } from "./connection.ts";
export { load } from "./load.ts";
export type { Loaded, LoadOptions, LoadStep } from "./load.ts";
export { terminated } from "./messages.ts";
export type { OperationName } from "./messages.ts";
export {
  isBelow,
  listNodes,
  stateOfNodes,
  TRANSACTION_NODES_MAX,
  walk,
  WALK_ATTEMPTS,
} from "./walk.ts";
export type { Walked, WalkOptions } from "./walk.ts";

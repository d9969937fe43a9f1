// What other rooms may use of store-daemon.
export { EVENT_TIMEOUT_MS } from "./event-timeout.ts";
export { FileHypervisor } from "./file-hypervisor.ts";
export { type DomainCondition, type Hypervisor, noHypervisor } from "./hypervisor.ts";
export { runFolder, socketPath } from "./listen-socket.ts";
export { STORE_KIND, STORE_STATE_VERSION } from "./live-survivor.ts";
export type { StartedAs, StoreOrder } from "./live-update.ts";
export type { ClientParts, DaemonParts } from "./parts.ts";
export { runService } from "./service.ts";
export type { ServiceOptions } from "./service.ts";
export { stockDump } from "./stock-dump.ts";
export type { StockEnd } from "./stock-update.ts";
export type { StockDump, StockKind } from "./stock-dump.ts";
export { StoreStatisticsSchema } from "./statistics.ts";
export type { StoreStatistics } from "./statistics.ts";
export { StoreDaemon } from "./store-daemon.ts";
export type { DaemonOptions } from "./daemon-options.ts";
export type { AccessLogOptions, TraceOptions } from "./traces.ts";
export { XenHypervisor } from "./xen-hypervisor.ts";

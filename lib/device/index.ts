// What other rooms may use of device.
export { socketUse } from "./back-end-process.ts";
export { connectControl } from "./control-client.ts";
export { ProxyStatus, SwapReport } from "./control-messages.ts";
export { DeviceInspectSchema, inspectDeviceState } from "./inspect.ts";
export type { DeviceInspect, InspectedFlow } from "./inspect.ts";
export { FEATURE_BITS } from "./messages.ts";
export { runProxy } from "./proxy-service.ts";
export { PROXY_KIND, PROXY_STATE_VERSION } from "./proxy-survivor.ts";
export type { ProxyEvent } from "./proxy.ts";
export { DeviceTransferSchema } from "./report.ts";
export type { DeviceTransfer } from "./report.ts";
export { RepairHelper } from "./repair-helper.ts";
export type { RepairEvent } from "./repair-helper.ts";
export { StateInFile } from "./state-bytes.ts";
export { keepState, OWNER_ONLY, StateFile } from "./state-file.ts";
export { copyState, loadState, saveState } from "./transfer.ts";
export type { LoadSummary, StateSummary, TransferOptions } from "./transfer.ts";

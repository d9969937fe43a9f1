// What other rooms may use of hook.
export { parseHelperCall } from "./helper-call.ts";
export { AFTERWARDS, HOOK_KINDS } from "./kinds.ts";
export type { HookKind } from "./kinds.ts";
export {
  LIBVIRT_HEADER_BYTES,
  managedSavePath,
  parseLibvirtEvent,
  streamOffset,
} from "./libvirt.ts";
export { hookStatus, installedProgram, installHook, removeHook } from "./place.ts";
export type { ItemStatus, Place } from "./place.ts";
export { findRealHelper } from "./real-helper.ts";
export { becomeHelper, superviseHelper, WORKER_STATUS } from "./save-helper.ts";
export type { HelperEnd, OnBadStream } from "./save-helper.ts";
export { relayForHelper } from "./save-worker.ts";
export { verifyStoredImage } from "./stored-image.ts";
export { describeVmEvent, parseVmEvent } from "./xapi-vm.ts";
export { failureResponse, parsePluginCall, successResponse } from "./xml-rpc.ts";

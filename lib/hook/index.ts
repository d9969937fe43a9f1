// What other rooms may use of hook.
export { HELPER_FIRST_WORDS, parseHelperCall } from "./helper-call.ts";
export type { HelperCall } from "./helper-call.ts";
export { findRealHelper, REAL_HELPER_VARIABLE } from "./real-helper.ts";
export { becomeHelper, superviseHelper, WORKER_STATUS } from "./save-helper.ts";
export type { HelperEnd, OnBadStream, WorkerSettings } from "./save-helper.ts";
export { relayForHelper } from "./save-worker.ts";

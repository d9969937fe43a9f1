// What other rooms may use of device.
export { RepairHelper } from "./repair-helper.ts";
export type { RepairEvent } from "./repair-helper.ts";

// Names of HVM parameters by index (xen/include/public/hvm/params.h). Gaps are obsolete numbers.

import { assert } from "../../base/index.ts";

const NAMES: readonly (readonly [number, readonly string[]])[] = [
  [0, ["CALLBACK_IRQ", "STORE_PFN", "STORE_EVTCHN"]],
  [4, ["PAE_ENABLED", "IOREQ_PFN", "BUFIOREQ_PFN"]],
  [9, ["VIRIDIAN", "TIMER_MODE", "HPET_ENABLED", "IDENT_PT", "DM_DOMAIN", "ACPI_S_STATE"]],
  [15, ["VM86_TSS", "VPT_ALIGN", "CONSOLE_PFN", "CONSOLE_EVTCHN", "ACPI_IOPORTS_LOCATION"]],
  [20, ["MEMORY_EVENT_CR0", "MEMORY_EVENT_CR3", "MEMORY_EVENT_CR4", "MEMORY_EVENT_INT3"]],
  [24, ["NESTEDHVM", "MEMORY_EVENT_SINGLE_STEP", "BUFIOREQ_EVTCHN"]],
  [27, ["PAGING_RING_PFN", "MONITOR_RING_PFN", "SHARING_RING_PFN", "MEMORY_EVENT_MSR"]],
  [31, ["TRIPLE_FAULT_REASON", "IOREQ_SERVER_PFN", "NR_IOREQ_SERVER_PAGES"]],
  [34, ["VM_GENERATION_ID_ADDR", "ALTP2M", "X87_FIP_WIDTH", "VM86_TSS_SIZED", "MCA_CAP"]],
];
const BY_INDEX = new Map(
  NAMES.flatMap(([first, names]) => names.map((name, index) => [first + index, name] as const)),
);
assert(BY_INDEX.get(38) === "MCA_CAP", "the last known parameter has number 38");

export const hvmParamName = (index: number): string | undefined => BY_INDEX.get(index);

/** CALLBACK_IRQ, STORE_PFN, IOREQ_PFN and BUFIOREQ_PFN, as legacy streams carry them. */
export const HVM_PARAM_STORE_PFN = 1;
export const HVM_PARAM_IOREQ_PFN = 5;
export const HVM_PARAM_BUFIOREQ_PFN = 6;

const CALLBACK_KINDS = ["GSI", "PCI INTx", "vector"] as const;

/** What the value of a parameter says; undefined where it speaks for itself. */
export function hvmParamMeaning(index: number, value: bigint): string | undefined {
  if (index === 4) return value === 0n ? "off" : "on";
  if (index !== 0) return undefined;
  const kind = CALLBACK_KINDS[Number(value >> 56n)];
  return kind === undefined ? undefined : `${kind} 0x${(value & 0xffff_ffffn).toString(16)}`;
}

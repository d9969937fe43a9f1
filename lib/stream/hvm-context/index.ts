// What other rooms may use of the HVM context format.
export {
  BODY_BYTES_MAX,
  CPU,
  CPU_TYPECODE,
  cpuLayout,
  DESCRIPTOR,
  END_TYPECODE,
  FPU_REGS_BYTES,
  HEADER,
  HEADER_TYPECODE,
  MSR_ENTRY,
  MSR_HEAD,
  typeLayout,
  TYPES,
  VCPUS_MAX,
  XSAVE_HEAD,
  XSAVE_HEADER,
} from "./layout.ts";
export type { BodySize, TypeLayout } from "./layout.ts";
export { DEVICE_FIELDS, IOAPIC_ENTRIES_AT, IOAPIC_MASKED_BIT, RTC_CMOS_BYTES } from "./devices.ts";
export type { DeviceField } from "./devices.ts";
export { HVM_CONTEXT_FINDINGS_MAX, parseHvmContext } from "./parse.ts";
export type { HvmContextEntry, HvmContextParser, HvmContextVisitor } from "./parse.ts";

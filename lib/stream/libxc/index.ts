// What other rooms may use of the libxc stream format.
export {
  HVM_PARAM_BUFIOREQ_PFN,
  HVM_PARAM_IOREQ_PFN,
  HVM_PARAM_STORE_PFN,
  hvmParamMeaning,
  hvmParamName,
} from "./hvm-params.ts";
export {
  CPUID_LEAF,
  DOMAIN_HEADER,
  DOMAIN_HVM,
  DOMAIN_PV,
  HVM_PARAM,
  HVM_PARAMS_HEAD,
  IMAGE_HEADER,
  IMAGE_ID,
  IMAGE_MARKER,
  isOptionalType,
  LIBXC,
  LIBXC_RECORD_BYTES_MAX,
  libxcRecordOf,
  MSR_ENTRY,
  OPTION_BIG_ENDIAN_MASK,
  P2M_FRAMES_HEAD,
  PAGE_BYTES,
  PAGE_DATA_HEAD,
  PV_INFO,
  TSC_INFO,
  VCPU_BASIC_BYTES,
  VCPU_HEAD,
  VCPU_MSR,
  VCPU_XSAVE_BYTES_MIN,
} from "./layout.ts";
export type { LibxcRecordLayout, Tail } from "./layout.ts";
export { PAGE_TYPES, PFN_HIGH_MASK, pfnOf, RESERVED_HIGH_MASK, TYPE_SHIFT } from "./page-types.ts";
export type { PageType } from "./page-types.ts";
export { VCPU_FLAGS, vcpuContextOf } from "./vcpu-context.ts";
export type { VcpuContextLayout } from "./vcpu-context.ts";

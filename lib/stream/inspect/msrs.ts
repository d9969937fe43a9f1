// Model-specific registers by name, and the named bits of those that the MSR policy carries.

import { hex } from "../../base/index.ts";
import { bitNames, parseNames } from "./features.ts";
import type { InspectMsr } from "./report-state.ts";

const NAMES: readonly (readonly [number, string])[] = [
  [0x10, "TSC"],
  [0x1b, "APIC_BASE"],
  [0x3b, "TSC_ADJUST"],
  [0x48, "SPEC_CTRL"],
  [0xce, "PLATFORM_INFO"],
  [0xcf, "CORE_CAPABILITIES"],
  [0x10a, "ARCH_CAPABILITIES"],
  [0x122, "TSX_CTRL"],
  [0x123, "MCU_OPT_CTRL"],
  [0x140, "MISC_FEATURES_ENABLES"],
  [0x174, "SYSENTER_CS"],
  [0x175, "SYSENTER_ESP"],
  [0x176, "SYSENTER_EIP"],
  [0x1a0, "MISC_ENABLE"],
  [0x277, "PAT"],
  [0x560, "RTIT_OUTPUT_BASE"],
  [0x561, "RTIT_OUTPUT_MASK"],
  [0x570, "RTIT_CTL"],
  [0x571, "RTIT_STATUS"],
  [0x572, "RTIT_CR3_MATCH"],
  [0x6a0, "U_CET"],
  [0x6a2, "S_CET"],
  [0x6a4, "PL0_SSP"],
  [0x6a5, "PL1_SSP"],
  [0x6a6, "PL2_SSP"],
  [0x6a7, "PL3_SSP"],
  [0x6a8, "INTERRUPT_SSP_TABLE"],
  [0xd90, "BNDCFGS"],
  [0xda0, "XSS"],
  [0xc000_0080, "EFER"],
  [0xc000_0081, "STAR"],
  [0xc000_0082, "LSTAR"],
  [0xc000_0083, "CSTAR"],
  [0xc000_0084, "SYSCALL_MASK"],
  [0xc000_0100, "FS_BASE"],
  [0xc000_0101, "GS_BASE"],
  [0xc000_0102, "SHADOW_GS_BASE"],
  [0xc000_0103, "TSC_AUX"],
  [0xc001_011f, "VIRT_SPEC_CTRL"],
  [0xc001_1019, "DR1_ADDRESS_MASK"],
  [0xc001_101a, "DR2_ADDRESS_MASK"],
  [0xc001_101b, "DR3_ADDRESS_MASK"],
  [0xc001_1027, "DR0_ADDRESS_MASK"],
];
const BY_INDEX = new Map(NAMES);

/** Named bits, by MSR. A bit without a name counts as "bit N" only here. */
const BITS: ReadonlyMap<number, ReadonlyMap<number, string>> = new Map([
  [0x48, parseNames("ibrs stibp ssbd 7: psfd 10: bhi_dis_s")],
  [0xce, parseNames("31: cpuid_faulting")],
  [
    0x10a,
    parseNames(
      "rdcl_no eibrs rsba skip_l1dfl intel_ssb_no mds_no if_pschange_mc_no tsx_ctrl taa_no " +
        "mcu_ctrl misc_pkg_ctrl energy_filtering doitm sbdr_ssdp_no fbsdp_no psdp_no 17: " +
        "fb_clear fb_clear_ctrl rrsba bhi_no xapic_status 23: ovrclk_status pbrsb_no gds_ctrl " +
        "gds_no rfds_no rfds_clear 62: its_no",
    ),
  ],
  [0x140, parseNames("cpuid_faulting")],
  [0xc000_0080, parseNames("sce 8: lme 10: lma nxe svme - ffxsr")],
]);

export function describeMsr(index: number, value: bigint): InspectMsr {
  const names = BITS.get(index);
  const features = names === undefined ? [] : bitNames(value, names);
  return { index, name: BY_INDEX.get(index) ?? null, value: hex(value), features };
}

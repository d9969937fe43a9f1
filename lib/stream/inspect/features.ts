// Names of CPU features: bits of CPUID leaves as Xen's public arch-x86/cpufeatureset.h and the
// vendors' manuals call them, and of XCR0.

/** A register of a leaf, and its bits as words of names: "-" for none, "N:" to go on at bit N. */
type FeatureWord = readonly [leaf: number, subleaf: number, register: Register, names: string];
export type Register = "eax" | "ebx" | "ecx" | "edx";

const LEAF_1_EDX =
  "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 psn clflush - ds " +
  "acpi mmx fxsr sse sse2 ss htt tm1 ia64 pbe";

const WORDS: readonly FeatureWord[] = [
  [0x1, 0, "edx", LEAF_1_EDX],
  [
    0x1,
    0,
    "ecx",
    "sse3 pclmulqdq dtes64 monitor dscpl vmx smx eist tm2 ssse3 cntxid sdbg fma cx16 xtpr pdcm - " +
      "pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline aesni xsave osxsave avx f16c " +
      "rdrand hypervisor",
  ],
  [
    0x7,
    0,
    "ebx",
    "fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp_excp_only smep bmi2 erms invpcid rtm pqm " +
      "no_fpu_sel mpx pqe avx512f avx512dq rdseed adx smap avx512_ifma - clflushopt clwb " +
      "proc_trace avx512pf avx512er avx512cd sha avx512bw avx512vl",
  ],
  [
    0x7,
    0,
    "ecx",
    "prefetchwt1 avx512_vbmi umip pku ospke waitpkg avx512_vbmi2 cet_ss gfni vaes vpclmulqdq " +
      "avx512_vnni avx512_bitalg tme avx512_vpopcntdq - la57 22: rdpid kl bld cldemote - movdiri " +
      "movdir64b enqcmd sgx_lc pks",
  ],
  [
    0x7,
    0,
    "edx",
    "- sgx_keys avx512_4vnniw avx512_4fmaps fsrm uintr - - avx512_vp2intersect srbds_ctrl " +
      "md_clear rtm_always_abort - tsx_force_abort serialize hybrid tsxldtrk - pconfig arch_lbr " +
      "cet_ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 ibrsb stibp l1d_flush arch_caps " +
      "core_caps ssbd",
  ],
  [
    0x7,
    1,
    "eax",
    "sha512 sm3 sm4 rao_int avx_vnni avx512_bf16 lass cmpccxadd 10: fzrm fsrs fsrcs 17: fred " +
      "lkgs wrmsrns nmi_src amx_fp16 hreset avx_ifma 26: lam msrlist",
  ],
  [0x7, 1, "ebx", "intel_ppin"],
  [
    0x7,
    1,
    "edx",
    "4: avx_vnni_int8 avx_ne_convert 8: amx_complex 10: avx_vnni_int16 14: prefetchi user_msr " +
      "17: uiret_uif cet_sss avx10",
  ],
  [0x7, 2, "edx", "intel_psfd ipred_ctrl rrsba_ctrl ddp_ctrl bhi_ctrl mcdt_no uc_lock_dis"],
  [0xd, 1, "eax", "xsaveopt xsavec xgetbv1 xsaves xfd"],
  [
    0x8000_0001,
    0,
    "edx",
    "fpu vme de pse tsc msr pae mce cx8 apic - syscall mtrr pge mca cmov pat pse36 - mp nx - " +
      "mmxext mmx fxsr ffxsr page1gb rdtscp - lm 3dnowext 3dnow",
  ],
  [
    0x8000_0001,
    0,
    "ecx",
    "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop " +
      "skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - dbext " +
      "perftsc perfctr_l3 monitorx addr_mask_ext",
  ],
  [0x8000_0007, 0, "edx", "8: itsc - efro"],
  [
    0x8000_0008,
    0,
    "ebx",
    "clzero irperf rstr_fp_err_ptrs invlpgb rdpru 8: mcommit wbnoinvd 12: ibpb int_wbinvd ibrs " +
      "amd_stibp ibrs_always stibp_always ibrs_fast ibrs_same_mode no_lmsl 23: amd_ppin amd_ssbd " +
      "virt_ssbd ssb_no cppc psfd btc_no ibpb_ret",
  ],
  [
    0x8000_0021,
    0,
    "eax",
    "no_nest_bp fs_gs_ns lfence_dispatch 6: nscb 8: auto_ibrs - amd_fsrs amd_fsrc 17: " +
      "cpuid_user_dis epsf fsrsc amd_prefetchi 24: eraps 27: sbpb ibpb_brtype srso_no srso_us_no " +
      "srso_msr_fix",
  ],
];

const XCR0_NAMES =
  "x87 sse avx bndregs bndcsr opmask zmm_hi256 hi16_zmm 9: pkru 17: tilecfg tiledata 62: lwp";

/** Names by bit. */
export function parseNames(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  let bit = 0;
  for (const word of text.split(" ")) {
    if (word.endsWith(":")) bit = Number.parseInt(word, 10);
    else names.set(bit++, word);
  }
  for (const [at, name] of names) if (name === "-") names.delete(at);
  return names;
}

export interface FeatureRegister {
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: Register;
  readonly names: ReadonlyMap<number, string>;
}

export const FEATURE_REGISTERS: readonly FeatureRegister[] = WORDS.map(
  ([leaf, subleaf, register, names]) => ({ leaf, subleaf, register, names: parseNames(names) }),
);

/** Names of the bits that are set; "bit N" where one has none. */
export function bitNames(value: bigint, names: ReadonlyMap<number, string>): string[] {
  const found: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((value & (1n << BigInt(bit))) !== 0n) found.push(names.get(bit) ?? `bit ${bit}`);
  }
  return found;
}

const XCR0 = parseNames(XCR0_NAMES);
/** The states that XCR0 switches on, by name. */
export const xsaveFeatures = (xcr0: bigint): string[] => bitNames(xcr0, XCR0);

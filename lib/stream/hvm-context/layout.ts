// HVM context: what Xen saves of an HVM or PVH guest's vcpus and emulated hardware (body of libxc
// HVM_CONTEXT). Xen's public headers hvm/save.h and arch-x86/hvm/save.h; little-endian.
//
//   entry     := u16 typecode, u16 instance, u32 length, then length bytes of body; no padding
//   context   := entry HEADER, entries in any order, entry END (length 0)
//
// Xen reads nothing behind END. A zero-extended body may be shorter than today's structure: Xen
// takes the missing bytes as zero, which is how bodies of older Xen versions are loaded.

import { assert } from "../../base/index.ts";
import { any, atLeast, exactly, offsetOf, oneOf, sizeOf } from "../../bytes/index.ts";
import { u16, u32, u64 } from "../../bytes/index.ts";
import type { Field, Layout } from "../../bytes/index.ts";

export type BodySize =
  /** Xen loads this size and no other. */
  | { readonly kind: "exact"; readonly bytes: number }
  /** Xen loads `leastBytes` to `bytes`; `older` are the sizes that some Xen version saved. */
  | {
      readonly kind: "zero_extended";
      readonly bytes: number;
      readonly older: readonly number[];
      readonly leastBytes: number;
    }
  /** At least this size; the rest depends on the features of the guest. */
  | { readonly kind: "at_least"; readonly bytes: number }
  /** A head with a count, then that many entries. */
  | { readonly kind: "counted"; readonly headBytes: number; readonly entryBytes: number };

export interface TypeLayout {
  readonly typecode: number;
  readonly name: string;
  readonly size: BodySize;
  /** The instance is a vcpu number. */
  readonly perVcpu: boolean;
  /** Instances that Xen can load are 0 to this number - 1. */
  readonly instances: number;
}

// ---- Limits ---------------------------------------------------------------------------------

/** HVM_MAX_VCPUS in Xen's public header hvm/hvm_info_table.h. */
export const VCPUS_MAX = 128;

/** Bodies up to this size reach the visitor whole. The largest known is CPU_XSAVE, near 11 KiB. */
export const BODY_BYTES_MAX = 64 * 1024;

// ---- Framing --------------------------------------------------------------------------------

export const END_TYPECODE = 0;
export const HEADER_TYPECODE = 1;
export const CPU_TYPECODE = 2;
export const LAPIC_TYPECODE = 5;

export const DESCRIPTOR = {
  typecode: any(u16),
  instance: any(u16),
  length: any(u32),
} satisfies Layout;

export const HEADER = {
  magic: exactly(u32, 0x54381286),
  version: exactly(u32, 1),
  changeset: any(u64), // All ones where the saving Xen did not know its own.
  cpuid: any(u32), // Leaf 1 eax of the saving host.
  gtsc_khz: any(u32),
} satisfies Layout;

// ---- CPU ------------------------------------------------------------------------------------

export const FPU_REGS_BYTES = 512;

/** Sizes of a CPU body, newest first. */
const CPU_BYTES: readonly number[] = [1032, 1024, 1016];
/** A CPU body without cr0 reads as cr0 = 0, which Xen refuses. */
const CPU_LEAST_BYTES = 664;

const CR0_PE_MASK = 0x0000_0001n;
const CR0_ET_MASK = 0x0000_0010n;
const CR0_PG_MASK = 0x8000_0000n;
/** PE MP EM TS ET NE WP AM NW CD PG. */
const CR0_KNOWN_MASK = 0xe005_003fn;

function isCr0Loadable(cr0: bigint): boolean {
  if ((cr0 & ~CR0_KNOWN_MASK) !== 0n) return false;
  if ((cr0 & CR0_ET_MASK) === 0n) return false;
  return (cr0 & CR0_PG_MASK) === 0n || (cr0 & CR0_PE_MASK) !== 0n;
}

const CR0: Field<bigint> = {
  ...any(u64, "known bits only, ET set, PE set if PG is"),
  severity: "error",
  accepts: isCr0Loadable,
};
const LOW_32_BITS: Field<bigint> = {
  ...any(u64, "at most 0xffffffff"),
  severity: "error",
  accepts: (value) => value <= 0xffff_ffffn,
};

const fields = <T extends number | bigint, const N extends string>(
  field: Field<T>,
  names: readonly N[],
): Record<N, Field<T>> =>
  Object.fromEntries(names.map((name) => [name, field])) as Record<N, Field<T>>;

/** A CPU body behind its fpu_regs, as Xen 4.7 and later save it. */
export const CPU = {
  ...fields(any(u64), ["rax", "rbx", "rcx", "rdx", "rbp", "rsi", "rdi", "rsp"]),
  ...fields(any(u64), ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"]),
  ...fields(any(u64), ["rip", "rflags"]),
  cr0: CR0,
  ...fields(any(u64), ["cr2", "cr3", "cr4", "dr0", "dr1", "dr2", "dr3"]),
  ...fields(LOW_32_BITS, ["dr6", "dr7"]),
  ...fields(any(u32), ["cs_sel", "ds_sel", "es_sel", "fs_sel", "gs_sel", "ss_sel"]),
  ...fields(any(u32), ["tr_sel", "ldtr_sel"]),
  ...fields(any(u32), ["cs_limit", "ds_limit", "es_limit", "fs_limit", "gs_limit", "ss_limit"]),
  ...fields(any(u32), ["tr_limit", "ldtr_limit", "idtr_limit", "gdtr_limit"]),
  ...fields(any(u64), ["cs_base", "ds_base", "es_base", "fs_base", "gs_base", "ss_base"]),
  ...fields(any(u64), ["tr_base", "ldtr_base", "idtr_base", "gdtr_base"]),
  ...fields(any(u32), ["cs_arbytes", "ds_arbytes", "es_arbytes", "fs_arbytes", "gs_arbytes"]),
  ...fields(any(u32), ["ss_arbytes", "tr_arbytes", "ldtr_arbytes"]),
  ...fields(any(u64), ["sysenter_cs", "sysenter_esp", "sysenter_eip", "shadow_gs"]),
  ...fields(any(u64), ["msr_flags", "msr_lstar", "msr_star", "msr_cstar", "msr_syscall_mask"]),
  msr_efer: any(u64),
  msr_tsc_aux: LOW_32_BITS,
  tsc: any(u64),
  pending_event: any(u32),
  error_code: any(u32),
  flags: oneOf(u32, [0, 1]), // Bit 0: the FPU state is initialised.
  pad0: exactly(u32, 0),
} satisfies Layout;

/** Before Xen 4.7: the FPU state counts as initialised. */
const NOT_IN_1024: readonly string[] = ["flags", "pad0"];
/** Before Xen 3.4. */
const NOT_IN_1016: readonly string[] = [...NOT_IN_1024, "msr_tsc_aux"];

function cpuWithout(names: readonly string[], bodyBytes: number): Layout {
  const layout: Layout = Object.fromEntries(
    Object.entries(CPU).filter(([name]) => !names.includes(name)),
  );
  assert(FPU_REGS_BYTES + sizeOf(layout) === bodyBytes, "an old CPU body has its size");
  return layout;
}

const oldCpus = new Map<number, Layout>();

/** The layout behind fpu_regs of a CPU body of this size; undefined where no Xen saved such one. */
export function cpuLayout(bodyBytes: number): Layout | undefined {
  if (bodyBytes === CPU_BYTES[0]) return CPU;
  if (!CPU_BYTES.includes(bodyBytes)) return undefined;
  // The old ones are made when they are met: half a millisecond of every start otherwise.
  const old =
    oldCpus.get(bodyBytes) ?? cpuWithout(bodyBytes === 1024 ? NOT_IN_1024 : NOT_IN_1016, bodyBytes);
  oldCpus.set(bodyBytes, old);
  return old;
}

// ---- Variable bodies ------------------------------------------------------------------------

/** CPU_XSAVE; behind it the XSAVE area: 512 bytes legacy, XSAVE_HEADER, extended states. */
export const XSAVE_HEAD = {
  xfeature_mask: any(u64),
  xcr0: any(u64),
  xcr0_accum: any(u64),
} satisfies Layout;
export const XSAVE_LEGACY_BYTES = 512;
export const XSAVE_HEADER = {
  xstate_bv: any(u64),
  xcomp_bv: exactly(u64, 0n), // Xen does not load the compacted form.
  ...fields(exactly(u64, 0n), ["reserved_0", "reserved_1", "reserved_2"]),
  ...fields(exactly(u64, 0n), ["reserved_3", "reserved_4", "reserved_5"]),
} satisfies Layout;

/** CPU_MSR; behind it MSR_ENTRY, `count` times. */
export const MSR_HEAD = { count: atLeast(u32, 1), pad: any(u32) } satisfies Layout;
export const MSR_ENTRY = {
  index: any(u32),
  reserved: exactly(u32, 0),
  value: any(u64),
} satisfies Layout;

// ---- Types ----------------------------------------------------------------------------------

const exact = (bytes: number): BodySize => ({ kind: "exact", bytes });
const zeroExtended = (bytes: number, older: readonly number[]): BodySize => ({
  kind: "zero_extended",
  bytes,
  older,
  leastBytes: 0,
});

const CPU_SIZE: BodySize = {
  kind: "zero_extended",
  bytes: CPU_BYTES[0]!,
  older: CPU_BYTES.slice(1),
  leastBytes: CPU_LEAST_BYTES,
};
const XSAVE_SIZE: BodySize = {
  kind: "at_least",
  bytes: sizeOf(XSAVE_HEAD) + XSAVE_LEGACY_BYTES + sizeOf(XSAVE_HEADER),
};
const MSR_SIZE: BodySize = {
  kind: "counted",
  headBytes: sizeOf(MSR_HEAD),
  entryBytes: sizeOf(MSR_ENTRY),
};

const domain = (typecode: number, name: string, size: BodySize): TypeLayout => {
  return { typecode, name, size, perVcpu: false, instances: 1 };
};
const vcpu = (typecode: number, name: string, size: BodySize): TypeLayout => {
  return { typecode, name, size, perVcpu: true, instances: VCPUS_MAX };
};

/** Every typecode that Xen knows. */
export const TYPES: readonly TypeLayout[] = [
  domain(END_TYPECODE, "END", exact(0)),
  domain(HEADER_TYPECODE, "HEADER", exact(sizeOf(HEADER))),
  vcpu(CPU_TYPECODE, "CPU", CPU_SIZE),
  { ...domain(3, "PIC", exact(8)), instances: 2 },
  domain(4, "IOAPIC", exact(400)),
  vcpu(LAPIC_TYPECODE, "LAPIC", zeroExtended(32, [24, 16])),
  vcpu(6, "LAPIC_REGS", exact(1024)),
  domain(7, "PCI_IRQ", exact(16)),
  domain(8, "ISA_IRQ", exact(8)),
  domain(9, "PCI_LINK", exact(8)),
  domain(10, "PIT", exact(56)),
  domain(11, "RTC", zeroExtended(24, [16])),
  domain(12, "HPET", exact(1048)),
  domain(13, "PMTIMER", exact(8)),
  vcpu(14, "MTRR", exact(240)),
  domain(15, "VIRIDIAN_DOMAIN", zeroExtended(32, [24, 16])),
  vcpu(16, "CPU_XSAVE", XSAVE_SIZE),
  vcpu(17, "VIRIDIAN_VCPU", zeroExtended(216, [152, 24, 16, 8])),
  vcpu(18, "VMCE_VCPU", zeroExtended(32, [24, 8])),
  vcpu(19, "TSC_ADJUST", exact(8)),
  vcpu(20, "CPU_MSR", MSR_SIZE),
];

/** The row of one typecode; undefined where Xen knows none. */
export const typeLayout = (typecode: number): TypeLayout | undefined => TYPES[typecode];

assert(
  TYPES.every((row, index) => row.typecode === index),
  "the rows stand in the order of their typecodes",
);
assert(sizeOf(DESCRIPTOR) === 8, "an HVM context descriptor has 8 bytes");
assert(sizeOf(HEADER) === 24, "an HVM context header has 24 bytes");
assert(XSAVE_SIZE.bytes === 600, "a CPU_XSAVE body has at least 600 bytes");
assert(sizeOf(MSR_ENTRY) === 16, "an MSR entry has 16 bytes");
assert(FPU_REGS_BYTES + sizeOf(CPU) === CPU_BYTES[0], "a CPU body has 1032 bytes");
assert(FPU_REGS_BYTES + offsetOf(CPU, "cr0") + 8 === CPU_LEAST_BYTES, "cr0 ends at 664");
assert(FPU_REGS_BYTES + offsetOf(CPU, "cs_arbytes") === 888, "access rights stand at 888");
assert(FPU_REGS_BYTES + offsetOf(CPU, "tsc") === 1008, "tsc stands at 1008");

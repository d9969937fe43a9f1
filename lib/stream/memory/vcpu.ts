// A vcpu as a debugger wants it: registers under one set of names, whatever they were saved as, and
// how the vcpu finds its memory.

import { assert } from "../../base/index.ts";
import { type Layout, read, type Row, write } from "../../bytes/index.ts";
import { cpuLayout, FPU_REGS_BYTES } from "../hvm-context/index.ts";
import { VCPU_BASIC_BYTES, vcpuContextOf } from "../libxc/index.ts";

const GENERAL = ["ax", "bx", "cx", "dx", "si", "di", "bp", "sp"] as const;
const EXTENDED = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"] as const;
const SELECTORS = ["cs", "ss", "ds", "es", "fs", "gs"] as const;

/** How a vcpu's page tables are built. */
export type PagingMode = "4 levels" | "5 levels" | "pae" | "2 levels";

export interface Paging {
  readonly mode: PagingMode;
  readonly rootPfn: number;
  /** Where the table begins in its page: PAE's has 32 bytes. */
  readonly rootAt: number;
}

/** A segment as QEMU's notes have it. */
export interface Segment {
  readonly selector: number;
  readonly limit: number;
  readonly flags: number;
  readonly base: bigint;
}

export interface Vcpu {
  readonly id: number;
  /** Bytes a word of the code that it runs. */
  readonly width: 4 | 8;
  /** rax to r15, rip, rflags, cs to gs, fs_base, gs_base, kernel_gs_base, cr0 to cr4. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** An FXSAVE area. */
  readonly fpu: Uint8Array;
  /** struct vcpu_guest_context. */
  readonly context: Uint8Array;
  readonly isInKernel: boolean;
  /** undefined where paging is off. */
  readonly paging: Paging | undefined;
  /** Of an HVM guest: cs ds es fs gs ss ldt tr gdt idt. */
  readonly segments: readonly Segment[];
}

const FPU_BYTES = 512;
const PAGE_SHIFT = 12n;
const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

// ---- PV --------------------------------------------------------------------------------------

const VGCF_IN_KERNEL_MASK = 1 << 2;

/** `context` is a struct vcpu_guest_context; undefined where its size fits no guest. */
export function pvVcpu(id: number, context: Uint8Array): Vcpu | undefined {
  const layout = vcpuContextOf(context.byteLength);
  if (layout === undefined) return undefined;
  const width = context.byteLength === VCPU_BASIC_BYTES[4] ? 4 : 8;
  const view = viewOf(context);
  const user: Record<string, number | bigint> = read(layout.user, view, layout.userAt);
  const rest: Record<string, number | bigint> = read(layout.rest, view, layout.restAt);
  const value = (row: Record<string, number | bigint>, name: string) => BigInt(row[name] ?? 0);
  const prefix = width === 4 ? "e" : "r";
  const isInKernel = (value(user, "flags") & BigInt(VGCF_IN_KERNEL_MASK)) !== 0n;
  const registers: Record<string, bigint> = {};
  for (const name of GENERAL) registers[`r${name}`] = value(user, `${prefix}${name}`);
  for (const name of EXTENDED) registers[name] = value(user, name);
  for (const name of ["ip", "flags"]) registers[`r${name}`] = value(user, `${prefix}${name}`);
  for (const name of SELECTORS) registers[name] = value(user, name);
  registers["fs_base"] = value(rest, "fs_base");
  registers["gs_base"] = value(rest, isInKernel ? "gs_base_kernel" : "gs_base_user");
  registers["kernel_gs_base"] = value(rest, isInKernel ? "gs_base_user" : "gs_base_kernel");
  for (let cr = 0; cr <= 4; cr++) registers[`cr${cr}`] = value(rest, `cr${cr}`);
  const rootPfn =
    width === 4 ? foldedPfn(registers["cr3"]!) : Number(registers["cr3"]! >> PAGE_SHIFT);
  return {
    id,
    width,
    registers,
    fpu: context.subarray(0, FPU_BYTES),
    context,
    isInKernel,
    paging: { mode: width === 4 ? "pae" : "4 levels", rootPfn, rootAt: 0 },
    segments: [],
  };
}

/** 32-bit PV folds the upper bits of a pfn into the lower ones of cr3 (xen_cr3_to_pfn). */
const foldedPfn = (cr3: bigint): number => {
  const low = Number(cr3 & 0xffff_ffffn);
  return (low >>> 12) + (low & 0xfff) * 2 ** 20;
};

// ---- HVM -------------------------------------------------------------------------------------

/** A CPU entry as current Xen saves it. */
const CPU_BYTES = 1032;
const CPU = cpuLayout(CPU_BYTES);
assert(CPU, "a CPU entry of current Xen has a layout");
const CURRENT_CPU = CPU;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;
const EFER_LMA = 1n << 10n;
const TABLE_MASK = 0x000f_ffff_ffff_f000n;
const SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "ldtr", "tr"] as const;

/** `body` is a CPU entry of an HVM context. */
export function hvmVcpu(id: number, body: Uint8Array): Vcpu {
  const whole = new Uint8Array(CPU_BYTES); // Xen takes missing bytes as zero.
  whole.set(body.subarray(0, CPU_BYTES));
  const cpu: Record<string, number | bigint> = read(
    cpuLayout(body.byteLength) ?? CURRENT_CPU,
    viewOf(whole),
    FPU_REGS_BYTES,
  );
  const value = (name: string) => BigInt(cpu[name] ?? 0);
  const registers: Record<string, bigint> = {};
  for (const name of GENERAL) registers[`r${name}`] = value(`r${name}`);
  for (const name of [...EXTENDED, "rip", "rflags"]) registers[name] = value(name);
  for (const name of SELECTORS) registers[name] = value(`${name}_sel`);
  registers["fs_base"] = value("fs_base");
  registers["gs_base"] = value("gs_base");
  registers["kernel_gs_base"] = value("shadow_gs");
  for (const name of ["cr0", "cr2", "cr3", "cr4"]) registers[name] = value(name);
  registers["cr1"] = 0n;
  const width = (value("msr_efer") & EFER_LMA) === 0n ? 4 : 8;
  const fpu = whole.subarray(0, FPU_BYTES);
  return {
    id,
    width,
    registers,
    fpu,
    context: hvmContext(registers, value, fpu),
    isInKernel: (registers["cs"]! & 3n) === 0n,
    paging: hvmPaging(registers, width),
    segments: [
      ...SEGMENTS.map((name) => segmentOf(name, value)),
      tableOf("gdtr", value),
      tableOf("idtr", value),
    ],
  };
}

function hvmPaging(registers: Readonly<Record<string, bigint>>, width: 4 | 8): Paging | undefined {
  const [cr0, cr3, cr4] = [registers["cr0"]!, registers["cr3"]!, registers["cr4"]!];
  if ((cr0 & CR0_PG) === 0n) return undefined;
  const rootPfn = Number((cr3 & TABLE_MASK) >> PAGE_SHIFT);
  if (width === 8) {
    return { mode: (cr4 & CR4_LA57) === 0n ? "4 levels" : "5 levels", rootPfn, rootAt: 0 };
  }
  if ((cr4 & CR4_PAE) === 0n) return { mode: "2 levels", rootPfn, rootAt: 0 };
  return { mode: "pae", rootPfn, rootAt: Number(cr3 & 0xfe0n) };
}

type ValueOf = (name: string) => bigint;

/** Xen packs access rights into 12 bits; a descriptor has a part of the limit between them. */
function segmentOf(name: (typeof SEGMENTS)[number], value: ValueOf): Segment {
  const rights = Number(value(`${name}_arbytes`));
  return {
    selector: Number(value(`${name}_sel`)),
    limit: Number(value(`${name}_limit`)),
    flags: ((rights & 0xff) << 8) | ((rights & 0xf00) << 12),
    base: value(`${name}_base`),
  };
}

const tableOf = (name: string, value: ValueOf): Segment => ({
  selector: 0,
  limit: Number(value(`${name}_limit`)),
  flags: 0,
  base: value(`${name}_base`),
});

/** What getvcpucontext gives of an HVM vcpu: the registers that a PV one has too. */
function hvmContext(
  registers: Readonly<Record<string, bigint>>,
  value: ValueOf,
  fpu: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(VCPU_BASIC_BYTES[8]!);
  const layout = vcpuContextOf(bytes.byteLength);
  assert(layout, "a 64-bit vcpu context has a layout");
  bytes.set(fpu);
  const more: Record<string, bigint> = { gs_base_kernel: value("shadow_gs") };
  more["gs_base_user"] = registers["gs_base"]!;
  for (let dr = 0; dr < 8; dr++) more[`dr${dr}`] = value(`dr${dr}`);
  const put = (part: Layout, at: number) => {
    const row = Object.fromEntries(
      Object.entries(part).map(([name, { bytes: size }]) => {
        const wide = registers[name] ?? more[name] ?? 0n;
        return [name, size === 8 ? wide : Number(BigInt.asUintN(size * 8, wide))];
      }),
    ) as Row<Layout>;
    write(part, viewOf(bytes), at, row);
  };
  put(layout.user, layout.userAt);
  put(layout.rest, layout.restAt);
  return bytes;
}

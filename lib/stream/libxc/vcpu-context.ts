// struct vcpu_guest_context of a PV vcpu (xen/include/public/arch-x86/xen.h): the body of
// X86_PV_VCPU_BASIC behind its head, and of a legacy stream's vcpu context. What is of interest of
// it stands in two stretches: flags and user registers behind the FPU state, and everything behind
// the trap table.

import { assert } from "../../base/index.ts";
import { any, type Field, type Layout, sizeOf, u16, u32, u64 } from "../../bytes/index.ts";
import { VCPU_BASIC_BYTES } from "./layout.ts";

export interface VcpuContextLayout {
  readonly bytes: number;
  readonly userAt: number;
  readonly user: Layout;
  readonly restAt: number;
  readonly rest: Layout;
}

/** VGCF_* bits of flags. */
export const VCPU_FLAGS: readonly (readonly [number, string])[] = [
  [1 << 0, "i387 valid"],
  [1 << 2, "in kernel"],
  [1 << 3, "failsafe disables events"],
  [1 << 4, "syscall disables events"],
  [1 << 5, "online"],
];

const fields = <T extends number | bigint>(
  field: Field<T>,
  names: readonly string[],
): Record<string, Field<T>> => Object.fromEntries(names.map((name) => [name, field]));

const numbered = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${name}${index}`);

/** A selector of 64-bit code: two bytes, and padding up to eight. */
const wideSelector = (name: string): Layout => ({
  [name]: any(u16),
  [`${name}_pad16`]: any(u16),
  [`${name}_pad32`]: any(u32),
});

const CONTEXT_64: VcpuContextLayout = {
  bytes: 5168,
  userAt: 512,
  user: {
    flags: any(u64),
    ...fields(any(u64), ["r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8"]),
    ...fields(any(u64), ["rax", "rcx", "rdx", "rsi", "rdi"]),
    ...fields(any(u32), ["error_code", "entry_vector"]),
    rip: any(u64),
    cs: any(u16),
    cs_pad16: any(u16),
    saved_upcall_mask: any(u32),
    ...fields(any(u64), ["rflags", "rsp"]),
    ...wideSelector("ss"),
    ...wideSelector("es"),
    ...wideSelector("ds"),
    ...wideSelector("fs"),
    ...wideSelector("gs"),
  },
  restAt: 4816,
  rest: {
    ...fields(any(u64), ["ldt_base", "ldt_ents", ...numbered("gdt_frame", 16), "gdt_ents"]),
    ...fields(any(u64), ["kernel_ss", "kernel_sp", ...numbered("cr", 8), ...numbered("dr", 8)]),
    ...fields(any(u64), ["event_callback_eip", "failsafe_callback_eip", "syscall_callback_eip"]),
    ...fields(any(u64), ["vm_assist", "fs_base", "gs_base_kernel", "gs_base_user"]),
  },
};

const CONTEXT_32: VcpuContextLayout = {
  bytes: 2800,
  userAt: 512,
  user: {
    flags: any(u32),
    ...fields(any(u32), ["ebx", "ecx", "edx", "esi", "edi", "ebp", "eax"]),
    ...fields(any(u16), ["error_code", "entry_vector"]),
    eip: any(u32),
    cs: any(u16),
    saved_upcall_mask: any(u16),
    ...fields(any(u32), ["eflags", "esp"]),
    ...fields(any(u16), ["ss", "ss_pad16", "es", "es_pad16", "ds", "ds_pad16"]),
    ...fields(any(u16), ["fs", "fs_pad16", "gs", "gs_pad16"]),
  },
  restAt: 2632,
  rest: {
    ...fields(any(u32), ["ldt_base", "ldt_ents", ...numbered("gdt_frame", 16), "gdt_ents"]),
    ...fields(any(u32), ["kernel_ss", "kernel_sp", ...numbered("cr", 8), ...numbered("dr", 8)]),
    ...fields(any(u32), ["event_callback_cs", "event_callback_eip"]),
    ...fields(any(u32), ["failsafe_callback_cs", "failsafe_callback_eip", "vm_assist"]),
  },
};

/** The layout of a context of this size; undefined where no guest has such a one. */
export const vcpuContextOf = (bytes: number): VcpuContextLayout | undefined =>
  [CONTEXT_64, CONTEXT_32].find((layout) => layout.bytes === bytes);

assert(sizeOf(CONTEXT_64.user) === 208, "64-bit flags and user registers end at 720");
assert(CONTEXT_64.restAt + sizeOf(CONTEXT_64.rest) === CONTEXT_64.bytes, "64-bit context is whole");
assert(sizeOf(CONTEXT_32.user) === 72, "32-bit flags and user registers end at 584");
assert(CONTEXT_32.restAt + sizeOf(CONTEXT_32.rest) === CONTEXT_32.bytes, "32-bit context is whole");
assert(VCPU_BASIC_BYTES[8] === CONTEXT_64.bytes, "a 64-bit guest has 64-bit contexts");
assert(VCPU_BASIC_BYTES[4] === CONTEXT_32.bytes, "a 32-bit guest has 32-bit contexts");

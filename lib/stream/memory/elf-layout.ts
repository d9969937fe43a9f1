// ELF core files (System V ABI; elf.h, sys/procfs.h of Linux), of 32 and 64 bits, little-endian.
//
//   ELF header        EHDR, of type CORE
//   program headers   PHDR: one NOTE, then a LOAD for each run of memory
//   notes             NHDR, name, description, both padded to 4
//   pages             those with contents, in the order of their pfns, one behind the other
//   tables, sections  what Xen's dump-core format adds (docs/misc/dump-core-format.txt)

import { assert } from "../../base/index.ts";
import {
  any,
  exactly,
  type Field,
  type Layout,
  sizeOf,
  u16,
  u32,
  u32be,
  u64,
  u8,
} from "../../bytes/index.ts";

type Word = Field<number> | Field<bigint>;

/** Both classes from one description: `word` is an address, an offset or a size. */
const headers = (word: Word, ident: number) => ({
  ehdr: {
    magic: exactly(u32be, 0x7f45_4c46),
    class: exactly(u8, ident),
    data: exactly(u8, 1), // Little-endian.
    version: exactly(u8, 1),
    osabi: any(u8),
    pad: any(u64),
    e_type: any(u16),
    e_machine: any(u16),
    e_version: any(u32),
    e_entry: word,
    e_phoff: word,
    e_shoff: word,
    e_flags: any(u32),
    e_ehsize: any(u16),
    e_phentsize: any(u16),
    e_phnum: any(u16),
    e_shentsize: any(u16),
    e_shnum: any(u16),
    e_shstrndx: any(u16),
  } satisfies Layout,
  shdr: {
    sh_name: any(u32),
    sh_type: any(u32),
    sh_flags: word,
    sh_addr: word,
    sh_offset: word,
    sh_size: word,
    sh_link: any(u32),
    sh_info: any(u32),
    sh_addralign: word,
    sh_entsize: word,
  } satisfies Layout,
});

const [WORD_32, WORD_64] = [any(u32), any(u64)];

const CLASS_32 = {
  ...headers(WORD_32, 1),
  phdr: {
    p_type: any(u32),
    p_offset: any(u32),
    p_vaddr: any(u32),
    p_paddr: any(u32),
    p_filesz: any(u32),
    p_memsz: any(u32),
    p_flags: any(u32),
    p_align: any(u32),
  } satisfies Layout,
};
const CLASS_64 = {
  ...headers(WORD_64, 2),
  phdr: {
    p_type: any(u32),
    p_flags: any(u32),
    p_offset: any(u64),
    p_vaddr: any(u64),
    p_paddr: any(u64),
    p_filesz: any(u64),
    p_memsz: any(u64),
    p_align: any(u64),
  } satisfies Layout,
};

export interface ElfClass {
  readonly ehdr: Layout;
  readonly phdr: Layout;
  readonly shdr: Layout;
}
export const ELF_CLASSES: Readonly<Record<32 | 64, ElfClass>> = { 32: CLASS_32, 64: CLASS_64 };
assert(sizeOf(CLASS_32.ehdr) === 52, "an ELF32 header is 52 bytes");
assert(sizeOf(CLASS_64.ehdr) === 64, "an ELF64 header is 64 bytes");
assert(sizeOf(CLASS_32.phdr) === 32, "an ELF32 program header is 32 bytes");
assert(sizeOf(CLASS_64.phdr) === 56, "an ELF64 program header is 56 bytes");
assert(sizeOf(CLASS_32.shdr) === 40, "an ELF32 section header is 40 bytes");
assert(sizeOf(CLASS_64.shdr) === 64, "an ELF64 section header is 64 bytes");

export const ET_CORE = 4;
export const EM = { 386: 3, X86_64: 62 } as const;
export const PT = { LOAD: 1, NOTE: 4 } as const;
export const PF_RWX = 7;
/** e_phnum of a file with more program headers: section header 0 tells how many. */
export const PN_XNUM = 0xffff;
export const SHT = { NULL: 0, PROGBITS: 1, STRTAB: 3, NOTE: 7 } as const;

// ---- Notes -----------------------------------------------------------------------------------

export const NHDR = { namesz: any(u32), descsz: any(u32), type: any(u32) } satisfies Layout;
export const NT = { PRSTATUS: 1, FPREGSET: 2 } as const;

const named = (field: Word, names: readonly string[]): Record<string, Word> =>
  Object.fromEntries(names.map((name) => [name, field]));

const TIMES = ["utime", "stime", "cutime", "cstime"].flatMap((name) => [`${name}_s`, `${name}_us`]);
const SIGNAL = {
  ...named(any(u32), ["si_signo", "si_code", "si_errno"]),
  ...named(any(u16), ["cursig", "pad"]),
};
const PROCESS = named(any(u32), ["pid", "ppid", "pgrp", "sid"]);

/** struct elf_prstatus; its registers under the names that vcpu.ts gives them. */
export const PRSTATUS: Readonly<Record<32 | 64, Layout>> = {
  32: {
    ...SIGNAL,
    ...named(WORD_32, ["sigpend", "sighold"]),
    ...PROCESS,
    ...named(WORD_32, TIMES),
    ...named(WORD_32, ["rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rax", "ds", "es", "fs", "gs"]),
    ...named(WORD_32, ["orig_rax", "rip", "cs", "rflags", "rsp", "ss"]),
    fpvalid: any(u32),
  },
  64: {
    ...SIGNAL,
    ...named(WORD_64, ["sigpend", "sighold"]),
    ...PROCESS,
    ...named(WORD_64, TIMES),
    ...named(WORD_64, ["r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax"]),
    ...named(WORD_64, ["rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss"]),
    ...named(WORD_64, ["fs_base", "gs_base", "ds", "es", "fs", "gs"]),
    ...named(any(u32), ["fpvalid", "end_pad"]),
  },
};
assert(sizeOf(PRSTATUS[32]) === 144, "elf_prstatus of i386 is 144 bytes");
assert(sizeOf(PRSTATUS[64]) === 336, "elf_prstatus of x86-64 is 336 bytes");

/** What QEMU's dumps say of a vcpu: crash learns from it where the kernel was loaded. */
export const QEMU_NOTE_TYPE = 0;
export const QEMU_CPU_HEAD = {
  ...named(any(u32), ["version", "size"]),
  ...named(WORD_64, ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"]),
  ...named(WORD_64, ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"]),
} satisfies Layout;
export const QEMU_SEGMENT = {
  ...named(any(u32), ["selector", "limit", "flags", "pad"]),
  base: any(u64),
} satisfies Layout;
export const QEMU_CPU_TAIL = {
  ...named(WORD_64, ["cr0", "cr1", "cr2", "cr3", "cr4", "kernel_gs_base"]),
} satisfies Layout;
export const QEMU_SEGMENTS = 10;
export const QEMU_CPU_BYTES =
  sizeOf(QEMU_CPU_HEAD) + QEMU_SEGMENTS * sizeOf(QEMU_SEGMENT) + sizeOf(QEMU_CPU_TAIL);
assert(QEMU_CPU_BYTES === 440, "QEMU's vcpu state is 440 bytes");

// ---- Xen's dump-core format ------------------------------------------------------------------

/** Types of the notes in .note.Xen, and what they hold. */
export const XEN_NOTE = {
  NONE: 0x200_0000,
  HEADER: 0x200_0001,
  XEN_VERSION: 0x200_0002,
  FORMAT_VERSION: 0x200_0003,
};
export const XEN_MAGIC = { pv: 0xf00f_ebedn, hvm: 0xf00f_ebeen } as const;
export const XEN_HEADER = named(WORD_64, [
  "magic",
  "nr_vcpus",
  "nr_pages",
  "page_size",
]) satisfies Layout;
/** Strings that nobody knows from a stream: extra version, compiler, capabilities, changeset. */
export const XEN_VERSION_STRINGS_BYTES = 16 + (64 + 16 + 32 + 32) + 1024 + 64;
export const XEN_VERSION_HEAD = named(WORD_64, ["major", "minor"]) satisfies Layout;
export const XEN_VERSION_TAIL = named(WORD_64, ["virt_start", "page_size"]) satisfies Layout;
export const XEN_FORMAT_VERSION = { version: any(u64) } satisfies Layout;
/** An entry of .xen_p2m, and one of .xen_pfn. */
export const XEN_P2M = { pfn: any(u64), gmfn: any(u64) } satisfies Layout;
export const XEN_PFN = { pfn: any(u64) } satisfies Layout;

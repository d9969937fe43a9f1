// The libxc domain image, versions 2 and 3 (docs/specs/libxc-migration-stream): a 24-byte
// big-endian image header, a 16-byte domain header, then records: u32 type, u32 body_length, body,
// zero padding to 8. No other file knows an offset of it.

import { assert } from "../../base/index.ts";
import {
  any,
  atLeast,
  exactly,
  type Field,
  lax,
  type Layout,
  oneOf,
  reserved,
  type Severity,
  sizeOf,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
  u8,
} from "../../bytes/index.ts";

export const IMAGE_MARKER = 0xffff_ffff_ffff_ffffn;
export const IMAGE_ID = 0x58454e46; // "XENF"
export const OPTION_BIG_ENDIAN_MASK = 1 << 0;

const imageOptions: Field<number> = {
  ...u16be,
  expected: "no bits but 0x1 (big-endian)",
  severity: "warning", // libxc looks at bit 0 only; the specification reserves the others.
  accepts: (bits) => (bits & ~OPTION_BIG_ENDIAN_MASK) === 0,
};

export const IMAGE_HEADER = {
  marker: exactly(u64be, IMAGE_MARKER),
  id: exactly(u32be, IMAGE_ID),
  version: oneOf(u32be, [2, 3]),
  options: imageOptions,
  reserved_a: reserved(u16be),
  reserved_b: reserved(u32be),
};
assert(sizeOf(IMAGE_HEADER) === 24, "the image header is 24 octets in the spec");

export const DOMAIN_PV = 1;
export const DOMAIN_HVM = 2; // PVH too.
export const DOMAIN_HEADER = {
  type: { ...oneOf(u32, [DOMAIN_PV, DOMAIN_HVM]), expected: "0x1 (x86 PV) or 0x2 (x86 HVM)" },
  page_shift: { ...exactly(u16, 12), expected: "0xc (4096-byte pages)" },
  reserved: reserved(u16),
  xen_major: any(u32, "0 when converted from a legacy stream"),
  xen_minor: any(u32),
};
assert(sizeOf(DOMAIN_HEADER) === 16, "the domain header is 16 octets in the spec");

/** REC_LENGTH_MAX (xg_sr_stream_format.h): libxc refuses a longer body. */
export const LIBXC_RECORD_BYTES_MAX = 128 * 1024 * 1024;
export const OPTIONAL_BIT = 31;
/** Types 0x80000000 and up may be passed over by a reader that does not know them. */
export const isOptionalType = (type: number): boolean => type >= 2 ** OPTIONAL_BIT;

export const PAGE_BYTES = 4096;

// ---- Bodies ---------------------------------------------------------------------------------

export const PAGE_DATA_HEAD = { count: atLeast(u32, 1), reserved: reserved(u32) };
export const PV_INFO = {
  guest_width: oneOf(u8, [4, 8]),
  pt_levels: oneOf(u8, [3, 4]),
  reserved_a: reserved(u16),
  reserved_b: reserved(u32),
};
export const P2M_FRAMES_HEAD = {
  start_pfn: any(u32),
  end_pfn: any(u32, "the last pfn, inclusive"),
};
export const VCPU_HEAD = { vcpu_id: any(u32), reserved: reserved(u32) };
export const TSC_INFO = {
  mode: { ...lax(oneOf(u32, [0, 1, 2, 3], "warning")), expected: "a TSC mode from 0 to 3" },
  khz: any(u32),
  nsec: any(u64),
  incarnation: any(u32),
  reserved: reserved(u32),
};
export const HVM_PARAMS_HEAD = { count: any(u32), reserved: reserved(u32) };
export const HVM_PARAM = { index: any(u64), value: any(u64) };
export const CPUID_LEAF = {
  leaf: any(u32),
  subleaf: any(u32),
  a: any(u32),
  b: any(u32),
  c: any(u32),
  d: any(u32),
};
export const MSR_ENTRY = { index: any(u32), flags: exactly(u32, 0), value: any(u64) };
export const VCPU_MSR = { index: any(u32), reserved: lax(reserved(u32)), value: any(u64) };

/** What stands behind a record's head. Byte counts are of the tail alone, head not counted. */
export type Tail =
  | { readonly kind: "none"; readonly longer: Severity }
  | { readonly kind: "bytes"; readonly min: number; readonly max: number }
  | { readonly kind: "rows"; readonly row: Layout; readonly min: number }
  /** pfns and page contents: PAGE_DATA alone. */
  | { readonly kind: "pages" };

export interface LibxcRecordLayout {
  readonly type: number;
  readonly name: string;
  /** As verify-stream-v2 prints it. */
  readonly title: string;
  readonly head: Layout;
  readonly tail: Tail;
  readonly guest: "pv" | "hvm" | "any";
  /** Written once, before STATIC_DATA_END. */
  readonly isStatic: boolean;
  /** First image version that has it. */
  readonly since: 2 | 3;
}

/** Bytes behind the head: libxc takes no notice of them, or refuses them. */
const NONE: Tail = { kind: "none", longer: "warning" };
const NO_MORE: Tail = { kind: "none", longer: "error" };
const bytes = (min: number, max: number): Tail => ({ kind: "bytes", min, max });
const rows = (row: Layout, min: number): Tail => ({ kind: "rows", row, min });
const ANY_BYTES = bytes(0, LIBXC_RECORD_BYTES_MAX);
const V2 = { guest: "any", isStatic: false, since: 2 } as const;
const PV = { guest: "pv", isStatic: false, since: 2 } as const;
const HVM = { guest: "hvm", isStatic: false, since: 2 } as const;
const POLICY = { guest: "any", isStatic: true, since: 3 } as const;
const P2M_PFN = { pfn: any(u64) };
const PAGES: Tail = { kind: "pages" };
const SOME_BYTES = bytes(1, LIBXC_RECORD_BYTES_MAX);

type Rest = Omit<LibxcRecordLayout, "type" | "name" | "title">;
const row = <const R extends Rest>(type: number, name: string, title: string, rest: R) => ({
  type,
  name,
  title,
  ...rest,
});
const EMPTY = { head: {}, tail: NONE } as const;
const vcpu = (tail: Tail) => ({ head: VCPU_HEAD, tail, ...PV }) as const;

// One row a record, in the order of the specification.
export const LIBXC = {
  end: row(0x00, "END", "End", { ...EMPTY, ...V2 }),
  pageData: row(0x01, "PAGE_DATA", "Page data", { head: PAGE_DATA_HEAD, tail: PAGES, ...V2 }),
  pvInfo: row(0x02, "X86_PV_INFO", "x86 PV info", {
    head: PV_INFO,
    tail: NONE,
    ...PV,
    isStatic: true,
  }),
  p2mFrames: row(0x03, "X86_PV_P2M_FRAMES", "x86 PV P2M frames", {
    head: P2M_FRAMES_HEAD,
    tail: rows(P2M_PFN, 1),
    ...PV,
  }),
  vcpuBasic: row(0x04, "X86_PV_VCPU_BASIC", "x86 PV vcpu basic", vcpu(ANY_BYTES)),
  vcpuExtended: row(0x05, "X86_PV_VCPU_EXTENDED", "x86 PV vcpu extended", vcpu(bytes(0, 128))),
  vcpuXsave: row(0x06, "X86_PV_VCPU_XSAVE", "x86 PV vcpu xsave", vcpu(ANY_BYTES)),
  sharedInfo: row(0x07, "SHARED_INFO", "Shared info", {
    head: {},
    tail: bytes(PAGE_BYTES, PAGE_BYTES),
    ...PV,
  }),
  tscInfo: row(0x08, "X86_TSC_INFO", "TSC info", { head: TSC_INFO, tail: NO_MORE, ...V2 }),
  hvmContext: row(0x09, "HVM_CONTEXT", "HVM context", { head: {}, tail: SOME_BYTES, ...HVM }),
  hvmParams: row(0x0a, "HVM_PARAMS", "HVM params", {
    head: HVM_PARAMS_HEAD,
    tail: rows(HVM_PARAM, 0),
    ...HVM,
  }),
  toolstack: row(0x0b, "TOOLSTACK", "Toolstack", { head: {}, tail: ANY_BYTES, ...V2 }),
  vcpuMsrs: row(0x0c, "X86_PV_VCPU_MSRS", "x86 PV vcpu msrs", vcpu(rows(VCPU_MSR, 0))),
  verify: row(0x0d, "VERIFY", "Verify", { ...EMPTY, ...V2 }),
  checkpoint: row(0x0e, "CHECKPOINT", "Checkpoint", { ...EMPTY, ...V2 }),
  dirtyPfnList: row(0x0f, "CHECKPOINT_DIRTY_PFN_LIST", "Checkpoint dirty pfn list", {
    head: {},
    tail: rows(P2M_PFN, 0),
    ...V2,
  }),
  staticDataEnd: row(0x10, "STATIC_DATA_END", "Static data end", { ...EMPTY, ...V2, since: 3 }),
  cpuidPolicy: row(0x11, "X86_CPUID_POLICY", "x86 CPUID policy", {
    head: {},
    tail: rows(CPUID_LEAF, 1),
    ...POLICY,
  }),
  msrPolicy: row(0x12, "X86_MSR_POLICY", "x86 MSR policy", {
    head: {},
    tail: rows(MSR_ENTRY, 1),
    ...POLICY,
  }),
} as const satisfies Record<string, LibxcRecordLayout>;

const BY_TYPE = new Map<number, LibxcRecordLayout>(
  Object.values(LIBXC).map((record) => [record.type, record]),
);
assert(BY_TYPE.size === Object.keys(LIBXC).length, "every libxc record has a type of its own");
export const libxcRecordOf = (type: number): LibxcRecordLayout | undefined => BY_TYPE.get(type);

/** sizeof(vcpu_guest_context) by the guest's word width in bytes. */
export const VCPU_BASIC_BYTES: Readonly<Record<number, number>> = { 4: 0xaf0, 8: 0x1430 };
/** Two u64 (xcr0, xcr0_accum) stand before the XSAVE area (PV_XSAVE_HDR_SIZE). */
export const VCPU_XSAVE_BYTES_MIN = 16;

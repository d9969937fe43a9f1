// Every record of the xl, libxl and libxc framings as a valid PlanRecord, written through the
// layout tables that the readers use. What a test wants different it changes afterwards.

import { sizeOf } from "../../lib/bytes/index.ts";
import {
  CPUID_LEAF,
  DOMAIN_HEADER,
  HVM_PARAM,
  HVM_PARAMS_HEAD,
  IMAGE_HEADER,
  IMAGE_ID,
  IMAGE_MARKER,
  LIBXC,
  type LibxcRecordLayout,
  MSR_ENTRY,
  P2M_FRAMES_HEAD,
  PAGE_BYTES,
  PAGE_DATA_HEAD,
  PAGE_TYPES,
  PV_INFO,
  TSC_INFO,
  VCPU_BASIC_BYTES,
  VCPU_HEAD,
  VCPU_MSR,
} from "../../lib/stream/libxc/index.ts";
import {
  EMULATOR_HEAD,
  LIBXL,
  LIBXL_HEADER,
  LIBXL_IDENT,
  type LibxlRecordLayout,
} from "../../lib/stream/libxl/index.ts";
import { CONFIG_HEAD, SAVE_HEADER, SAVE_MAGIC } from "../../lib/stream/xl/index.ts";
import { context } from "../stream/hvm-context/build.ts";
import {
  bare as qemuSection,
  bytesOf,
  EOF,
  join as joinQemu,
  MAGIC,
} from "../stream/qemu/build.ts";
import {
  ascii,
  bare,
  filled,
  join,
  planRecord,
  type PlanRecord,
  row,
  words,
} from "./stream-plan.ts";

// ---- xl ---------------------------------------------------------------------------------------

/** Magic, header and config. `flags`: SAVE_HEADER's mandatory ones. */
export function xlRecords(config: object, flags: number): PlanRecord[] {
  const json = ascii(`${JSON.stringify(config)}\0`);
  return [
    bare("xl", "magic", SAVE_MAGIC),
    bare(
      "xl",
      "save_header",
      row(SAVE_HEADER, {
        byteorder: 0x01020304,
        mandatory_flags: flags,
        optional_flags: 0,
        optional_data_len: sizeOf(CONFIG_HEAD) + json.byteLength,
      }),
    ),
    bare("xl", "CONFIG", row(CONFIG_HEAD, { config_len: json.byteLength }), json),
  ];
}

export const guestConfig = (type: string): object => ({
  c_info: { type, name: "built", uuid: "00000000-0000-0000-0000-000000000000" },
  b_info: { max_vcpus: 2, type },
});

// ---- libxl ------------------------------------------------------------------------------------

export function libxlRecord(
  layout: LibxlRecordLayout,
  ...parts: readonly Uint8Array[]
): PlanRecord {
  const { name, type } = layout;
  return planRecord({ layer: "libxl", name, framing: "record", type }, ...parts);
}

export const libxlHeader = (options: number): PlanRecord =>
  bare("libxl", "header", row(LIBXL_HEADER, { ident: LIBXL_IDENT, version: 2, options }));

const emulatorHead = (): Uint8Array => row(EMULATOR_HEAD, { emulator_id: 2, index: 0 });

const PHYSMAP = {
  "physmap/f0000000/start_addr": "f0000000",
  "physmap/f0000000/size": "800000",
  "physmap/f0000000/name": "vga.vram",
};

export const xenstoreData = (): PlanRecord =>
  libxlRecord(
    LIBXL.emulatorXenstoreData,
    emulatorHead(),
    ...Object.entries(PHYSMAP).map(([key, value]) => ascii(`${key}\0${value}\0`)),
  );

/** A small state as QEMU writes it under Xen: full sections without footers, EOF. */
export const qemuState = (): Uint8Array =>
  joinQemu(
    MAGIC,
    qemuSection({ id: 0, name: "timer", version: 2, data: new Uint8Array(24) }),
    qemuSection({ id: 1, name: "fdc", version: 2, data: bytesOf("a0 b1 00 00 c2 00") }),
    qemuSection({ id: 2, name: "0000:00:01.1/ide", version: 3, data: new Uint8Array(16) }),
    EOF,
  );

export const emulatorContext = (): PlanRecord =>
  libxlRecord(LIBXL.emulatorContext, emulatorHead(), qemuState());

/** As the code of libxl writes it: 4 bytes. `controlId` 0 is NEW. */
export const checkpointState = (controlId: number): PlanRecord =>
  libxlRecord(LIBXL.checkpointState, words(4, [controlId]));

// ---- libxc ------------------------------------------------------------------------------------

export function libxcRecord(
  layout: LibxcRecordLayout,
  ...parts: readonly Uint8Array[]
): PlanRecord {
  const { name, type } = layout;
  return planRecord({ layer: "libxc", name, framing: "record", type }, ...parts);
}

export const imageHeader = (version: number): PlanRecord => {
  const fixed = { marker: IMAGE_MARKER, id: IMAGE_ID, options: 0, reserved_a: 0, reserved_b: 0 };
  return bare("libxc", "image_header", row(IMAGE_HEADER, { ...fixed, version }));
};

/** xen_major 0 says that the stream was converted from a legacy one. */
export const domainHeader = (type: number, xen: { major: number; minor: number }): PlanRecord => {
  const fixed = { type, page_shift: 12, reserved: 0 };
  const values = { ...fixed, xen_major: xen.major, xen_minor: xen.minor };
  return bare("libxc", "domain_header", row(DOMAIN_HEADER, values));
};

export const pvInfo = (width: 4 | 8): PlanRecord => {
  const values = { guest_width: width, pt_levels: width === 8 ? 4 : 3, reserved_a: 0 };
  return libxcRecord(LIBXC.pvInfo, row(PV_INFO, { ...values, reserved_b: 0 }));
};

export const p2mFrames = (width: 4 | 8, pages: number): PlanRecord => {
  const frames = Math.ceil(pages / (PAGE_BYTES / width));
  return libxcRecord(
    LIBXC.p2mFrames,
    row(P2M_FRAMES_HEAD, { start_pfn: 0, end_pfn: pages - 1 }),
    words(
      8,
      Array.from({ length: frames }, (_, index) => index % pages),
    ),
  );
};

export interface PageEntry {
  readonly pfn: number;
  /** Index in PAGE_TYPES. */
  readonly type: number;
}

const PAGE_CONTENTS = filled(PAGE_BYTES, 0x5a);

export function pageData(entries: readonly PageEntry[]): PlanRecord {
  const withData = entries.filter(({ type }) => PAGE_TYPES[type]?.hasData === true);
  const list = new Uint8Array(entries.length * 8);
  const view = new DataView(list.buffer);
  for (const [index, { pfn, type }] of entries.entries()) {
    view.setBigUint64(index * 8, BigInt(pfn) + (BigInt(type) << 60n), true);
  }
  return libxcRecord(
    LIBXC.pageData,
    row(PAGE_DATA_HEAD, { count: entries.length, reserved: 0 }),
    list,
    ...withData.map(() => PAGE_CONTENTS),
  );
}

export const cpuidPolicy = (): PlanRecord =>
  libxcRecord(
    LIBXC.cpuidPolicy,
    row(CPUID_LEAF, { leaf: 0, subleaf: 0xffff_ffff, a: 0xd, b: 1, c: 2, d: 3 }),
    row(CPUID_LEAF, { leaf: 1, subleaf: 0xffff_ffff, a: 0x306f2, b: 4, c: 5, d: 6 }),
  );
export const msrPolicy = (): PlanRecord =>
  libxcRecord(LIBXC.msrPolicy, row(MSR_ENTRY, { index: 0xce, flags: 0, value: 0n }));
export const staticDataEnd = (): PlanRecord => libxcRecord(LIBXC.staticDataEnd);

export const tscInfo = (): PlanRecord => {
  const values = { mode: 1, khz: 2_000_000, nsec: 10n ** 12n, incarnation: 1, reserved: 0 };
  return libxcRecord(LIBXC.tscInfo, row(TSC_INFO, values));
};
export const sharedInfo = (): PlanRecord => libxcRecord(LIBXC.sharedInfo, filled(PAGE_BYTES, 1));

const vcpu = (layout: LibxcRecordLayout, id: number, ...parts: readonly Uint8Array[]) =>
  libxcRecord(layout, row(VCPU_HEAD, { vcpu_id: id, reserved: 0 }), ...parts);

/** All four records of a vcpu. Contents are not zero: zeros could pass for an END. */
export const vcpuRecords = (id: number, width: 4 | 8): PlanRecord[] => [
  vcpu(LIBXC.vcpuBasic, id, filled(VCPU_BASIC_BYTES[width]!, 0x21)),
  vcpu(LIBXC.vcpuExtended, id, filled(128, 0x22)),
  vcpu(LIBXC.vcpuXsave, id, filled(16 + 576, 0x23)),
  vcpu(LIBXC.vcpuMsrs, id, row(VCPU_MSR, { index: 0xc000_0103, reserved: 0, value: 1n })),
];

/** As Xen 4.20 saves an HVM guest with two vcpus: every type of entry once at least. */
const HVM_ENTRY_NAMES = `HEADER|CPU|CPU 1|PIC|PIC 1|IOAPIC|LAPIC|LAPIC 1|LAPIC_REGS|LAPIC_REGS 1|
  PCI_IRQ|ISA_IRQ|PCI_LINK|PIT|RTC|HPET|PMTIMER|MTRR|MTRR 1|VIRIDIAN_DOMAIN|VIRIDIAN_VCPU|
  VMCE_VCPU|TSC_ADJUST|CPU_MSR`;
const HVM_ENTRIES = [
  ...HVM_ENTRY_NAMES.split("|").map((name) => name.trim()),
  { name: "CPU_XSAVE", body: new Uint8Array(24 + 512 + 64) },
  "END",
];

export const hvmContext = (): PlanRecord =>
  libxcRecord(LIBXC.hvmContext, new Uint8Array(context(HVM_ENTRIES)));

/** By index: the magic pages, the identity page table, a TSS, the console and the store. */
const HVM_PARAMS: readonly (readonly [bigint, bigint])[] = [
  [1n, 0xf_eff8n],
  [5n, 0xf_effen],
  [6n, 0xf_effdn],
  [12n, 0xf_effcn],
  [15n, 0xf_effbn],
  [17n, 0xf_efffn],
  [34n, 0xfc00_0000n],
];

export const hvmParams = (): PlanRecord =>
  libxcRecord(
    LIBXC.hvmParams,
    row(HVM_PARAMS_HEAD, { count: HVM_PARAMS.length, reserved: 0 }),
    join(...HVM_PARAMS.map(([index, value]) => row(HVM_PARAM, { index, value }))),
  );

/** Contents are compared from here on: a debugging aid of the saver. */
export const verifyMode = (): PlanRecord => libxcRecord(LIBXC.verify);
/** COLO's back channel only: a restoring libxc refuses it, as it does TOOLSTACK. */
export const dirtyPfnList = (): PlanRecord => libxcRecord(LIBXC.dirtyPfnList, words(8, [1, 2]));
export const toolstack = (): PlanRecord => libxcRecord(LIBXC.toolstack, ascii("opaque"));
/** A type that no reader knows; optional with bit 31. */
export const unknownRecord = (type: number, body: Uint8Array): PlanRecord =>
  planRecord({ layer: "libxc", name: "unknown", framing: "record", type }, body);

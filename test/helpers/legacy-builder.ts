// Legacy streams (before Xen 4.6) as plans: PV and HVM, as a 32-bit or a 64-bit toolstack wrote
// them, with a chunk of every type that a plain stream may hold.

import { PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import {
  LEGACY_CHUNKS,
  LEGACY_EXTENDED_VCPU_BYTES,
  type LEGACY_QEMU_SIGNATURES,
} from "../../lib/stream/legacy/index.ts";
import { context } from "../stream/hvm-context/build.ts";
import { ascii, bare, filled, join, planRecord, type PlanRecord, words } from "./stream-plan.ts";
import { qemuState } from "./stream-records.ts";

type Width = 4 | 8;
const P2M_SIZE = 64;
const VCPUS = 2;
const XSAVE_BYTES = 16 + 64;
const VCPU_BYTES = { 4: 0xaf0, 8: 0x1430 } as const;

/** A chunk of a name from the table: its marker and what follows. */
export function chunk(name: string, ...parts: readonly Uint8Array[]): PlanRecord {
  const layout = LEGACY_CHUNKS.find((candidate) => candidate.name === name);
  if (layout === undefined) throw new Error(`There is no legacy chunk ${name}`);
  const { marker } = layout;
  return planRecord({ layer: "legacy", name, framing: "chunk", type: marker }, ...parts);
}

const part = (name: string, ...parts: readonly Uint8Array[]) => bare("legacy", name, ...parts);
const u32s = (...values: readonly number[]): Uint8Array => words(4, values);

/** Entries as in the stream: type in bits 31..28, pfn below. Contents for those that have them. */
export function pageBatch(width: Width, entries: readonly number[]): PlanRecord {
  const withData = entries.filter((entry) => entry >>> 28 < 0xd).length;
  const fields = { layer: "legacy", name: "PAGE_BATCH", framing: "chunk" } as const;
  return planRecord(
    { ...fields, type: entries.length },
    words(width, entries),
    filled(withData * PAGE_BYTES, 0xaa),
  );
}

const end = (): PlanRecord =>
  planRecord({ layer: "legacy", name: "END", framing: "chunk", type: 0 });

/** An HVM parameter: u32 of padding, u64. */
const param = (name: string, value: number) => chunk(name, u32s(0), words(8, [value]));

const tsc = () => chunk("TSC_INFO", u32s(1), words(8, [2]), u32s(3, 4));

// ---- PV ---------------------------------------------------------------------------------------

const block = (id: string, ...parts: readonly Uint8Array[]) => {
  const body = join(...parts);
  return join(ascii(id), u32s(body.byteLength), body);
};

function extendedInfo(width: Width, guestWidth: Width): PlanRecord {
  const blocks = join(
    block("vcpu", filled(VCPU_BYTES[guestWidth], 0x11)),
    block("extv", new Uint8Array(0)),
    block("xcnt", u32s(XSAVE_BYTES)),
  );
  return part("EXTENDED_INFO", filled(width, 0xff), u32s(blocks.byteLength), blocks);
}

export function legacyPvRecords({
  width,
  guestWidth,
}: {
  readonly width: Width;
  readonly guestWidth: Width;
}): PlanRecord[] {
  const vcpus = Array.from({ length: VCPUS }, () => [
    part("VCPU_BASIC", filled(VCPU_BYTES[guestWidth], 0x20)),
    part("VCPU_EXTENDED", filled(LEGACY_EXTENDED_VCPU_BYTES, 0x30)),
    part("VCPU_XSAVE", words(8, [7, XSAVE_BYTES - 16]), filled(XSAVE_BYTES - 16, 0x40)),
  ]);
  return [
    part("P2M_SIZE", words(width, [P2M_SIZE])),
    extendedInfo(width, guestWidth),
    part("P2M_FRAMES", words(width, [5])),
    chunk("VCPU_INFO", u32s(VCPUS - 1), words(8, [3])),
    pageBatch(
      width,
      [0x0000_0001, 0x4000_0002, 0xd000_0003, 0xe000_0004, 0xf000_0005, 0xf000_0000],
    ),
    chunk("ENABLE_VERIFY_MODE"),
    pageBatch(width, [0xf000_0006, 0xf000_0000, 0xf000_0000]),
    tsc(),
    chunk("TOOLSTACK", u32s(8), u32s(1, 0)),
    chunk("LAST_CHECKPOINT"),
    end(),
    part("UNMAPPED_PFNS", u32s(1), words(width, [7])),
    ...vcpus.flat(),
    part("SHARED_INFO", filled(PAGE_BYTES, 0xcc)),
  ];
}

// ---- HVM --------------------------------------------------------------------------------------

type QemuSignature = (typeof LEGACY_QEMU_SIGNATURES)[number]["signature"];

const HVM_CONTEXT = ["HEADER", "CPU", "LAPIC", "END"];

export function legacyHvmRecords(
  width: Width,
  { qemu }: { readonly qemu: QemuSignature | undefined },
): PlanRecord[] {
  const hvmContext = new Uint8Array(context(HVM_CONTEXT));
  return [
    part("P2M_SIZE", words(width, [P2M_SIZE])),
    pageBatch(width, [1, 0xf000_0002, 0xf000_0000]),
    ...["HVM_IDENT_PT", "HVM_VM86_TSS", "HVM_CONSOLE_PFN", "HVM_ACPI_IOPORTS_LOCATION"].map(
      (name, index) => param(name, 0x10 + index),
    ),
    ...["HVM_VIRIDIAN", "HVM_GENERATION_ID_ADDR", "HVM_PAGING_RING_PFN"].map((name) =>
      param(name, 1),
    ),
    ...["HVM_MONITOR_RING_PFN", "HVM_SHARING_RING_PFN", "HVM_IOREQ_SERVER_PFN"].map((name) =>
      param(name, 2),
    ),
    param("HVM_NR_IOREQ_SERVER_PAGES", 2),
    chunk("VCPU_INFO", u32s(0), words(8, [1])),
    tsc(),
    chunk("TOOLSTACK", u32s(0)),
    end(),
    part("MAGIC_PFNS", words(8, [1, 2, 3])),
    part("HVM_CONTEXT", u32s(hvmContext.byteLength), hvmContext),
    ...(qemu === undefined ? [] : [qemuRecord(qemu)]),
  ];
}

function qemuRecord(signature: QemuSignature): PlanRecord {
  const state = qemuState();
  const size = signature === "QemuDeviceModelRecord" ? [] : [u32s(state.byteLength)];
  return part("QEMU", ascii(signature), ...size, state);
}

// What is told of a single entry of an HVM context, for people.

import { hex } from "../../base/index.ts";
import { sizeOf, read } from "../../bytes/index.ts";
import {
  cpuLayout,
  DEVICE_FIELDS,
  type DeviceField,
  FPU_REGS_BYTES,
  HEADER,
  HEADER_TYPECODE,
  IOAPIC_ENTRIES_AT,
  IOAPIC_MASKED_BIT,
  MSR_HEAD,
  RTC_CMOS_BYTES,
  typeLayout,
  XSAVE_HEAD,
} from "../hvm-context/index.ts";
import { xsaveFeatures } from "./features.ts";

type Fields = Record<string, string>;

export function hvmEntryFields(typecode: number, view: DataView): Fields {
  const name = typeLayout(typecode)?.name ?? "";
  const fields = knownFields(DEVICE_FIELDS[name] ?? [], view);
  if (typecode === HEADER_TYPECODE && view.byteLength >= sizeOf(HEADER)) return header(view);
  if (name === "CPU") return cpu(view);
  if (name === "RTC") return rtc(view);
  if (name === "IOAPIC") return { ...fields, ...redirections(view) };
  if (name === "CPU_XSAVE" && view.byteLength >= sizeOf(XSAVE_HEAD)) {
    const { xcr0 } = read(XSAVE_HEAD, view, 0);
    return { xcr0: hex(xcr0), features: xsaveFeatures(xcr0).join(" ") };
  }
  if (name === "CPU_MSR" && view.byteLength >= sizeOf(MSR_HEAD)) {
    return { count: String(read(MSR_HEAD, view, 0).count) };
  }
  return fields;
}

/** Bodies that older versions of Xen saved are shorter: what they have is told. */
function knownFields(fields: readonly DeviceField[], view: DataView): Fields {
  const found = fields.filter(([, at, bytes]) => at + bytes <= view.byteLength);
  return Object.fromEntries(found.map((field) => [field[0], hex(valueOf(field, view))]));
}

function valueOf([, at, bytes]: DeviceField, view: DataView): number | bigint {
  if (bytes === 1) return view.getUint8(at);
  if (bytes === 2) return view.getUint16(at, true);
  return bytes === 4 ? view.getUint32(at, true) : view.getBigUint64(at, true);
}

function header(view: DataView): Fields {
  const { version, cpuid, gtsc_khz: khz, changeset } = read(HEADER, view, 0);
  return {
    version: String(version),
    cpuid: hex(cpuid),
    tsc_khz: String(khz),
    changeset: hex(changeset),
  };
}

function cpu(view: DataView): Fields {
  const layout = cpuLayout(view.byteLength);
  if (layout === undefined) return {};
  const row = read(layout, view, FPU_REGS_BYTES);
  const names = ["rip", "rsp", "cr3", "msr_efer"];
  return Object.fromEntries(names.map((name) => [name, hex(row[name] ?? 0)]));
}

/** Seconds, minutes, hours, day, month and year stand in BCD or binary, as register B says. */
function rtc(view: DataView): Fields {
  if (view.byteLength < RTC_CMOS_BYTES) return {};
  const isBinary = (view.getUint8(11) & 4) !== 0;
  const two = (at: number): string => {
    const byte = view.getUint8(at);
    return isBinary ? String(byte).padStart(2, "0") : byte.toString(16).padStart(2, "0");
  };
  const date = `${two(9)}-${two(8)}-${two(7)}`;
  return { date, time: `${two(4)}:${two(2)}:${two(0)}` };
}

function redirections(view: DataView): Fields {
  let unmasked = 0;
  let all = 0;
  for (let at = IOAPIC_ENTRIES_AT; at + 8 <= view.byteLength; at += 8) {
    all++;
    if ((view.getUint32(at, true) & (1 << IOAPIC_MASKED_BIT)) === 0) unmasked++;
  }
  return { unmasked_pins: `${unmasked} of ${all}` };
}

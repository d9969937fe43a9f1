// The lines that Xen's verify-stream-v2 prints with -v
// (tools/python/xen/migration/{libxl,libxc}.py), so that whoever reads them by program goes on
// doing so.

import { read } from "../../lib/bytes/index.ts";
import {
  DOMAIN_HEADER,
  DOMAIN_PV,
  EMULATOR_HEAD,
  EMULATOR_HEAD_BYTES,
  EMULATORS,
  IMAGE_HEADER,
  LEGACY_MASK,
  LIBXC,
  LIBXL,
  LIBXL_HEADER,
  libxcRecordOf,
  libxlRecordOf,
  type Piece,
  P2M_FRAMES_HEAD,
  PV_INFO,
  type StreamRecord,
  TSC_INFO,
  VCPU_HEAD,
  type VerifyListener,
} from "../../lib/stream/index.ts";
import { hex } from "../../lib/base/index.ts";

const VCPU_NAMES: Readonly<Record<number, string>> = {
  [LIBXC.vcpuBasic.type]: "basic",
  [LIBXC.vcpuExtended.type]: "extended",
  [LIBXC.vcpuXsave.type]: "xsave",
  [LIBXC.vcpuMsrs.type]: "msrs",
};

export function referenceListing(info: (line: string) => void): VerifyListener {
  let batches = 0;
  const flush = (): void => {
    if (batches > 0) info(`Squashed ${batches} Page Data records together`);
    batches = 0;
  };
  return {
    header({ record, layer }, { view, at }) {
      if (record === "image_header") {
        const { version } = read(IMAGE_HEADER, view, at);
        info(`Libxc Image Header: Version ${version}, little endian`);
      } else if (record === "domain_header") {
        const { type, xen_major: major, xen_minor: minor } = read(DOMAIN_HEADER, view, at);
        const guest = type === DOMAIN_PV ? "x86 PV" : "x86 HVM";
        const from =
          major === 0 ? `legacy converted ${guest}` : `${guest} from Xen ${major}.${minor}`;
        info(`Domain Header: ${from}`);
      } else if (layer === "libxl") {
        const { options } = read(LIBXL_HEADER, view, at);
        const converted = (options & LEGACY_MASK) === 0 ? "" : ", legacy converted";
        info(`Libxl Header: little endian${converted}`);
      }
    },
    record(record) {
      const { layer, type, bodyBytes } = record;
      if (layer === "libxc" && type === LIBXC.pageData.type) {
        batches++;
        return;
      }
      flush();
      if (layer === "xl") info("Processed xl header");
      const title = { libxc: libxcRecordOf(type)?.title, libxl: libxlRecordOf(type)?.title };
      if (layer === "libxc") info(`Libxc Record: ${title.libxc}, length ${bodyBytes}`);
      if (layer === "libxl") info(`Libxl Record: ${title.libxl}, length ${bodyBytes}`);
    },
    body(record, piece) {
      if (piece.bodyAt > 0) return;
      for (const line of record.layer === "libxc" ? libxcLines(record, piece) : []) info(line);
      for (const line of record.layer === "libxl" ? libxlLines(record, piece) : []) info(line);
    },
  };
}

function libxcLines(record: StreamRecord, { view, at }: Piece): string[] {
  if (record.type === LIBXC.pvInfo.type) {
    const { guest_width: width, pt_levels: levels } = read(PV_INFO, view, at);
    return [`  ${width * 8}bit guest, ${levels} levels of pagetables`];
  }
  if (record.type === LIBXC.p2mFrames.type) {
    const { start_pfn: start, end_pfn: end } = read(P2M_FRAMES_HEAD, view, at);
    return [`  Start pfn ${hex(start)}, End ${hex(end)}`];
  }
  if (record.type === LIBXC.tscInfo.type) {
    const { mode, khz, nsec, incarnation } = read(TSC_INFO, view, at);
    return [`  Mode ${mode}, ${khz} kHz, ${nsec} ns, incarnation ${incarnation}`];
  }
  const vcpuName = VCPU_NAMES[record.type];
  if (vcpuName === undefined) return [];
  const { vcpu_id: vcpu } = read(VCPU_HEAD, view, at);
  const bytes = record.bodyBytes - 8;
  const context = `  vcpu${vcpu} ${vcpuName} context, ${bytes} bytes`;
  if (bytes > 0) return [context];
  return [`Warning: X86_PV_VCPU_${vcpuName} record with zero content`, context];
}

function libxlLines(record: StreamRecord, { view, bytes, at, length }: Piece): string[] {
  const isData = record.type === LIBXL.emulatorXenstoreData.type;
  if (!isData && record.type !== LIBXL.emulatorContext.type) return [];
  const { emulator_id: id, index } = read(EMULATOR_HEAD, view, at);
  const name = EMULATORS[id] ?? `Unrecognised ${id}`;
  if (!isData) return [`  Index ${index}, type ${name}`];
  const text = new TextDecoder("latin1").decode(
    bytes.subarray(at + EMULATOR_HEAD_BYTES, at + length),
  );
  const parts = text.split("\0");
  const lines = [`Emulator Xenstore Data (${name}, idx ${index})`];
  for (let part = 0; part + 1 < parts.length; part += 2) {
    lines.push(`  '${parts[part]}' = '${parts[part + 1]}'`);
  }
  return lines;
}

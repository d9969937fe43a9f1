// A small whole xl save file of a made-up PV guest, written through the same layout tables that the
// reader uses: for the self-test and for trying the commands without a hypervisor.

import { type Layout, type Row, sizeOf, u32, write } from "../bytes/index.ts";
import { roundUp } from "../base/index.ts";
import {
  CPUID_LEAF,
  DOMAIN_HEADER,
  DOMAIN_PV,
  IMAGE_HEADER,
  IMAGE_ID,
  IMAGE_MARKER,
  LIBXC,
  MSR_ENTRY,
  P2M_FRAMES_HEAD,
  PAGE_BYTES,
  PAGE_DATA_HEAD,
  PV_INFO,
  TSC_INFO,
  VCPU_BASIC_BYTES,
  VCPU_HEAD,
} from "./libxc/index.ts";
import { LIBXL, LIBXL_HEADER, LIBXL_IDENT, RECORD_HEADER } from "./libxl/index.ts";
import {
  CONFIG_HEAD,
  CONFIG_JSON_MASK,
  SAVE_HEADER,
  SAVE_MAGIC,
  STREAM_V2_MASK,
} from "./xl/index.ts";

const PAGES = 64;
const CONFIG = JSON.stringify({ c_info: { type: "pv", name: "sample" }, b_info: { max_vcpus: 1 } });

/** The whole file: 64 pages, one vcpu, about 270 KB. */
export function sampleStream(): Uint8Array {
  const config = new TextEncoder().encode(`${CONFIG}\0`);
  return join([
    SAVE_MAGIC,
    row(SAVE_HEADER, {
      byteorder: 0x01020304,
      mandatory_flags: CONFIG_JSON_MASK | STREAM_V2_MASK,
      optional_flags: 0,
      optional_data_len: sizeOf(CONFIG_HEAD) + config.byteLength,
    }),
    row(CONFIG_HEAD, { config_len: config.byteLength }),
    config,
    row(LIBXL_HEADER, { ident: LIBXL_IDENT, version: 2, options: 0 }),
    record(LIBXL.libxcContext.type, []),
    ...libxcImage(),
    record(LIBXL.end.type, []),
  ]);
}

function libxcImage(): Uint8Array[] {
  const vcpu = row(VCPU_HEAD, { vcpu_id: 0, reserved: 0 });
  const leaf = { leaf: 0, subleaf: 0, a: 0xd, b: 0, c: 0, d: 0 };
  const tsc = { mode: 0, khz: 2_000_000, nsec: 1_000_000_000n, incarnation: 1, reserved: 0 };
  return [
    row(IMAGE_HEADER, {
      marker: IMAGE_MARKER,
      id: IMAGE_ID,
      version: 3,
      options: 0,
      reserved_a: 0,
      reserved_b: 0,
    }),
    row(DOMAIN_HEADER, {
      type: DOMAIN_PV,
      page_shift: 12,
      reserved: 0,
      xen_major: 4,
      xen_minor: 20,
    }),
    record(LIBXC.pvInfo.type, [
      row(PV_INFO, { guest_width: 8, pt_levels: 4, reserved_a: 0, reserved_b: 0 }),
    ]),
    record(LIBXC.cpuidPolicy.type, [row(CPUID_LEAF, leaf)]),
    record(LIBXC.msrPolicy.type, [row(MSR_ENTRY, { index: 0xce, flags: 0, value: 0n })]),
    record(LIBXC.staticDataEnd.type, []),
    record(LIBXC.p2mFrames.type, [
      row(P2M_FRAMES_HEAD, { start_pfn: 0, end_pfn: PAGES - 1 }),
      words64([1]),
    ]),
    record(LIBXC.pageData.type, pageData()),
    record(LIBXC.tscInfo.type, [row(TSC_INFO, tsc)]),
    record(LIBXC.sharedInfo.type, [new Uint8Array(PAGE_BYTES)]),
    record(LIBXC.vcpuBasic.type, [vcpu, new Uint8Array(VCPU_BASIC_BYTES[8]!)]),
    record(LIBXC.end.type, []),
  ];
}

/** Pages 0 to 63, each filled with its own number. */
function pageData(): Uint8Array[] {
  const pfns = Array.from({ length: PAGES }, (_, pfn) => pfn);
  const contents = pfns.map((pfn) => new Uint8Array(PAGE_BYTES).fill(pfn));
  return [row(PAGE_DATA_HEAD, { count: PAGES, reserved: 0 }), words64(pfns), ...contents];
}

function row<L extends Layout>(layout: L, values: Row<L>): Uint8Array {
  const bytes = new Uint8Array(sizeOf(layout));
  write(layout, new DataView(bytes.buffer), 0, values);
  return bytes;
}

/** Small numbers as u64, little-endian. */
function words64(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) u32.set(view, index * 8, value);
  return bytes;
}

/** Header, body, and zeros up to a multiple of 8. */
function record(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const body = join(parts);
  const padding = new Uint8Array(roundUp(body.byteLength, 8) - body.byteLength);
  return join([row(RECORD_HEADER, { type, body_length: body.byteLength }), body, padding]);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

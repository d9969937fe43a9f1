// A small whole xl save file of a made-up PV guest: for the self-test and for trying the commands
// without a hypervisor.

import { type Sink, sizeOf, u32 } from "../bytes/index.ts";
import {
  CPUID_LEAF,
  DOMAIN_PV,
  LIBXC,
  MSR_ENTRY,
  PAGE_BYTES,
  VCPU_BASIC_BYTES,
} from "./libxc/index.ts";
import { LIBXL } from "./libxl/index.ts";
import {
  beginRecord,
  NO_TAIL,
  writeDomainHeader,
  writeFields,
  writeImageHeader,
  writeLibxlHeader,
  writeRecord,
  writeXlHeader,
} from "./write/index.ts";
import { CONFIG_HEAD, CONFIG_JSON_MASK, STREAM_V2_MASK } from "./xl/index.ts";
import { MemorySink } from "./output/index.ts";

const PAGES = 64;
const CONFIG = JSON.stringify({ c_info: { type: "pv", name: "sample" }, b_info: { max_vcpus: 1 } });

/** The whole file: 64 pages, one vcpu, about 270 KB. */
export function sampleStream(): Uint8Array {
  const sink = new MemorySink();
  const config = new TextEncoder().encode(`${CONFIG}\0`);
  writeXlHeader(sink, {
    byteorder: 0x01020304,
    mandatory_flags: CONFIG_JSON_MASK | STREAM_V2_MASK,
    optional_flags: 0,
    optional_data_len: sizeOf(CONFIG_HEAD) + config.byteLength,
  });
  writeFields(sink, CONFIG_HEAD, { config_len: config.byteLength });
  sink.write(config);
  writeLibxlHeader(sink, 0);
  writeRecord(sink, LIBXL.libxcContext, {}, NO_TAIL);
  writeLibxcImage(sink);
  writeRecord(sink, LIBXL.end, {}, NO_TAIL);
  return sink.contents;
}

function writeLibxcImage(sink: Sink): void {
  const leaf = { leaf: 0, subleaf: 0, a: 0xd, b: 0, c: 0, d: 0 };
  const tsc = { mode: 0, khz: 2_000_000, nsec: 1_000_000_000n, incarnation: 1, reserved: 0 };
  const width = { guest_width: 8, pt_levels: 4, reserved_a: 0, reserved_b: 0 };
  writeImageHeader(sink, 3);
  writeDomainHeader(sink, { type: DOMAIN_PV, xen: [4, 20] });
  writeRecord(sink, LIBXC.pvInfo, width, NO_TAIL);
  beginRecord(sink, LIBXC.cpuidPolicy, {}, sizeOf(CPUID_LEAF));
  writeFields(sink, CPUID_LEAF, leaf);
  beginRecord(sink, LIBXC.msrPolicy, {}, sizeOf(MSR_ENTRY));
  writeFields(sink, MSR_ENTRY, { index: 0xce, flags: 0, value: 0n });
  writeRecord(sink, LIBXC.staticDataEnd, {}, NO_TAIL);
  writeRecord(sink, LIBXC.p2mFrames, { start_pfn: 0, end_pfn: PAGES - 1 }, words64([1]));
  writePages(sink);
  writeRecord(sink, LIBXC.tscInfo, tsc, NO_TAIL);
  writeRecord(sink, LIBXC.sharedInfo, {}, new Uint8Array(PAGE_BYTES));
  const vcpu = new Uint8Array(VCPU_BASIC_BYTES[8]!);
  writeRecord(sink, LIBXC.vcpuBasic, { vcpu_id: 0, reserved: 0 }, vcpu);
  writeRecord(sink, LIBXC.end, {}, NO_TAIL);
}

/** Pages 0 to 63, each filled with its own number. */
function writePages(sink: Sink): void {
  const pfns = words64(Array.from({ length: PAGES }, (_, pfn) => pfn));
  const tailBytes = pfns.byteLength + PAGES * PAGE_BYTES;
  beginRecord(sink, LIBXC.pageData, { count: PAGES, reserved: 0 }, tailBytes);
  sink.write(pfns);
  for (let pfn = 0; pfn < PAGES; pfn++) sink.write(new Uint8Array(PAGE_BYTES).fill(pfn));
}

/** Small numbers as u64, little-endian. */
function words64(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) u32.set(view, index * 8, value);
  return bytes;
}

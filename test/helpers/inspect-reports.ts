// Reports of inspect for tests of its page: of a built stream, of a guest as large as they get, and
// of one whose every string is an attack.

import type { InspectReport } from "../../lib/stream/inspect/index.ts";
import { fullXlStream } from "./full-stream.ts";
import { inspectBytes } from "./inspect-bytes.ts";
import { PV64 } from "./stream-builder.ts";

const GIB_PAGES = 2 ** 18;
const BINS = 1024;

export const smallReport = (guest: "pv" | "hvm"): InspectReport =>
  inspectBytes(fullXlStream({ ...PV64, guest, vcpus: 2, pages: 64 }), { contents: true });

/**
 * A guest of 64 GiB with 128 vcpus, checkpointed a thousand times, with no two bins alike: what
 * makes the largest page.
 */
export function hugeReport(): InspectReport {
  const small = smallReport("hvm");
  const vcpu = small.vcpus[0]!;
  const entry = small.hvm_context!.entries[0]!;
  const vcpuIds = Array.from({ length: 128 }, (_, id) => id);
  const fields = Object.fromEntries(vcpuIds.slice(0, 12).map((id) => [`field_${id}`, "0xffff"]));
  return {
    ...small,
    kind: "remus",
    end_offset: 2 ** 38,
    memory: hugeMemory(small),
    iterations: hugeIterations(small),
    record_runs: Array.from({ length: 1024 }, (_, index) => ({
      layer: "libxc",
      name: index % 2 === 0 ? "PAGE_DATA" : "X86_PV_VCPU_EXTENDED",
      first_record_number: index * 9000,
      count: 8999,
      offset: index * 2 ** 28,
      bytes: 2 ** 27,
    })),
    vcpus: vcpuIds.map((id) => ({ ...vcpu, id, registers: wide(vcpu.registers) })),
    hvm_context: {
      ...small.hvm_context!,
      entries: vcpuIds.flatMap((instance) =>
        Array.from({ length: 8 }, () => ({ ...entry, instance, fields })),
      ),
    },
  };
}

const wide = (registers: InspectReport["vcpus"][number]["registers"]) =>
  Object.fromEntries(Object.keys(registers).map((name) => [name, "0xffffffff81000000"]));

function hugeMemory({ memory }: InspectReport): InspectReport["memory"] {
  const perBin = (64 * GIB_PAGES) / BINS;
  const list = (share: number): number[] =>
    Array.from({ length: BINS }, (_, bin) => Math.floor(perBin * share) - ((bin * 7) % 97));
  return {
    ...memory,
    sent: 64 * GIB_PAGES * 3,
    with_contents: 64 * GIB_PAGES * 3,
    sent_again: 64 * GIB_PAGES * 2,
    pfns: 64 * GIB_PAGES,
    populated_pfns: 64 * GIB_PAGES,
    highest_pfn: 64 * GIB_PAGES - 1,
    map: {
      pfns_per_bin: perBin,
      bins: BINS,
      normal: list(0.5),
      page_table: list(0.1),
      allocated: list(0.1),
      hole: list(0.1),
      broken: list(0.1),
      unknown: list(0.1),
      sent_again: list(0.4),
      sends: list(3),
      zero: list(0.2),
      duplicate: list(0.2),
    },
  };
}

function hugeIterations({ iterations }: InspectReport): InspectReport["iterations"] {
  const first = iterations.list[0]!;
  const list = Array.from({ length: 1024 }, (_, index) => ({
    ...first,
    number: index < 16 ? index + 1 : index + 500_000,
    role: index === 0 ? ("all" as const) : ("checkpoint" as const),
    checkpoint: index,
    pages: index === 0 ? 64 * GIB_PAGES : 20_000 + ((index * 7919) % 15_000),
    offset: index * 2 ** 28,
    end_offset: index * 2 ** 28 + 2 ** 27,
    ratio: 1.01,
  }));
  return { ...iterations, total: 501_008, left_off: 499_984, list };
}

/** What a hostile stream would like to be in the page. */
export const ATTACK =
  `</script></style></title></textarea><img src=x onerror="alert(1)"><svg/onload=alert(2)>` +
  `"'\`--><script>alert(3)</script>\u202e\0\ud800{{7*7}}\${8*8}`;

/** Every string of a report replaced, but the words that its schema lists. */
export function attackedReport(report: InspectReport): InspectReport {
  const kept = { format: report.format, kind: report.kind };
  const attacked = attackedValue(report, "") as InspectReport;
  return { ...attacked, ...kept, stopped: null, complete: true };
}

const LISTED = ["role", "convergence", "type", "kind", "severity"];

function attackedValue(value: unknown, name: string): unknown {
  if (typeof value === "string") return LISTED.includes(name) ? value : ATTACK;
  if (Array.isArray(value)) return value.map((item) => attackedValue(item, name));
  if (typeof value !== "object" || value === null) return value;
  const isFree = name === "registers" || name === "fields";
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      isFree ? `${key}${ATTACK}` : key,
      attackedValue(item, key),
    ]),
  );
}

// The CPUID and MSR policies: what the guest's processors can do.

import { CPUID_LEAF, MSR_ENTRY } from "../libxc/index.ts";
import { bitNames, FEATURE_REGISTERS, type Register } from "./features.ts";
import { describeMsr } from "./msrs.ts";
import type { InspectCpuid, InspectMsr } from "./report-state.ts";
import { rowsWithin, type WholeBody } from "./whole-body.ts";

/** Xen writes some 60 leaves and 2 MSRs. */
const LEAVES_KEPT = 1024;
const MSRS_KEPT = 256;
/** XEN_CPUID_NO_SUBLEAF (xen/include/public/arch-x86/xen.h). */
const NO_SUBLEAF = 0xffff_ffff;

type Leaf = InspectCpuid["leaves"][number];

export function readCpuidPolicy(body: WholeBody): InspectCpuid {
  const rows = rowsWithin(body, CPUID_LEAF, { at: 0, most: LEAVES_KEPT });
  const leaves = rows.map(({ leaf, subleaf, a, b, c, d }): Leaf => ({
    leaf,
    subleaf: subleaf === NO_SUBLEAF ? null : subleaf,
    eax: a,
    ebx: b,
    ecx: c,
    edx: d,
  }));
  const all = Math.floor(body.view.byteLength / 24);
  return {
    ...identity(leaves),
    features: features(leaves),
    leaves,
    leaves_left_off: all - leaves.length,
  };
}

export const readMsrPolicy = (body: WholeBody): InspectMsr[] =>
  rowsWithin(body, MSR_ENTRY, { at: 0, most: MSRS_KEPT }).map(({ index, value }) =>
    describeMsr(index, value),
  );

const leafOf = (leaves: readonly Leaf[], leaf: number, subleaf: number): Leaf | undefined =>
  leaves.find((row) => row.leaf === leaf && (row.subleaf ?? 0) === subleaf);

function features(leaves: readonly Leaf[]): InspectCpuid["features"] {
  return FEATURE_REGISTERS.flatMap(({ leaf, subleaf, register, names }) => {
    const row = leafOf(leaves, leaf, subleaf);
    if (row === undefined || row[register] === 0) return [];
    const sub = row.subleaf === null ? "" : `:${subleaf}`;
    const name = `${leaf.toString(16)}${sub} ${register}`;
    return [{ leaf: name, names: bitNames(BigInt(row[register]), names) }];
  });
}

function identity(leaves: readonly Leaf[]) {
  const first = leafOf(leaves, 0, 0);
  const version = leafOf(leaves, 1, 0)?.eax;
  const brand = [0x8000_0002, 0x8000_0003, 0x8000_0004].map((leaf) => leafOf(leaves, leaf, 0));
  const brandText = brand
    .map((row) => (row === undefined ? "" : letters(row, ["eax", "ebx", "ecx", "edx"])))
    .join("")
    .trim();
  const vendor = first === undefined ? "" : letters(first, ["ebx", "edx", "ecx"]);
  return {
    vendor: vendor === "" ? null : vendor,
    brand: brandText === "" ? null : brandText,
    ...(version === undefined
      ? { family: null, model: null, stepping: null }
      : familyModelStepping(version)),
  };
}

/** Leaf 1 eax: the extended fields count for family 15 (and the model's for family 6 too). */
function familyModelStepping(version: number) {
  const base = (version >>> 8) & 0xf;
  const family = base === 0xf ? base + ((version >>> 20) & 0xff) : base;
  const low = (version >>> 4) & 0xf;
  const model = base === 0xf || base === 6 ? low + (((version >>> 16) & 0xf) << 4) : low;
  return { family, model, stepping: version & 0xf };
}

/** Registers as the text they spell; anything unprintable ends it. */
function letters(row: Leaf, registers: readonly Register[]): string {
  const bytes = new Uint8Array(registers.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, register] of registers.entries())
    view.setUint32(index * 4, row[register], true);
  const text = String.fromCharCode(...bytes);
  return /^[ -~]*/.exec(text)?.[0] ?? "";
}

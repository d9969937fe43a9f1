// The guest's processors: vCPUs with their registers, the clock, what CPUID and MSRs promise.

import { hex } from "../../../lib/base/index.ts";
import type { InspectReport } from "../../../lib/stream/index.ts";
import { type Html, html, NOTHING, type Part } from "../html/escape.ts";
import { absent, collapsible, pairs, type Section } from "../html/section.ts";
import { type Cell, countCell, EMPTY_CELL, hexCell, table, textCell } from "../html/table.ts";
import { formatBytes, formatCount } from "../numbers.ts";
import { many } from "./words.ts";

type Vcpu = InspectReport["vcpus"][number];
type Msrs = InspectReport["msrs"];

/** A page with the registers of more would be slow; the table has the others too. */
const VCPUS_IN_FULL = 32;
const FEW_VCPUS = 4;

export function vcpusSection(report: InspectReport): Section {
  const { vcpus, vcpus_left_off: leftOff, tsc } = report;
  const more = vcpus.length - VCPUS_IN_FULL;
  return {
    id: "vcpus",
    title: "vCPUs and clock",
    aside: vcpus.length === 0 ? undefined : many(vcpus.length + leftOff, "vCPU"),
    body: [
      vcpus.length === 0
        ? absent("No vCPU state was read.")
        : [vcpusTable(vcpus, leftOff), registerParts(vcpus.slice(0, VCPUS_IN_FULL))],
      more > 0 && absent(`The registers of ${many(more, "further vCPU")}: see --json.`),
      tsc === null ? NOTHING : clock(tsc),
    ],
  };
}

const vcpusTable = (vcpus: readonly Vcpu[], leftOff: number): Html =>
  table({
    id: "vcpus-table",
    caption: "vCPUs, as they were sent last",
    isCaptionHidden: true,
    columns: [
      { title: "vCPU", kind: "number" },
      { title: "Kind", kind: "text" },
      { title: "rip", kind: "number" },
      { title: "rsp", kind: "number" },
      { title: "cr3", kind: "number" },
      { title: "Flags", kind: "text" },
      { title: "Sent", kind: "number" },
      { title: "Offset", kind: "number" },
    ],
    rows: vcpus.map(({ id, kind, registers, flags, times_sent: times, offset }) => [
      countCell(id),
      textCell(kind),
      registerCell(registers["rip"] ?? registers["eip"]),
      registerCell(registers["rsp"] ?? registers["esp"]),
      registerCell(registers["cr3"]),
      textCell(flags.join(", ")),
      countCell(times),
      hexCell(offset),
    ]),
    leftOff,
  });

const registerCell = (value: string | undefined): Cell =>
  value === undefined ? EMPTY_CELL : textCell(value);

/** A few stand open to the eye, many behind one more disclosure. */
function registerParts(vcpus: readonly Vcpu[]): Part {
  if (vcpus.length <= FEW_VCPUS) {
    return vcpus.map((vcpu, index) =>
      collapsible({
        title: `Registers of vCPU ${vcpu.id}`,
        aside: setAndZero(vcpu),
        isOpen: false,
        body: registers(vcpu, index),
      }),
    );
  }
  return collapsible({
    title: "Registers",
    aside: many(vcpus.length, "vCPU"),
    isOpen: false,
    body: vcpus.map(
      (vcpu, index) =>
        html`<details class="data">
          <summary>vCPU ${vcpu.id}: ${setAndZero(vcpu)}</summary>
          ${registers(vcpu, index)}
        </details>`,
    ),
  });
}

const zeroNames = ({ registers: all }: Vcpu): string[] =>
  Object.keys(all).filter((name) => Number(all[name]) === 0);

function setAndZero(vcpu: Vcpu): string {
  const zero = zeroNames(vcpu).length;
  return `${Object.keys(vcpu.registers).length - zero} set, ${zero} zero`;
}

/** `index` in the list: a damaged stream may have two vCPUs of one number. */
function registers(vcpu: Vcpu, index: number): Html {
  const { id, xsave, extended_bytes: extended, msrs } = vcpu;
  const zero = zeroNames(vcpu);
  const list = Object.entries(vcpu.registers).filter(([name]) => !zero.includes(name));
  if (xsave !== null) {
    list.push(["xsave", `${formatBytes(xsave.bytes)}: ${xsave.features.join(", ")}`]);
    list.push(["xcr0", xsave.xcr0], ["xcr0_accum", xsave.xcr0_accum]);
  }
  if (extended !== null) list.push(["extended state", `${extended} bytes`]);
  return html`${pairs(list, { isCode: true })}${
    zero.length > 0 && html`<p class="aside">Zero: ${zero.join(", ")}.</p>`
  }${msrs.length > 0 && msrTable(`vcpu-msrs-${index}`, `MSRs of vCPU ${id}`, msrs)}`;
}

const clock = (tsc: NonNullable<InspectReport["tsc"]>): Html =>
  collapsible({
    title: "Time-stamp counter",
    aside: undefined,
    isOpen: true,
    body: pairs(
      [
        ["Mode", `${tsc.mode_name} (${tsc.mode})`],
        ["Frequency", `${formatCount(tsc.khz)} kHz`],
        ["Elapsed", `${(Number(tsc.nsec) / 1e9).toFixed(3)} s`],
        ["Incarnation", String(tsc.incarnation)],
      ],
      { isCode: false },
    ),
  });

// ---- Policies -------------------------------------------------------------------------------

export function policySection({ cpuid, msrs, guest }: InspectReport): Section | undefined {
  if (cpuid === null && msrs.length === 0) {
    if (guest.libxc_version !== 3) return undefined;
    const body = absent("No CPUID or MSR policy was read.");
    return { id: "policy", title: "CPU policy", aside: undefined, body };
  }
  return {
    id: "policy",
    title: "CPU policy",
    aside: cpuid?.vendor ?? undefined,
    body: [
      cpuid === null ? NOTHING : cpuidParts(cpuid),
      msrs.length > 0 &&
        collapsible({
          title: "MSR policy",
          aside: many(msrs.length, "MSR"),
          isOpen: true,
          body: msrTable("msrs-table", "MSR policy", msrs),
        }),
    ],
  };
}

function cpuidParts(cpuid: NonNullable<InspectReport["cpuid"]>): Html {
  const { vendor, brand, family, model, stepping, features, leaves } = cpuid;
  const facts: [string, string][] = [];
  if (brand !== null) facts.push(["Brand", brand]);
  if (vendor !== null) facts.push(["Vendor", vendor]);
  if (family !== null) facts.push(["Family", hex(family)]);
  if (model !== null) facts.push(["Model", hex(model)]);
  if (stepping !== null) facts.push(["Stepping", hex(stepping)]);
  const count = features.reduce((total, { names }) => total + names.length, 0);
  return html`${pairs(facts, { isCode: false })}${collapsible({
    title: "CPUID features",
    aside: `${count} set`,
    isOpen: true,
    body: html`<dl class="features">
      ${features.map(
        ({ leaf, names }) =>
          html`<div>
            <dt><code>${leaf}</code></dt>
            <dd>
              <ul class="names">
                ${names.map((name) => html`<li>${name}</li>`)}
              </ul>
            </dd>
          </div>`,
      )}
    </dl>`,
  })}${collapsible({
    title: "CPUID leaves",
    aside: many(leaves.length + cpuid.leaves_left_off, "leaf", "leaves"),
    isOpen: false,
    body: leavesTable(cpuid),
  })}`;
}

const word = (value: number): Cell => ({
  content: `0x${value.toString(16).padStart(8, "0")}`,
  sort: value,
});

const leavesTable = ({
  leaves,
  leaves_left_off: leftOff,
}: NonNullable<InspectReport["cpuid"]>): Html =>
  table({
    id: "leaves-table",
    caption: "CPUID leaves",
    isCaptionHidden: true,
    columns: ["Leaf", "Subleaf", "eax", "ebx", "ecx", "edx"].map(
      (title) => ({ title, kind: "number" }) as const,
    ),
    rows: leaves.map(({ leaf, subleaf, eax, ebx, ecx, edx }) => [
      hexCell(leaf),
      subleaf === null ? EMPTY_CELL : hexCell(subleaf),
      ...[eax, ebx, ecx, edx].map(word),
    ]),
    leftOff,
  });

const msrTable = (id: string, caption: string, msrs: Msrs): Html =>
  table({
    id,
    caption,
    isCaptionHidden: true,
    columns: [
      { title: "MSR", kind: "text" },
      { title: "Index", kind: "number" },
      { title: "Value", kind: "number" },
      { title: "Features", kind: "text" },
    ],
    rows: msrs.map(({ index, name, value, features }) => [
      textCell(name ?? hex(index)),
      hexCell(index),
      textCell(value),
      textCell(features.join(", ")),
    ]),
    leftOff: 0,
  });

// The parts of `agent inspect` about the guest's state: vcpus, HVM parameters and context,
// emulators, xenstore, policies and config.

import { hex, plural } from "../../lib/base/index.ts";
import type { InspectReport, InspectVcpu } from "../../lib/stream/index.ts";
import { formatBytes, formatCount } from "./numbers.ts";
import { grid, pairs, paragraph, table, type TextStyle } from "./text-layout.ts";

const VCPUS_SHOWN = 8;

const hasValue = (value: string): boolean => value !== "0x0";

export function vcpuLines(report: InspectReport, style: TextStyle, all: boolean): string[] {
  const { vcpus, vcpus_left_off: leftOff } = report;
  if (vcpus.length === 0) return paragraph("no vcpus in this stream", style);
  const shown = all ? vcpus : vcpus.slice(0, VCPUS_SHOWN);
  const lines = shown.flatMap((vcpu) => [...oneVcpu(vcpu, style), ""]);
  const more = vcpus.length - shown.length + leftOff;
  if (more > 0) return [...lines, ...paragraph(`... and ${plural(more, "vcpu")} more`, style)];
  return lines.slice(0, -1);
}

const VCPU_KINDS = { pv32: "32-bit PV", pv64: "64-bit PV", hvm: "HVM" } as const;

function oneVcpu(vcpu: InspectVcpu, style: TextStyle): string[] {
  const { id, kind, times_sent: times, offset, xsave, extended_bytes: extended } = vcpu;
  const again = times > 1 ? `, sent ${times} times` : "";
  const flags = vcpu.flags.length > 0 ? `: ${vcpu.flags.join(", ")}` : "";
  const title = `vcpu ${id} (${VCPU_KINDS[kind]}, at ${hex(offset)}${again})${flags}`;
  const lines = [...paragraph(title, style), ...registerLines(vcpu.registers, style)];
  if (xsave !== null) {
    const features = `${xsave.features.join(" ")} (xcr0 ${xsave.xcr0})`;
    lines.push(...paragraph(`xsave: ${formatBytes(xsave.bytes)}, ${features}`, style));
  }
  if (extended !== null) lines.push(...paragraph(`extended state: ${extended} bytes`, style));
  const msrs = vcpu.msrs.map(({ index, name, value }) => `${name ?? hex(index)} ${value}`);
  return msrs.length === 0 ? lines : [...lines, ...paragraph(`MSRs: ${msrs.join(", ")}`, style)];
}

/** What somebody who debugs a guest looks at first; the others follow as they stand. */
const FIRST_REGISTERS: readonly string[] = [
  ...["rip", "eip", "rsp", "esp", "rflags", "eflags", "rbp", "ebp", "rax", "eax", "rbx", "ebx"],
  ...["rcx", "ecx", "rdx", "edx", "rsi", "esi", "rdi", "edi", "r8", "r9", "r10", "r11", "r12"],
  ...["r13", "r14", "r15", "cr0", "cr2", "cr3", "cr4", "cr1"],
];
const SHORT_NAME_LENGTH = 6;

function registerLines(registers: InspectVcpu["registers"], style: TextStyle): string[] {
  const rank = (name: string): number => {
    const index = FIRST_REGISTERS.indexOf(name);
    return index === -1 ? FIRST_REGISTERS.length : index;
  };
  const names = Object.keys(registers).sort((left, right) => rank(left) - rank(right));
  const cells = (wanted: (name: string) => boolean): string[] => {
    const shown = names.filter((name) => hasValue(registers[name] ?? "0x0") && wanted(name));
    const width = Math.max(0, ...shown.map((name) => name.length));
    return shown.map((name) => `${name.padEnd(width)} ${registers[name]}`);
  };
  const zero = names.filter((name) => !hasValue(registers[name] ?? "0x0"));
  return [
    ...grid(
      cells(({ length }) => length <= SHORT_NAME_LENGTH),
      style,
    ),
    ...grid(
      cells(({ length }) => length > SHORT_NAME_LENGTH),
      style,
    ),
    ...(zero.length > 0 ? paragraph(`zero: ${runsOf(zero).join(" ")}`, style) : []),
  ];
}

/** "dr0 dr1 dr2" as "dr0-dr2": numbered names that follow each other. */
function runsOf(names: readonly string[]): string[] {
  const runs: { readonly stem: string; readonly first: number; last: number }[] = [];
  for (const name of names) {
    const [, stem = name, digits] = /^(.*?\D)(\d+)$/.exec(name) ?? [];
    const number = digits === undefined ? Number.NaN : Number(digits);
    const run = runs.at(-1);
    if (run !== undefined && run.stem === stem && run.last + 1 === number) run.last = number;
    else runs.push({ stem, first: number, last: number });
  }
  return runs.map(({ stem, first, last }) => {
    if (Number.isNaN(first)) return stem;
    return first === last ? `${stem}${first}` : `${stem}${first}-${stem}${last}`;
  });
}

export function hvmLines(report: InspectReport, style: TextStyle): string[] {
  const { hvm_params: params, hvm_context: context } = report;
  if (params.length === 0 && context === null) return paragraph("not an HVM guest", style);
  const lines: string[] = [];
  if (params.length > 0) {
    const rows = params.map(({ index, name, value, meaning }) => [
      String(index),
      name ?? "unknown",
      value,
      meaning ?? "",
    ]);
    lines.push(
      ...table(
        [
          { title: "param", align: "right" },
          { title: "name" },
          { title: "value", align: "right" },
          { title: "meaning", wrap: true },
        ],
        rows,
        style,
      ),
      "",
    );
  }
  return context === null ? lines.slice(0, -1) : [...lines, ...contextLines(context, style)];
}

type Context = NonNullable<InspectReport["hvm_context"]>;

function contextLines({ entries, entries_left_off: leftOff, ...rest }: Context, style: TextStyle) {
  const again = rest.times_sent > 1 ? `, sent ${rest.times_sent} times` : "";
  const size = `HVM context at ${hex(rest.offset)}, ${formatBytes(rest.bytes)}${again}`;
  const lines = table(
    [
      { title: "entry" },
      { title: "no", align: "right" },
      { title: "bytes", align: "right", drop: 1 },
      { title: "at", align: "right", drop: 2 },
      { title: "holds", wrap: true },
    ],
    entries.map(({ name, instance, bytes, offset, fields }) => [
      name,
      String(instance),
      formatCount(bytes),
      hex(offset),
      fieldsText(fields),
    ]),
    style,
  );
  if (leftOff > 0) lines.push(...paragraph(`... and ${leftOff} more`, style));
  return [...paragraph(size, style), ...lines];
}

/** Of the registers of devices only those that say something. */
function fieldsText(fields: Readonly<Record<string, string>>): string {
  const entries = Object.entries(fields);
  const shown = entries.filter(([, value]) => hasValue(value));
  if (shown.length === 0 && entries.length > 0) return "all zero";
  return shown.map(([name, value]) => `${name} ${value}`).join(", ");
}

export function emulatorLines({ emulators }: InspectReport, style: TextStyle): string[] {
  if (emulators.length === 0) return paragraph("no emulator state in this stream", style);
  return emulators
    .flatMap((emulator) => {
      const { kind, index, offset, bytes, times_sent: times, machine, sections } = emulator;
      const again = times > 1 ? `, sent ${times} times` : "";
      const on = machine === null ? "" : `, machine ${machine}`;
      const size = `${formatBytes(bytes)} at ${hex(offset)}`;
      const title = `${kind} ${index}: ${size}${again}${on}, ${plural(sections.length, "section")}`;
      const rows = sections.map((section) => [
        section.name,
        section.kind === "full" ? "" : section.kind,
        String(section.instance_id),
        String(section.version_id),
        formatCount(section.bytes),
        hex(section.offset),
      ]);
      return [
        "",
        ...paragraph(title, style),
        ...table(
          [
            { title: "device" },
            { title: "part", drop: 3 },
            { title: "instance", align: "right" },
            { title: "version", align: "right" },
            { title: "bytes", align: "right", drop: 1 },
            { title: "at", align: "right", drop: 2 },
          ],
          rows,
          style,
        ),
      ];
    })
    .slice(1);
}

export function xenstoreLines(report: InspectReport, style: TextStyle): string[] {
  const { xenstore, xenstore_left_off: leftOff } = report;
  if (xenstore.length === 0) return paragraph("no xenstore keys in this stream", style);
  const lines = pairs(
    xenstore.map(({ key, value }) => [key, value] as const),
    style,
  );
  return leftOff > 0 ? [...lines, ...paragraph(`... and ${leftOff} more`, style)] : lines;
}

/** `all`: also the leaves as numbers. */
export function policyLines(report: InspectReport, style: TextStyle, all: boolean): string[] {
  const { cpuid, msrs } = report;
  if (cpuid === null && msrs.length === 0) return paragraph("no policy in this stream", style);
  const lines: string[] = [];
  if (cpuid !== null) {
    const { vendor, brand, family, model, stepping } = cpuid;
    const numbers = family === null ? "" : `family ${family} model ${model} stepping ${stepping}`;
    lines.push(
      ...pairs(
        [
          ["processor", `${vendor ?? "unknown"} ${numbers}`],
          ...(brand === null ? [] : [["brand", brand] as const]),
          ...cpuid.features.map(({ leaf, names }) => [leaf, names.join(" ")] as const),
        ],
        style,
      ),
    );
    const leaves = plural(cpuid.leaves.length + cpuid.leaves_left_off, "CPUID leaf");
    if (all) lines.push("", ...leafLines(cpuid, style));
    else lines.push(...paragraph(`${leaves.replace("leafs", "leaves")} in all`, style));
  }
  if (msrs.length === 0) return lines;
  const rows = msrs.map((msr) => [
    hex(msr.index),
    msr.name ?? "unknown",
    msr.value,
    msr.features.join(" "),
  ]);
  const columns = [
    { title: "MSR", align: "right" },
    { title: "name" },
    { title: "value", align: "right" },
    { title: "bits", wrap: true },
  ] as const;
  return [...lines, "", ...table(columns, rows, style)];
}

type Cpuid = NonNullable<InspectReport["cpuid"]>;

const leafLines = ({ leaves }: Cpuid, style: TextStyle): string[] =>
  table(
    ["leaf", "sub", "eax", "ebx", "ecx", "edx"].map((title) => ({ title, align: "right" })),
    leaves.map(({ leaf, subleaf, eax, ebx, ecx, edx }) => [
      hex(leaf),
      subleaf === null ? "" : String(subleaf),
      ...[eax, ebx, ecx, edx].map((value) => value.toString(16).padStart(8, "0")),
    ]),
    style,
  );

export function configLines({ config, suspend_image: image }: InspectReport, style: TextStyle) {
  if (config === null && image === null) return paragraph("no config in this stream", style);
  const lines: string[] = [];
  if (image !== null) {
    const rows = Object.entries(image).flatMap(([name, value]) =>
      value === null ? [] : [[name, value] as const],
    );
    lines.push(...pairs(rows, style));
  }
  if (config === null) return lines;
  const { settings, settings_left_off: leftOff, offset, bytes, text } = config;
  lines.push(...paragraph(`${formatBytes(bytes)} at ${hex(offset)}`, style));
  if (settings.length === 0)
    lines.push(...text.split("\n").flatMap((line) => paragraph(line, style)));
  lines.push(
    ...pairs(
      settings.map(({ name, value }) => [name, value] as const),
      style,
    ),
  );
  return leftOff > 0 ? [...lines, ...paragraph(`... and ${leftOff} more`, style)] : lines;
}

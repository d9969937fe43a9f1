// The device model's state, its keys in xenstore, and what Xen keeps of an HVM guest's platform.

import { hex } from "../../../lib/base/index.ts";
import type { InspectReport } from "../../../lib/stream/index.ts";
import { type Html, html, NOTHING } from "../html/escape.ts";
import { collapsible, paragraph, type Section } from "../html/section.ts";
import { type Cell, countCell, EMPTY_CELL, hexCell, table, textCell } from "../html/table.ts";
import { formatBytes } from "../numbers.ts";
import { many } from "./words.ts";

type Emulator = InspectReport["emulators"][number];

/** undefined: nobody emulates devices for this guest. */
export function devicesSection(report: InspectReport): Section | undefined {
  const { emulators, xenstore } = report;
  if (emulators.length === 0 && xenstore.length === 0) return undefined;
  const bytes = emulators.reduce((total, emulator) => total + emulator.bytes, 0);
  return {
    id: "devices",
    title: "Device model",
    aside: `${formatBytes(bytes)} of state`,
    body: [emulators.map(emulatorPart), xenstoreTable(report)],
  };
}

function emulatorPart(emulator: Emulator, position: number): Html {
  const { kind, index, offset, bytes, times_sent: times, machine, sections } = emulator;
  const facts = [
    `${kind}, index ${index}, ${formatBytes(bytes)} at ${hex(offset)}`,
    machine === null ? "" : `, machine ${machine}`,
    times > 1 ? `; sent ${times} times, this is the last one` : "",
    emulator.is_qemu_stream ? "" : "; not a migration stream of QEMU, so not looked into",
  ];
  const devices = sections.length > 0 && sectionsTable(emulator, position);
  return html`${paragraph(`${facts.join("")}.`)}${devices}`;
}

const sectionsTable = (
  { sections, sections_left_off: leftOff }: Emulator,
  position: number,
): Html =>
  table({
    id: `sections-table-${position}`,
    caption: "Devices, with the version of their state",
    isCaptionHidden: false,
    columns: [
      { title: "Device", kind: "text" },
      { title: "Version", kind: "number" },
      { title: "Instance", kind: "number" },
      { title: "Section", kind: "number" },
      { title: "Kind", kind: "text" },
      { title: "Bytes", kind: "number" },
      { title: "Offset", kind: "number" },
    ],
    rows: sections.map((section) => [
      textCell(section.name),
      countCell(section.version_id),
      countCell(section.instance_id),
      countCell(section.section_id),
      textCell(section.kind),
      countCell(section.bytes),
      hexCell(section.offset),
    ]),
    leftOff,
  });

function xenstoreTable({ xenstore, xenstore_left_off: leftOff }: InspectReport): Html {
  if (xenstore.length === 0) return NOTHING;
  return collapsible({
    title: "Xenstore keys",
    aside: many(xenstore.length + leftOff, "key"),
    isOpen: true,
    body: table({
      id: "xenstore-table",
      caption: "Xenstore keys that travel with the guest",
      isCaptionHidden: true,
      columns: [
        { title: "Key", kind: "code" },
        { title: "Value", kind: "code" },
      ],
      rows: xenstore.map(({ key, value }) => [textCell(key), textCell(value)]),
      leftOff,
    }),
  });
}

/** undefined for a PV guest. */
export function platformSection(report: InspectReport): Section | undefined {
  const { hvm_params: params, hvm_context: context } = report;
  if (params.length === 0 && context === null) return undefined;
  return {
    id: "platform",
    title: "HVM platform",
    aside: undefined,
    body: [context === null ? NOTHING : contextPart(context), paramsPart(params)],
  };
}

function contextPart(context: NonNullable<InspectReport["hvm_context"]>): Html {
  const { entries, entries_left_off: leftOff, bytes, offset, times_sent: times } = context;
  const again = times > 1 ? `; sent ${times} times, this is the last one` : "";
  return collapsible({
    title: "HVM context",
    aside: `${many(entries.length + leftOff, "entry", "entries")}, ${formatBytes(
      bytes,
    )} at ${hex(offset)}${again}`,
    isOpen: true,
    body: table({
      id: "context-table",
      caption: "Entries of the HVM context",
      isCaptionHidden: true,
      columns: [
        { title: "Entry", kind: "text" },
        { title: "Instance", kind: "number" },
        { title: "What is known of it", kind: "code" },
        { title: "Type", kind: "number" },
        { title: "Bytes", kind: "number" },
        { title: "Offset", kind: "number" },
      ],
      rows: entries.map((entry): Cell[] => [
        textCell(entry.name),
        countCell(entry.instance),
        textCell(
          Object.entries(entry.fields)
            .map(([name, value]) => `${name} ${value}`)
            .join(", "),
        ),
        countCell(entry.typecode),
        countCell(entry.bytes),
        hexCell(entry.offset),
      ]),
      leftOff,
    }),
  });
}

function paramsPart(params: InspectReport["hvm_params"]): Html {
  if (params.length === 0) return NOTHING;
  return collapsible({
    title: "HVM parameters",
    aside: many(params.length, "parameter"),
    isOpen: true,
    body: table({
      id: "params-table",
      caption: "HVM parameters",
      isCaptionHidden: true,
      columns: [
        { title: "Parameter", kind: "text" },
        { title: "Value", kind: "number" },
        { title: "Meaning", kind: "text" },
        { title: "Index", kind: "number" },
      ],
      rows: params.map(({ index, name, value, meaning }) => [
        textCell(name ?? `parameter ${index}`),
        textCell(value),
        meaning === null ? EMPTY_CELL : textCell(meaning),
        countCell(index),
      ]),
      leftOff: 0,
    }),
  });
}

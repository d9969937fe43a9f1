// Memory by pfn and type: the maps, the types, how often each pfn was sent.

import { hex } from "../../../lib/base/index.ts";
import type { InspectMemoryMap, InspectReport } from "../../../lib/stream/index.ts";
import { binMap, type MapClass, mapProbe, mapShape, type MapShape } from "../html/bin-map.ts";
import { columnChart } from "../html/column-chart.ts";
import { type Html, html, type Part } from "../html/escape.ts";
import { figure, type LegendEntry, side } from "../html/figure.ts";
import type { Fill } from "../html/fills.ts";
import { absent, collapsible, type Section } from "../html/section.ts";
import { barCell, countCell, hexCell, table, textCell } from "../html/table.ts";
import { formatBytes, formatCount, formatShare } from "../numbers.ts";
import { CONTENTS, PAGE_BYTES, sum } from "./words.ts";

type Memory = InspectReport["memory"];

export function memorySection(report: InspectReport): Section {
  const { memory } = report;
  const base = { id: "memory", title: "Memory" };
  if (memory.sent === 0) {
    const where = report.complete ? "in this stream" : "in what could be read";
    return { ...base, aside: undefined, body: absent(`There are no pages ${where}.`) };
  }
  const pfns = memory.pfns === null ? "" : `, ${formatCount(memory.pfns)} different pfns`;
  return {
    ...base,
    aside: `${formatCount(memory.sent)} entries${pfns}`,
    body: [
      memory.map === null
        ? absent("There is no map: the pfns are too scattered to keep, or none was sent.")
        : maps(memory.map, report),
      typesTable(memory),
      timesChart(memory),
    ],
  };
}

// ---- Maps -----------------------------------------------------------------------------------

const KINDS = [
  { list: "normal", label: "ordinary pages", fill: "blue" },
  { list: "page_table", label: "page tables", fill: "amber" },
  { list: "allocated", label: "allocated, contents not sent", fill: "dots-green" },
  { list: "unknown", label: "of an unknown type", fill: "upright-purple" },
  { list: "broken", label: "broken", fill: "cross-red" },
  { list: "hole", label: "holes", fill: "diag-faint" },
] as const satisfies readonly { list: keyof InspectMemoryMap; label: string; fill: Fill }[];

/** By the mean of a cell: from, label, fill. */
const TIMES = [
  { from: 8, label: "8 times or more", fill: "step-5" },
  { from: 4, label: "4 to 8 times", fill: "step-4" },
  { from: 2, label: "2 to 4 times", fill: "step-3" },
  { from: 1.000_001, label: "some twice", fill: "step-2" },
  { from: 0, label: "once", fill: "step-1" },
] as const satisfies readonly { from: number; label: string; fill: Fill }[];

function maps(map: InspectMemoryMap, report: InspectReport): Html {
  const { bins, pfns_per_bin: pfnsPerBin } = map;
  const pageBytes = report.guest.page_bytes ?? PAGE_BYTES;
  const highest = report.memory.highest_pfn ?? 0;
  const shape = mapShape(bins, (bin) => quietKind(map, { bin, highest }));
  const bytesPerBin = pfnsPerBin * pageBytes;
  const cell = pfnsPerBin === 1 ? "a page" : `${formatCount(pfnsPerBin)} pages`;
  const frame: MapFrame = { map, shape, bytesPerBin };
  const lists = [
    ...KINDS.map(({ list, label }) => [label, map[list]] as const),
    ["entries sent in all", map.sends] as const,
    ...(map.zero === null ? [] : [["zeros", map.zero] as const]),
    ...(map.duplicate === null ? [] : [["duplicates", map.duplicate] as const]),
  ].filter(([, counts]) => counts.some((count) => count > 0));
  return html`<div class="maps">
    <p class="say">
      Each cell is ${cell}, ${formatBytes(bytesPerBin)}, and is filled by what it holds; addresses
      are at the left, up to pfn ${hex(highest)}.
    </p>
    ${mapProbe({
      shape,
      bins,
      pfnsPerBin,
      pageBytes,
      lists,
    })}${side(typeMap(frame), timesMap(frame, report.memory), contentsMap(frame))}${collapsible({
      title: "The maps as a table",
      aside: undefined,
      isOpen: false,
      body: rowsTable(frame, highest),
    })}
  </div>`;
}

interface MapFrame {
  readonly map: InspectMemoryMap;
  readonly shape: MapShape;
  readonly bytesPerBin: number;
}

/** What a bin is that has nothing to show. */
function quietKind(
  map: InspectMemoryMap,
  { bin, highest }: { readonly bin: number; readonly highest: number },
): string | undefined {
  const pfns = Math.min(map.pfns_per_bin, highest + 1 - bin * map.pfns_per_bin);
  if (map.hole[bin] === pfns) return "holes";
  return map.sends[bin] === 0 ? "never sent" : undefined;
}

function drawMap(
  { shape, bytesPerBin }: MapFrame,
  { id, title, text, classes, legend }: Drawn,
): Html {
  const description = `${text} ${legend
    .map(({ label, detail }) => (detail === undefined ? label : `${label}: ${detail}`))
    .join("; ")}.`;
  const drawn = binMap({
    id,
    title,
    description,
    shape,
    classes,
    bytesPerBin,
    bandFill: "diag-faint",
  });
  return figure({ id: `${id}-figure`, title, text, chart: drawn, legend, table: undefined });
}
interface Drawn {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly classes: readonly MapClass[];
  readonly legend: readonly LegendEntry[];
}

function typeMap(frame: MapFrame): Html {
  const { map } = frame;
  const present = KINDS.filter(({ list }) => map[list].some((count) => count > 0));
  return drawMap(frame, {
    id: "map-types",
    title: "By type",
    text: "The type that each pfn was sent with last.",
    classes: present.map(({ list, fill }) => ({ fill, shares: sharesOf(map, map[list]) })),
    legend: present.map(({ list, label, fill }) => ({
      fill,
      label,
      detail: formatCount(sum(map[list])),
    })),
  });
}

function timesMap(frame: MapFrame, { sent_again: again }: Memory): Part {
  if (again === 0) return undefined;
  const { map } = frame;
  const pfns = pfnsSent(map);
  const filled = sharesOf(map, pfns);
  const levels = pfns.map((count, bin) =>
    count === 0 ? -1 : TIMES.findIndex(({ from }) => map.sends[bin]! / count >= from),
  );
  const present = TIMES.map((row, level) => ({ ...row, level }))
    .filter(({ level }) => levels.includes(level))
    .toReversed();
  return drawMap(frame, {
    id: "map-times",
    title: "By how often it was sent",
    text: "The mean of each cell: what the guest kept writing stands out.",
    classes: present.map(({ fill, level }) => ({
      fill,
      shares: filled.map((share, bin) => (levels[bin] === level ? share : 0)),
    })),
    legend: present.map(({ fill, label, level }) => ({
      fill,
      label,
      detail: `${formatCount(levels.filter((other) => other === level).length)} cells`,
    })),
  });
}

function contentsMap(frame: MapFrame): Html {
  const { map } = frame;
  const { zero, duplicate } = map;
  if (zero === null || duplicate === null) {
    return html`<figure class="figure">
      <figcaption><h3>By contents</h3></figcaption>
      ${absent(
        html`The contents were not looked at: <code>--contents</code> finds zeros and duplicates.`,
      )}
    </figure>`;
  }
  const held = map.normal.map((count, bin) => count + map.page_table[bin]!);
  const other = held.map((count, bin) => Math.max(0, count - zero[bin]! - duplicate[bin]!));
  const none = pfnsSent(map).map((count, bin) => Math.max(0, count - held[bin]!));
  const lists = { other, duplicate, zero, none };
  const present = (["other", "duplicate", "zero", "none"] as const).filter((name) =>
    lists[name].some((count) => count > 0),
  );
  return drawMap(frame, {
    id: "map-contents",
    title: "By contents",
    text: "As they were sent last. A duplicate stood in the stream before.",
    classes: present.map((name) => ({
      fill: CONTENTS[name].fill,
      shares: sharesOf(map, lists[name]),
    })),
    legend: present.map((name) => ({ ...CONTENTS[name], detail: formatCount(sum(lists[name])) })),
  });
}

const sharesOf = (map: InspectMemoryMap, counts: readonly number[]): number[] =>
  counts.map((count) => count / map.pfns_per_bin);

const pfnsSent = (map: InspectMemoryMap): number[] =>
  map.sends.map((_, bin) => sum(KINDS.map(({ list }) => map[list][bin]!)));

/** A row for each row of the maps. */
function rowsTable({ map, shape, bytesPerBin }: MapFrame, highest: number): Html {
  const lists = [
    ...KINDS.map(({ list, label }) => ({ label, counts: map[list] })),
    { label: "sent again", counts: map.sent_again },
    { label: "zeros", counts: map.zero ?? [] },
    { label: "duplicates", counts: map.duplicate ?? [] },
  ].filter(({ counts }) => counts.some((count) => count > 0));
  const rows = shape.rows.map(({ first, count }) => {
    const last = Math.min((first + count) * map.pfns_per_bin - 1, highest);
    return [
      hexCell(first * map.pfns_per_bin),
      hexCell(last),
      { content: formatBytes(first * bytesPerBin), sort: first * bytesPerBin },
      ...lists.map(({ counts }) => countCell(sum(counts.slice(first, first + count)))),
    ];
  });
  return table({
    id: "map-table",
    caption: "Memory, row by row of the maps",
    isCaptionHidden: true,
    columns: [
      { title: "From pfn", kind: "number" },
      { title: "To pfn", kind: "number" },
      { title: "Address", kind: "number" },
      ...lists.map(({ label }) => ({ title: capital(label), kind: "number" }) as const),
    ],
    rows,
    leftOff: 0,
  });
}

const capital = (words: string): string => words[0]!.toUpperCase() + words.slice(1);

// ---- Types and times ------------------------------------------------------------------------

function typesTable({ types }: Memory): Html {
  const most = Math.max(...types.map(({ sent }) => sent));
  return collapsible({
    title: "Page types",
    aside: undefined,
    isOpen: true,
    body: table({
      id: "types-table",
      caption: "Entries by page type",
      isCaptionHidden: true,
      columns: [
        { title: "Type", kind: "text" },
        { title: "Number", kind: "number" },
        { title: "Contents", kind: "text" },
        { title: "Sent", kind: "number" },
        { title: "Pfns now", kind: "number" },
        { title: "Share", kind: "bar" },
      ],
      rows: types.map(({ type, name, has_contents: has, sent, pfns }) => [
        textCell(name),
        hexCell(type),
        textCell(has ? "yes" : "no"),
        countCell(sent),
        countCell(pfns),
        barCell(sent, most),
      ]),
      leftOff: 0,
    }),
  });
}

function timesChart({ times_sent: times, sent_again: again, sent }: Memory): Part {
  if (again === 0) return undefined;
  const rows = times.map(({ least, most, pfns }) => {
    const many = most === null ? `${least}+` : most === least ? `${least}` : `${least}–${most}`;
    return { label: `${many}×`, pfns, least };
  });
  const title = "How often pfns were sent";
  const description = rows
    .map(({ label, pfns }) => `${label}: ${formatCount(pfns)} pfns`)
    .join("; ");
  return collapsible({
    title,
    aside: `${formatShare(again / sent)} of the entries were repetitions`,
    isOpen: true,
    body: [
      columnChart({
        id: "times-chart",
        title,
        description,
        unit: "pfns",
        columns: rows.map(({ label, pfns }) => ({
          label,
          value: pfns,
          most: undefined,
          fill: "blue" as const,
          text: `Sent ${label}: ${formatCount(pfns)} pfns`,
        })),
      }),
      html`<details class="data">
        <summary>The same as a table</summary>
        ${table({
          id: "times-table",
          caption: title,
          isCaptionHidden: true,
          columns: [
            { title: "Times sent", kind: "number" },
            { title: "Pfns", kind: "number" },
          ],
          rows: rows.map(({ label, pfns, least }) => [
            { content: label, sort: least },
            countCell(pfns),
          ]),
          leftOff: 0,
        })}
      </details>`,
    ],
  });
}

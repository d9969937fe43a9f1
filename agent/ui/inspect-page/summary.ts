// The top of the page of `agent inspect`: whose stream it is, how far it could be read, what is
// wrong with it, and its first numbers.

import { hex } from "../../../lib/base/index.ts";
import type { InspectReport } from "../../../lib/stream/index.ts";
import { FORMAT_NAMES } from "../format-names.ts";
import { cut, type Html, html, type Part } from "../html/escape.ts";
import { chips, code, notice, type Section, type Tile, tiles } from "../html/section.ts";
import { countCell, EMPTY_CELL, hexCell, table, textCell } from "../html/table.ts";
import { formatBytes, formatCount, formatMilliseconds, formatShare } from "../numbers.ts";
import { many, PAGE_BYTES } from "./words.ts";

const NAME_CHARACTERS_MAX = 120;
/** Of the networks that people migrate over most. */
const WIRE_BITS_A_SECOND = 10e9;

export const titleOf = ({ guest, input }: InspectReport): string =>
  cut(guest.name ?? input.split("/").at(-1) ?? input, NAME_CHARACTERS_MAX);

export const hero = (report: InspectReport): Html =>
  html`<p class="kicker">${whatItIs(report)}</p>
    <h1>${titleOf(report)}</h1>
    <p class="path">${code(cut(report.input, 1000))}</p>
    ${chips(facts(report))} ${verdict(report)}${checkpointNotice(report)}${trailingNotice(report)}
    ${tiles(numbers(report))}`;

function whatItIs({ format, compression, kind }: InspectReport): string {
  if (format === null) return "Not a guest-state stream";
  const name = FORMAT_NAMES[format];
  const packed = compression === null ? "" : `, compressed by ${compression}`;
  const by = kind === "plain" ? "" : `, checkpointed by ${kind === "colo" ? "COLO" : "Remus"}`;
  return `${name}${packed}${by}`;
}

function facts({ guest, tsc }: InspectReport): string[] {
  const { bits, page_table_levels: levels, libxc_version: version } = guest;
  const type = (guest.config_type ?? guest.type)?.toUpperCase();
  const list = [
    type === undefined ? null : `${type} guest${bits === null ? "" : `, ${bits} bit`}`,
    levels === null ? null : `${levels}-level page tables`,
    guest.vcpus === null ? null : many(guest.vcpus, "vCPU"),
    guest.xen === null ? null : `Xen ${guest.xen}`,
    version === null ? null : `libxc image version ${version}`,
    guest.converted ? "converted from a legacy stream" : null,
    tsc === null ? null : `TSC ${(tsc.khz / 1e6).toFixed(2)} GHz`,
  ];
  return list.filter((fact) => fact !== null);
}

function verdict({
  complete,
  stopped,
  errors,
  warnings,
  end_offset: end,
  format,
}: InspectReport): Html {
  if (stopped !== null) {
    const { record, record_number: number, layer, field, offset, expected, found } = stopped;
    const numbered = number > 0 ? ` (record ${number})` : "";
    const title =
      format === null ? "Not read: no stream" : stopped.truncated ? "Cut short" : "Damaged";
    return notice("bad", [
      html`<p>
        <b>${title} at ${hex(offset)}.</b>${
          format !== null && " What is below was read up to there."
        }
      </p>`,
      html`<p>
        ${layer} ${record}.${field}${numbered}: expected ${cut(expected, 300)}, found
        ${cut(found, 300)}.
      </p>`,
    ]);
  }
  if (!complete || errors > 0) {
    const text = `Read to its end, but ${many(errors, "error")} met on the way.`;
    return notice("bad", html`<p><b>Not good.</b> ${text}</p>`);
  }
  const whole = html`<b>Whole.</b> Read to its end at ${hex(end)} (${formatBytes(end)})`;
  return warnings > 0
    ? notice("warn", html`<p>${whole}, with ${many(warnings, "warning")}.</p>`)
    : notice("good", html`<p>${whole}; nothing wrong was met.</p>`);
}

function checkpointNotice({ kind, checkpoints }: InspectReport): Part {
  if (kind === "plain") return undefined;
  const { complete, last_end_offset: last, failover } = checkpoints;
  const where = last === null ? "" : `, the last one ends at ${hex(last)}`;
  const count = `${many(complete, "complete checkpoint")}${where}.`;
  if (failover === null) return notice("plain", html`<p>${count}</p>`);
  return failover
    ? notice(
        "plain",
        html`<p>
          <b>Failover is possible.</b> A receiver would go on from checkpoint ${complete}. ${count}
        </p>`,
      )
    : notice("warn", html`<p><b>Failover is not possible.</b> ${count}</p>`);
}

const trailingNotice = ({ trailing }: InspectReport): Part =>
  trailing !== null &&
  notice("plain", html`<p>Behind the end, at ${hex(trailing.offset)}: ${trailing.what}.</p>`);

function numbers(report: InspectReport): Tile[] {
  const { memory, records, end_offset: end, checkpoints, kind, record_types: types } = report;
  const pageBytes = report.guest.page_bytes ?? PAGE_BYTES;
  const list: Tile[] = [];
  const add = (name: string, value: string, note?: string): void => {
    list.push({ name, value, note });
  };
  if (memory.populated_pfns !== null && memory.sent > 0) {
    const pages = `${formatCount(memory.populated_pfns)} pages`;
    add("Guest memory", formatBytes(memory.populated_pfns * pageBytes), pages);
  }
  add("Stream", formatBytes(end), `${many(records, "record")} of ${many(types.length, "type")}`);
  if (memory.sent > 0) {
    const note = `${formatCount(memory.with_contents)} with contents`;
    add("Pages sent", formatCount(memory.sent), note);
    const again = memory.sent_again;
    const share =
      again === 0 ? "every pfn once" : `${formatShare(again / memory.sent)} of all sent`;
    add("Sent again", formatCount(again), share);
  }
  if (kind !== "plain") add("Checkpoints", formatCount(checkpoints.complete), "complete");
  return [...list, ...downtimeTile(report), ...contentsTile(report)];
}

function downtimeTile({ iterations: { downtime } }: InspectReport): Tile[] {
  if (downtime === null) return [];
  const bytes = downtime.bytes + downtime.state_bytes;
  const time = formatMilliseconds((bytes * 8000) / WIRE_BITS_A_SECOND);
  return [
    {
      name: "Sent while stopped",
      value: formatBytes(bytes),
      note: `${formatCount(downtime.pages)} pages; ${time} at 10 Gbit/s`,
    },
  ];
}

function contentsTile({ contents }: InspectReport): Tile[] {
  if (contents === null || contents.pages === 0) return [];
  const { pages, zero, duplicate } = contents;
  const note = `${formatShare(zero / pages)} zeros, ${formatShare(duplicate / pages)} duplicates`;
  return [{ name: "Zeros and duplicates", value: formatShare((zero + duplicate) / pages), note }];
}

/** undefined: nothing, or only where the stream stops, which is said above. */
export function findings(report: InspectReport): Section | undefined {
  const { problems, errors, warnings, stopped } = report;
  if (problems.length === 0) return undefined;
  if (problems.length === 1 && problems[0]!.offset === stopped?.offset) return undefined;
  const rows = problems.map((finding) => {
    const { severity, layer, record, record_number: number, field, expected, found } = finding;
    return [
      textCell(severity),
      textCell(`${layer} ${record}.${field}`),
      textCell(expected),
      textCell(found),
      hexCell(finding.offset),
      number > 0 ? countCell(number) : EMPTY_CELL,
    ];
  });
  return {
    id: "findings",
    title: "Findings",
    aside: `${many(errors, "error")}, ${many(warnings, "warning")}`,
    body: [
      table({
        id: "findings-table",
        caption: "What is wrong, as it was met",
        isCaptionHidden: true,
        columns: [
          { title: "Severity", kind: "text" },
          { title: "Where", kind: "text" },
          { title: "Expected", kind: "text" },
          { title: "Found", kind: "text" },
          { title: "Offset", kind: "number" },
          { title: "Record", kind: "number" },
        ],
        rows,
        leftOff: errors + warnings - problems.length,
      }),
      html`<p class="say">${code("agent verify")} looks for more.</p>`,
    ],
  };
}

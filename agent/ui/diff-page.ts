// The page of `agent diff --html`: what a restore may stumble over, pages by type, and every value
// that differs.

import type { DiffReport, StateDifference } from "../../lib/stream/index.ts";
import { featuresText, sideText } from "./diff-report.ts";
import { cut, type Html, html, type Part } from "./html/escape.ts";
import { renderPage } from "./html/page.ts";
import { code, notice, type Section, tiles } from "./html/section.ts";
import { type Cell, type Column, countCell, hexCell, table, textCell } from "./html/table.ts";
import { formatCount } from "./numbers.ts";

const COUNTS = ["a", "b", "same", "changed", "retyped", "added", "gone"] as const;
const COUNT_TITLES = ["In A", "In B", "Same", "Changed", "Retyped", "Added", "Gone"] as const;

const nameOf = ({ input }: DiffReport["a"]): string => cut(input.split("/").at(-1) ?? input, 80);

/** A whole HTML document. */
export function renderDiffPage(report: DiffReport): string {
  const title = `${nameOf(report.a)} and ${nameOf(report.b)}`;
  return renderPage({
    title: `${title} · agent diff`,
    maker: "agent diff",
    hero: hero(report, title),
    sections: [
      hintSection(report),
      pageSection(report),
      runSection(report),
      stateSection(report),
      notComparedSection(report),
    ].filter((section) => section !== undefined),
  });
}

const hero = (report: DiffReport, title: string): Html =>
  html`<p class="kicker">Two states of a guest</p>
    <h1>${title}</h1>
    <p class="path">${code(cut(`A  ${sideText(report.a)}`, 1000))}</p>
    <p class="path">${code(cut(`B  ${sideText(report.b)}`, 1000))}</p>
    ${verdict(report)}
    ${tiles([
      ...COUNTS.map((name, index) => ({
        name: COUNT_TITLES[index]!,
        value: formatCount(report.pages[name]),
        note: "pages",
      })),
      {
        name: "Other state",
        value: formatCount(report.state.length + report.state_left_off),
        note: "values that differ",
      },
    ])}`;

const verdict = ({ same }: DiffReport): Html =>
  same
    ? notice("good", html`<p><b>The same.</b> Both end in the same state.</p>`)
    : notice("plain", html`<p><b>They differ.</b> What follows says in what.</p>`);

function hintSection({ hints }: DiffReport): Section | undefined {
  if (hints.length === 0) return undefined;
  return {
    id: "hints",
    title: "What a restore may stumble over",
    aside: undefined,
    body: html`<ul>
      ${hints.map((hint) => html`<li>${cut(hint, 2000)}</li>`)}
    </ul>`,
  };
}

function pageSection({ pages }: DiffReport): Section {
  const rows = pages.by_type.map((row) => [
    textCell(row.type),
    ...COUNTS.map((name) => countCell(row[name])),
  ]);
  const retypes: Part = pages.retypes.length > 0 && retypeTable(pages.retypes);
  return {
    id: "pages",
    title: "Pages",
    aside: `${formatCount(pages.a)} in A, ${formatCount(pages.b)} in B`,
    body: [
      table({
        id: "pages-table",
        caption: "Pages by type; a page of another type counts for the type it has in B",
        isCaptionHidden: false,
        columns: [
          { title: "Type", kind: "text" },
          ...COUNT_TITLES.map((title) => ({ title, kind: "number" }) as const),
        ],
        rows,
        leftOff: 0,
      }),
      retypes,
    ],
  };
}

const retypeTable = (retypes: DiffReport["pages"]["retypes"]): Html =>
  table({
    id: "retypes-table",
    caption: "Pages that have another type",
    isCaptionHidden: false,
    columns: [
      { title: "In A", kind: "text" },
      { title: "In B", kind: "text" },
      { title: "Pages", kind: "number" },
    ],
    rows: retypes.map(({ from, to, count }) => [textCell(from), textCell(to), countCell(count)]),
    leftOff: 0,
  });

function runSection({ pages: { runs, runs_left_off: leftOff } }: DiffReport): Section | undefined {
  if (runs.length === 0) return undefined;
  return {
    id: "runs",
    title: "Where they differ",
    aside: `${formatCount(runs.length + leftOff)} runs of pfns`,
    body: table({
      id: "runs-table",
      caption: "Runs of pfns that differ, as they were met",
      isCaptionHidden: true,
      columns: [
        { title: "First pfn", kind: "number" },
        { title: "Last pfn", kind: "number" },
        { title: "Pages", kind: "number" },
        { title: "What", kind: "text" },
      ],
      rows: runs.map(({ change, first_pfn: first, last_pfn: last }) => [
        hexCell(first),
        hexCell(last),
        countCell(last - first + 1),
        textCell(change),
      ]),
      leftOff,
    }),
  };
}

function stateSection({ state, state_left_off: leftOff }: DiffReport): Section | undefined {
  if (state.length === 0) return undefined;
  const columns: readonly Column[] = [
    { title: "Name", kind: "text" },
    { title: "Of", kind: "text" },
    { title: "In A", kind: "code" },
    { title: "In B", kind: "code" },
  ];
  const hasFeatures = state.some((difference) => featuresText(difference) !== "");
  return {
    id: "state",
    title: "The rest of the state",
    aside: `${formatCount(state.length + leftOff)} values`,
    body: table({
      id: "state-table",
      caption: "Values that differ",
      isCaptionHidden: true,
      columns: hasFeatures ? [...columns, { title: "Features", kind: "text" }] : columns,
      rows: state.map((difference) => stateRow(difference).slice(0, hasFeatures ? 5 : 4)),
      leftOff,
    }),
  };
}

const stateRow = (difference: StateDifference): Cell[] => [
  textCell(difference.name),
  textCell(difference.group),
  textCell(difference.a ?? "none"),
  textCell(difference.b ?? "none"),
  textCell(featuresText(difference)),
];

function notComparedSection({ not_compared: list }: DiffReport): Section | undefined {
  if (list.length === 0) return undefined;
  return {
    id: "not-compared",
    title: "Not compared",
    aside: undefined,
    body: html`<ul>
      ${list.map(({ what, why }) => html`<li>${what}: ${why}</li>`)}
    </ul>`,
  };
}

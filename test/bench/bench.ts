// bun run bench [--quick] [--json] [PART...]: how the compiled agent does against named programs.
// Ratios of one run, no absolute claims: the machine is whatever it is. Status 1 where a figure is
// not met. Without a PART, all of them.
//
// --quick takes tiny streams, so that the bench itself is tested; its ratios mean nothing.

import { parseArgs } from "node:util";
import { fetchXenUtils } from "../helpers/xen-utils.ts";
import { type Figure, figures, FULL, PARTS, QUICK } from "./figures.ts";

const { values, positionals } = parseArgs({
  options: { json: { type: "boolean" }, quick: { type: "boolean" } },
  allowPositionals: true,
  strict: true,
});
const unknown = positionals.find((part) => !(part in PARTS));
if (unknown !== undefined) {
  console.error(`bench: no part "${unknown}": take ${Object.keys(PARTS).join(", ")}`);
  process.exit(2);
}

const isQuick = values.quick === true;
const parts = positionals.length > 0 ? positionals : Object.keys(PARTS);
if (!isQuick && parts.includes("verify")) fetchXenUtils();
const found: Figure[] = [];
for await (const some of figures(isQuick ? QUICK : FULL, parts)) {
  found.push(...some);
  if (values.json !== true) console.log(`${table(some)}\n`);
}
if (values.json === true) console.log(JSON.stringify(found, null, 2));
if (!isQuick && found.some(({ met }) => met === false)) process.exitCode = 1;

function table(rows: readonly Figure[]): string {
  const cells = [
    ["what", "ours", "peer", "ratio", "wanted", "met"],
    ...rows.map(({ what, ours, peer, ratio, wanted, met }) => [
      what,
      ours,
      peer,
      ratio === null ? "-" : ratio.toFixed(2),
      wantedText(wanted),
      met === null || isQuick ? "-" : met ? "yes" : "NO",
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function wantedText(wanted: Figure["wanted"]): string {
  if (wanted === null) return "only told";
  return "least" in wanted ? `at least ${wanted.least}` : `at most ${wanted.most}`;
}

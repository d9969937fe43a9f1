// bun run bench [--quick] [--json]: how the compiled agent does against named programs. Ratios of
// one run, no absolute claims: the machine is whatever it is. Status 1 where a figure is not met.
//
// --quick takes tiny streams, so that the bench itself is tested; its ratios mean nothing.

import { parseArgs } from "node:util";
import { fetchXenUtils } from "../helpers/xen-utils.ts";
import { type Figure, figures, FULL, QUICK } from "./figures.ts";

const { values } = parseArgs({
  options: { json: { type: "boolean" }, quick: { type: "boolean" } },
  strict: true,
});

if (values.quick !== true) fetchXenUtils();
const found = await figures(values.quick === true ? QUICK : FULL);
console.log(values.json === true ? JSON.stringify(found, null, 2) : table(found));
if (values.quick !== true && found.some(({ met }) => met === false)) process.exitCode = 1;

function table(rows: readonly Figure[]): string {
  const cells = [
    ["what", "ours", "peer", "ratio", "wanted", "met"],
    ...rows.map(({ what, ours, peer, ratio, wanted, met }) => [
      what,
      ours,
      peer,
      ratio === null ? "-" : ratio.toFixed(2),
      wantedText(wanted),
      met === null || values.quick === true ? "-" : met ? "yes" : "NO",
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

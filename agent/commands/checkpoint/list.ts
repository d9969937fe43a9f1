// agent checkpoint list: the restore points of a folder, as a table, JSON or a page.

import * as v from "valibot";
import { isBeingWritten, listReport, scanFolder } from "../../../lib/checkpoint/index.ts";
import { createNewFile, writeFully } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { checkpointPage } from "../../ui/checkpoint-page.ts";
import { listLines } from "../../ui/checkpoint-report.ts";
import { print } from "../../ui/output.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.string()], "wanted one folder"),
  html: v.optional(v.string()),
  json: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const { _: operands, html, json } = parseOptions(Options, spec, argv);
  const [folder] = operands;
  const report = listReport(scanFolder(folder), isBeingWritten(folder));
  if (html !== undefined) {
    using file = createNewFile({ path: html, existing: "replace", inputs: [] });
    const page = new TextEncoder().encode(checkpointPage(report));
    writeFully(file.fd, page, page.byteLength);
    file.commit();
  }
  if (json) print(`${JSON.stringify(report, null, 2)}\n`);
  else print(`${listLines(report, stdoutStyle()).join("\n")}\n`);
  return report.streams.some(({ damaged }) => damaged) ? EXIT.badData : EXIT.ok;
}

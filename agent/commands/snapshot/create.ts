// agent snapshot create: one snapshot of a group of disks, all or none.

import { createGroup, createReport } from "../../../lib/snapshot/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { failureText, renderCreateReport } from "../../ui/snapshot-report.ts";
import { createOptions, Options } from "./create-options.ts";
import { groupOf, surroundings } from "./group-options.ts";

export const RESULT_STATUS = {
  done: EXIT.ok,
  refused: EXIT.failed,
  undone: EXIT.failed,
  stuck: EXIT.operator,
} as const;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  const options = createOptions(spec.name, given);
  using around = surroundings(given);
  const created = await createGroup(groupOf(spec.name, given), options, around.conditions);
  const report = createReport(created);
  if (given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (report.result === "done" && !given.quiet) print(renderCreateReport(report));
  if (report.problems.length > 0) await printError(failureText(report));
  return RESULT_STATUS[report.result];
}

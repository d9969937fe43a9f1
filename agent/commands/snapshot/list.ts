// agent snapshot list: the images of a group as a tree, with the snapshots inside of each.

import * as v from "valibot";
import { listGroup } from "../../../lib/snapshot/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { renderListReport } from "../../ui/snapshot-tree.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";
import { GROUP_OPTIONS, groupOf, surroundings } from "./group-options.ts";

const Options = v.strictObject(GROUP_OPTIONS);

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  using around = surroundings(given);
  const report = await listGroup(groupOf(spec.name, given), around.conditions.limits);
  if (given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!given.quiet) print(renderListReport(report, stdoutStyle()));
  for (const problem of report.problems) await printError(problem);
  return report.problems.length === 0 ? EXIT.ok : EXIT.failed;
}

// agent snapshot plan: what create would do, and every reason against it; nothing is changed.

import { planGroup, planReport } from "../../../lib/snapshot/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { print } from "../../ui/output.ts";
import { renderPlanReport } from "../../ui/snapshot-report.ts";
import { createOptions, Options } from "./create-options.ts";
import { groupOf, surroundings } from "./group-options.ts";

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  const options = createOptions(spec.name, given);
  using around = surroundings(given);
  const planned = await planGroup(groupOf(spec.name, given), options, around.conditions);
  const report = planReport(planned);
  if (given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!given.quiet) print(renderPlanReport(report));
  return report.possible ? EXIT.ok : EXIT.failed;
}

// agent snapshot recover: finishes or undoes the groups that a dead process or host left behind.

import * as v from "valibot";
import { recoverAll, recoverReport } from "../../../lib/snapshot/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { print } from "../../ui/output.ts";
import { renderRecoverReport } from "../../ui/snapshot-report.ts";
import { SHARED_OPTIONS, surroundings } from "./group-options.ts";

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(0, "wanted none")),
  ...SHARED_OPTIONS,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  using around = surroundings(given);
  const report = recoverReport(await recoverAll(around.conditions));
  if (given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!given.quiet) print(renderRecoverReport(report, given.journals));
  const results = report.groups.map(({ result }) => result);
  if (results.includes("stuck")) return EXIT.operator;
  return results.includes("busy") ? EXIT.failed : EXIT.ok;
}

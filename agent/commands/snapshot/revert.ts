// agent snapshot revert: takes a group of stopped disks back to a snapshot.

import { resolve } from "node:path";
import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { KINDS, revertGroup, revertReport } from "../../../lib/snapshot/index.ts";
import type { Invocation } from "../../commands.ts";
import { parseOptions } from "../../options.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { failureText, renderRevertReport } from "../../ui/snapshot-report.ts";
import { RESULT_STATUS } from "./create.ts";
import { GROUP_OPTIONS, groupOf, surroundings } from "./group-options.ts";

const Options = v.strictObject({
  ...GROUP_OPTIONS,
  name: v.optional(v.string()),
  kind: v.optional(v.picklist(KINDS, `wanted one of ${KINDS.join(", ")}`), "external"),
  "overlay-dir": v.optional(v.string()),
  memory: v.optional(v.string()),
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  const { name, kind, memory } = given;
  if (name === undefined) throw new UsageError(`Cannot run ${spec.name}: wanted --name`);
  const folder = given["overlay-dir"];
  using around = surroundings(given);
  const reverted = await revertGroup(
    groupOf(spec.name, given),
    {
      snapshot: name,
      kind,
      folder: folder === undefined ? undefined : resolve(folder),
      memory: memory === undefined ? undefined : resolve(memory),
      nowMs: Date.now(),
    },
    around.conditions,
  );
  const report = revertReport(reverted);
  if (given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (report.result === "done" && !given.quiet) print(renderRevertReport(report));
  if (report.problems.length > 0) await printError(failureText(report));
  return RESULT_STATUS[report.result];
}

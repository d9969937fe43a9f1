// agent snapshot delete: deletes one snapshot of every disk of a group; what was begun is finished.

import { resolve } from "node:path";
import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { deleteGroup, deleteReport, MERGES } from "../../../lib/snapshot/index.ts";
import type { Invocation } from "../../commands.ts";
import { parseOptions } from "../../options.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { failureText, renderDeleteReport } from "../../ui/snapshot-report.ts";
import { RESULT_STATUS } from "./create.ts";
import { GROUP_OPTIONS, groupOf, surroundings } from "./group-options.ts";

const KINDS = ["external", "internal"] as const;
const Options = v.strictObject({
  ...GROUP_OPTIONS,
  name: v.optional(v.string()),
  kind: v.optional(v.picklist(KINDS, `wanted one of ${KINDS.join(", ")}`), "external"),
  by: v.optional(v.picklist(MERGES, `wanted one of ${MERGES.join(", ")}`), "commit"),
  id: v.optional(v.string()),
  "update-config": v.optional(v.string()),
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  const { name, kind, by, id } = given;
  if (name === undefined) throw new UsageError(`Cannot run ${spec.name}: wanted --name`);
  if (id !== undefined && kind !== "internal") {
    throw new UsageError(`Cannot run ${spec.name}: --id is for --kind internal`);
  }
  const config = given["update-config"];
  using around = surroundings(given);
  const deleted = await deleteGroup(
    groupOf(spec.name, given),
    {
      snapshot: name,
      kind,
      merge: by,
      id,
      config: config === undefined ? undefined : resolve(config),
      nowMs: Date.now(),
    },
    around.conditions,
  );
  const report = deleteReport(deleted);
  if (given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (report.result === "done" && !given.quiet) print(renderDeleteReport(report));
  if (report.problems.length > 0) await printError(failureText(report));
  return RESULT_STATUS[report.result];
}

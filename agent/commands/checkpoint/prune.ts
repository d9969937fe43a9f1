// agent checkpoint prune: gives up older restore points of a folder.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import {
  type CheckpointPrune,
  pointReport,
  pruneFolder,
  systemClock,
} from "../../../lib/checkpoint/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { pruneLines } from "../../ui/checkpoint-report.ts";
import { print } from "../../ui/output.ts";
import { retentionOf, timeOption } from "./retention.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.string()], "wanted one folder"),
  keep: v.optional(countOption),
  "keep-for": v.optional(timeOption),
  json: switchOption,
  quiet: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const options = parseOptions(Options, spec, argv);
  if (options.keep === undefined && options["keep-for"] === undefined) {
    throw new UsageError("Cannot run checkpoint prune: say what to keep: --keep or --keep-for");
  }
  const [folder] = options._;
  const pruned = pruneFolder({ folder, retention: retentionOf(options), clock: systemClock() });
  const report: CheckpointPrune = {
    folder,
    removed: pruned.removed.map(pointReport),
    kept: pruned.kept.map(pointReport),
    freed_bytes: pruned.freedBytes,
  };
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!options.quiet) print(`${pruneLines(report).join("\n")}\n`);
  return EXIT.ok;
}

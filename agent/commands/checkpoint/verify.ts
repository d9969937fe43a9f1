// agent checkpoint verify: journals and pages of a folder against their checksums.

import * as v from "valibot";
import {
  type CheckpointVerify,
  type FolderCheck,
  pointReport,
  verifyFolder,
} from "../../../lib/checkpoint/index.ts";
import { becomeIdle } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { verifyLines } from "../../ui/checkpoint-report.ts";
import { print } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";

const PROBLEMS_DEFAULT = 20;

const Options = v.strictObject({
  _: v.strictTuple([v.string()], "wanted one folder"),
  limit: v.optional(countOption),
  json: switchOption,
  quiet: switchOption,
  idle: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const options = parseOptions(Options, spec, argv);
  if (options.idle) becomeIdle();
  const [folder] = options._;
  const limit = options.limit ?? PROBLEMS_DEFAULT;
  const progress = startProgress({ bytesTotal: undefined, wanted: !options.quiet });
  const check = verifyFolder(folder, { limit, onProgress: (bytes) => progress.at(bytes) });
  progress.clear();
  const report = reportOf(folder, check);
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!options.quiet) print(`${verifyLines(report).join("\n")}\n`);
  return report.verdict === "good" ? EXIT.ok : EXIT.badData;
}

const reportOf = (path: string, check: FolderCheck): CheckpointVerify => ({
  folder: path,
  verdict: check.problems.length === 0 && check.badPages === 0 ? "good" : "bad",
  points: check.folder.points.map(pointReport),
  pages: check.pages,
  bad_pages: check.badPages,
  problems: check.problems.map((problem) => ({ ...problem, points: problem.points ?? null })),
  tails: [...check.tails],
});

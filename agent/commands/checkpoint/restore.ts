// agent checkpoint restore: a restore point as a plain stream, which any restore takes.

import * as v from "valibot";
import { StreamError } from "../../../lib/bytes/index.ts";
import {
  type CheckpointRestore,
  openPoint,
  pointReport,
  restorePoint,
  scanFolder,
} from "../../../lib/checkpoint/index.ts";
import { openOutput, rateLimiter } from "../../../lib/stream/index.ts";
import { becomeIdle, statOf } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { restoreLines } from "../../ui/checkpoint-report.ts";
import { printError, printWarning } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { imageOutput } from "../stream/image-output.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.string()], "wanted one folder"),
  at: v.optional(countOption),
  to: v.optional(v.string()),
  json: switchOption,
  quiet: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type Options = v.InferOutput<typeof Options>;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const { to, isStandardOutput } = imageOutput("checkpoint restore", options);
  if (options.idle) becomeIdle();
  let report: CheckpointRestore;
  try {
    report = restore(options, to);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await printError(`Cannot restore from "${options._[0]}": ${error.message}`);
    return EXIT.badData;
  }
  if (isStandardOutput) await warnOfFailover(options._[0], report.point);
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!options.quiet) {
    (isStandardOutput ? printToStderr : print)(`${restoreLines(report).join("\n")}\n`);
  }
  return EXIT.ok;
}

function restore({ _: [folder], at, quiet, rate }: Options, to: string): CheckpointRestore {
  using open = openPoint(folder, at);
  const inputs = [open.journal, open.pages].map(({ number }) => statOf(number));
  using output = openOutput(to, { existing: "replace", inputs });
  const progress = startProgress({ bytesTotal: undefined, wanted: !quiet });
  const holdBack =
    rate === undefined
      ? () => undefined
      : rateLimiter(rate, { now: () => performance.now(), sleep: Bun.sleepSync });
  const onProgress = (position: number): void => {
    progress.at(position);
    holdBack(position);
  };
  try {
    restorePoint(open, { sink: output.sink, onProgress });
    output.commit();
  } finally {
    progress.clear();
  }
  return {
    folder,
    output: output.sink.name,
    point: pointReport(open.point),
    output_bytes: output.sink.position,
  };
}

/** It goes to something that may run the guest: perhaps it runs already. */
async function warnOfFailover(
  folder: string,
  { stream, number }: CheckpointRestore["point"],
): Promise<void> {
  const found = scanFolder(folder).streams.find(({ files }) => files.stream === stream);
  if (found?.failover === undefined || found.failover.state === "failed") return;
  const which = found.failover.number === number ? "it" : `point ${found.failover.number}`;
  await printWarning(
    `Restore point ${number}: ${which} was handed to a failover command before: see that the ` +
      "guest does not run twice",
  );
}

// agent pack: a saved image stored small, to be given back by agent unpack.

import * as v from "valibot";
import { StreamError } from "../../../lib/bytes/index.ts";
import { openOutput, packStream, type PackReport } from "../../../lib/stream/index.ts";
import { becomeIdle } from "../../../lib/sys/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { levelOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { printError, printWarning } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { renderPackReport } from "../../ui/pack-report.ts";
import { startProgress } from "../../ui/progress.ts";
import { heldBack, openStored } from "./stored.ts";
import { imageOutput } from "./image-output.ts";

const LEVEL_DEFAULT = 3;

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one stream")),
  to: v.optional(v.string()),
  level: v.optional(levelOption),
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
  spool: v.optional(v.string()),
  json: switchOption,
  quiet: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type PackCommandOptions = v.InferOutput<typeof Options> & { readonly to: string };

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  const { to, isStandardOutput } = imageOutput("pack", given);
  if (given.idle) becomeIdle();
  const operand = given._[0] ?? "-";
  let report: PackReport;
  try {
    report = await packOperand(operand, { ...given, to });
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await printError(`Cannot pack "${operand}": ${error.message}`);
    return EXIT.badData;
  }
  if (!given.quiet && given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  if (!given.quiet && !given.json) {
    (isStandardOutput ? printToStderr : print)(renderPackReport(report));
  }
  if (report.stopped === null) return EXIT.ok;
  await printWarning(`The stream is damaged and was packed as it is: ${report.stopped}`);
  return EXIT.badData;
}

async function packOperand(operand: string, options: PackCommandOptions): Promise<PackReport> {
  const { to, level, format, spool, quiet, rate } = options;
  const input = await openStored(operand, {
    verb: "pack",
    spool,
    output: to,
    isVerbose: !quiet,
  });
  try {
    using output = openOutput(to, { existing: "replace", inputs: input.identities });
    const progress = startProgress({ bytesTotal: input.first.bytesTotal, wanted: !quiet });
    const holdBack = heldBack(rate);
    try {
      const report = await packStream(input, output.sink, {
        format,
        level: level ?? LEVEL_DEFAULT,
        onProgress(position) {
          progress.at(position);
          holdBack(position);
        },
      });
      output.commit();
      return report;
    } finally {
      progress.clear();
    }
  } finally {
    await input.close();
  }
}

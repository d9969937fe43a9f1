// agent squash: what would this stream restore, or fail over, to? As one plain image.

import * as v from "valibot";
import { StreamError } from "../../../lib/bytes/index.ts";
import { openOutput, squashStream, type SquashReport } from "../../../lib/stream/index.ts";
import { becomeIdle } from "../../../lib/sys/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { printError } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { renderSquashReport } from "../../ui/squash-report.ts";
import { heldBack, openStored } from "./stored.ts";
import { imageOutput } from "./image-output.ts";

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one stream")),
  to: v.optional(v.string()),
  at: v.optional(countOption),
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
  spool: v.optional(v.string()),
  json: switchOption,
  quiet: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type SquashCommandOptions = v.InferOutput<typeof Options> & { readonly to: string };

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  const { to, isStandardOutput } = imageOutput("squash", given);
  const options = { ...given, to };
  if (options.idle) becomeIdle();
  const operand = options._[0] ?? "-";
  let report: SquashReport;
  try {
    report = await squashOperand(operand, options);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await printError(`Cannot squash "${operand}": ${error.message}`);
    return EXIT.badData;
  }
  if (options.quiet) return EXIT.ok;
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else (isStandardOutput ? printToStderr : print)(renderSquashReport(report));
  return EXIT.ok;
}

async function squashOperand(
  operand: string,
  { to, at, format, spool, quiet, rate }: SquashCommandOptions,
): Promise<SquashReport> {
  const request = { verb: "squash", spool, output: to, isVerbose: !quiet };
  const input = await openStored(operand, request);
  try {
    using output = openOutput(to, { existing: "replace", inputs: input.identities });
    const { bytesTotal } = input.first;
    const progress = startProgress({ bytesTotal, wanted: !quiet });
    const told = () => {
      let holdBack: ReturnType<typeof heldBack> | undefined;
      return (position: number) => {
        holdBack ??= heldBack(rate); // From where and when this walk began.
        progress.at(position);
        holdBack(position);
      };
    };
    try {
      const report = await squashStream(input, output.sink, {
        format,
        at,
        onSpooled: told(),
        onWritten: told(),
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

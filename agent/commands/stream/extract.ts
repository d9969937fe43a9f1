// agent extract: a stream, taken apart into files that can be read and edited.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import { type Extracted, extractStream, openInput } from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDIN_FD } from "../../../lib/sys/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, sizeOption, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { renderExtracted } from "../../ui/image-report.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { heldBack } from "./stored.ts";

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one stream")),
  to: v.string("name the folder to make with --to DIR"),
  damaged: switchOption,
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
  quiet: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type ExtractCommandOptions = v.InferOutput<typeof Options>;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const operand = options._[0] ?? "-";
  if (operand === "-" && isTerminal(STDIN_FD)) {
    throw new UsageError(
      "Cannot extract the terminal: name a stream, or send one to standard input",
    );
  }
  if (options.idle) becomeIdle();
  let extracted: Extracted;
  try {
    extracted = await extract(operand, options);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    const advice = error.finding.recordNumber > 0 ? " (--damaged takes apart what is there)" : "";
    await printError(`Cannot extract "${operand}"${advice}: ${error.message}`);
    return EXIT.badData;
  }
  const names = { input: operand === "-" ? "standard input" : operand, to: options.to };
  if (!options.quiet) print(renderExtracted(extracted, names));
  return EXIT.ok;
}

async function extract(
  operand: string,
  { to, damaged, format, quiet, rate }: ExtractCommandOptions,
): Promise<Extracted> {
  const input = openInput(operand, { selfCommand: selfCommand() });
  const { source } = input;
  const progress = startProgress({ bytesTotal: source.bytesTotal, wanted: !quiet });
  const holdBack = heldBack(rate);
  try {
    return await extractStream(source, to, {
      format,
      allowsDamage: damaged,
      // What stands behind a stream in a pipe belongs to whoever reads on.
      takesRest: input.file !== undefined || input.compression !== undefined,
      onProgress(position) {
        progress.at(position);
        holdBack(position);
      },
      close: () => input.close(),
    });
  } finally {
    progress.clear();
    await input.close();
  }
}

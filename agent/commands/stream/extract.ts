// agent extract: a stream, taken apart into files that can be read and edited; or the memory of its
// guest as a file.

import { statSync } from "node:fs";
import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import {
  extractMemory,
  extractStream,
  MEMORY_FORMATS,
  openInput,
  storeFolder,
  type StoredInput,
} from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDIN_FD } from "../../../lib/sys/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { renderExtracted, renderMemory } from "../../ui/image-report.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { heldBack, openStored, spoolFolder } from "./stored.ts";

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one stream")),
  to: v.optional(v.string()),
  memory: v.optional(v.string()),
  as: v.optional(v.picklist(MEMORY_FORMATS, "wanted raw or elf")),
  at: v.optional(countOption),
  spool: v.optional(v.string()),
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
  checkOptions(operand, options);
  if (options.idle) becomeIdle();
  try {
    const text =
      options.to === undefined
        ? await memoryOf(operand, options)
        : await partsOf(operand, options.to, options);
    if (!options.quiet) print(text);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    const canTake = options.to !== undefined && error.finding.recordNumber > 0;
    const advice = canTake ? " (--damaged takes apart what is there)" : "";
    await printError(`Cannot extract "${nameOf(operand)}"${advice}: ${error.message}`);
    return EXIT.badData;
  }
}

function checkOptions(
  operand: string,
  { to, memory, as, at, spool, damaged }: ExtractCommandOptions,
) {
  if ((to === undefined) === (memory === undefined)) {
    throw new UsageError("Cannot run extract: wanted --to DIR, or --memory FILE --as raw or elf");
  }
  if (memory !== undefined && as === undefined) {
    throw new UsageError("Cannot run extract: --memory needs --as raw or --as elf");
  }
  const isMemoryOption = as !== undefined || at !== undefined || spool !== undefined;
  if (to !== undefined && isMemoryOption) {
    throw new UsageError("Cannot run extract: --as, --at and --spool go with --memory");
  }
  if (memory !== undefined && damaged) {
    throw new UsageError("Cannot run extract: --damaged goes with --to");
  }
  if (operand === "-" && isTerminal(STDIN_FD)) {
    throw new UsageError(
      "Cannot extract the terminal: name a stream, or send one to standard input",
    );
  }
}

const nameOf = (operand: string): string => (operand === "-" ? "standard input" : operand);

async function partsOf(
  operand: string,
  to: string,
  { damaged, format, quiet, rate }: ExtractCommandOptions,
): Promise<string> {
  const input = openInput(operand, { selfCommand: selfCommand() });
  const { source } = input;
  const progress = startProgress({ bytesTotal: source.bytesTotal, wanted: !quiet });
  const holdBack = heldBack(rate);
  try {
    const extracted = await extractStream(source, to, {
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
    return renderExtracted(extracted, { input: nameOf(operand), to });
  } finally {
    progress.clear();
    await input.close();
  }
}

async function memoryOf(operand: string, options: ExtractCommandOptions): Promise<string> {
  // checkOptions() has seen that both are there.
  const { memory: to = "", as = "raw", at, format, quiet, rate } = options;
  const input = await openMemory(operand, options, to);
  const { bytesTotal } = input.first;
  const progress = startProgress({ bytesTotal, wanted: !quiet });
  const [holdBack, holdBackPages] = [heldBack(rate), heldBack(rate)];
  try {
    const extracted = await extractMemory(input, to, {
      as,
      at,
      format,
      onProgress(position) {
        progress.at(position);
        holdBack(position);
      },
      onCopied: holdBackPages,
    });
    return renderMemory(extracted, { input: nameOf(operand), to });
  } finally {
    progress.clear();
    await input.close();
  }
}

/** A stream, or a folder that one was taken apart into. */
function openMemory(
  operand: string,
  { spool, quiet }: ExtractCommandOptions,
  output: string,
): Promise<StoredInput> {
  const request = { verb: "extract", spool, output, isVerbose: !quiet };
  const stats = operand === "-" ? undefined : statSync(operand, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) return openStored(operand, request);
  return Promise.resolve(storeFolder(operand, spoolFolder(request)));
}

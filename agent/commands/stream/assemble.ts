// agent assemble: a stream from the folder that agent extract took one apart into.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import { type Assembled, assembleFolder } from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDOUT_FD } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, sizeOption, switchOption } from "../../options.ts";
import { renderAssembled, renderNotValid } from "../../ui/image-report.ts";
import { printError } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { heldBack } from "./stored.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.string()], "wanted one folder"),
  to: v.string("name what to write with --to FILE, or - for standard output"),
  damaged: switchOption,
  quiet: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type AssembleCommandOptions = v.InferOutput<typeof Options>;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const [folder] = options._;
  const toStandardOutput = options.to === "-" || options.to === "1";
  if (toStandardOutput && isTerminal(STDOUT_FD)) {
    throw new UsageError("Cannot write a stream to the terminal: use --to FILE");
  }
  if (options.idle) becomeIdle();
  let assembled: Assembled;
  try {
    assembled = assemble(folder, options);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await printError(`Cannot assemble "${folder}": ${error.message}`);
    return EXIT.badData;
  }
  if (!assembled.isWritten) {
    await printError(renderNotValid(folder, assembled));
    return EXIT.badData;
  }
  if (!options.quiet) {
    const text = renderAssembled({ folder, to: options.to, ...assembled });
    (toStandardOutput ? printToStderr : print)(text);
  }
  return EXIT.ok;
}

function assemble(folder: string, { to, damaged, quiet, rate }: AssembleCommandOptions): Assembled {
  const progress = startProgress({ bytesTotal: undefined, wanted: !quiet });
  const holdBack = heldBack(rate);
  try {
    return assembleFolder(folder, to, {
      allowsDamage: damaged,
      onProgress(position) {
        progress.at(position);
        holdBack(position);
      },
    });
  } finally {
    progress.clear();
  }
}

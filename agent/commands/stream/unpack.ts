// agent unpack: the bytes that agent pack stored, from any offset, to a file or into a pipe.

import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import {
  openOutput,
  PackedImage,
  unpackImage,
  type UnpackReport,
} from "../../../lib/stream/index.ts";
import { becomeIdle, kindOf, openForReading, statOf } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { offsetOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { printError } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { renderUnpackReport } from "../../ui/pack-report.ts";
import { startProgress } from "../../ui/progress.ts";
import { heldBack } from "./stored.ts";
import { imageOutput } from "./image-output.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.string()], "wanted one packed image"),
  to: v.optional(v.string()),
  from: v.optional(offsetOption),
  bytes: v.optional(sizeOption),
  json: switchOption,
  quiet: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type UnpackCommandOptions = v.InferOutput<typeof Options> & { readonly to: string };

export async function run({ argv, spec }: Invocation): Promise<number> {
  const given = parseOptions(Options, spec, argv);
  const { to, isStandardOutput } = imageOutput("unpack", given);
  if (given.idle) becomeIdle();
  const [path] = given._;
  let report: UnpackReport;
  try {
    report = await unpackFile(path, { ...given, to });
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await printError(`Cannot unpack "${path}": ${error.message}`);
    return EXIT.badData;
  }
  if (given.quiet) return EXIT.ok;
  if (given.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else (isStandardOutput ? printToStderr : print)(renderUnpackReport(report));
  return EXIT.ok;
}

async function unpackFile(
  path: string,
  { to, from, bytes, quiet, rate }: UnpackCommandOptions,
): Promise<UnpackReport> {
  const fd = openForReading(path);
  const stats = statOf(fd.number);
  if (kindOf(stats) !== "file") {
    fd[Symbol.dispose]();
    throw new RefusedError(
      `Cannot unpack "${path}": wanted a file, for its index stands at its end`,
    );
  }
  using image = new PackedImage(fd, stats.size);
  using output = openOutput(to, { existing: "replace", inputs: [stats] });
  const progress = startProgress({ bytesTotal: image.originalBytes, wanted: !quiet });
  const holdBack = heldBack(rate);
  try {
    const report = await unpackImage(image, output.sink, {
      from: from ?? 0,
      bytes,
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
}

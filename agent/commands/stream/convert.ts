// agent convert: a stream from before Xen 4.6 as one that a current Xen restores, or a new one for
// an older Xen.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import {
  type ConvertOptions,
  type ConvertReport,
  convertStream,
  identityOf,
  openInput,
  openOutput,
} from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDIN_FD, STDOUT_FD } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, sizeOption, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { renderConvertReport } from "../../ui/convert-report.ts";
import { printError } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { heldBack } from "./stored.ts";

export const convertOption = {
  width: v.picklist(["32", "64"], "wanted 32 or 64"),
  guest: v.picklist(["pv", "hvm"], "wanted pv or hvm"),
  format: v.picklist(["libxl", "libxc"], "wanted libxl or libxc"),
} as const;

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one stream")),
  to: v.string("name what to write with --to FILE, or - for standard output"),
  width: v.optional(convertOption.width),
  guest: v.optional(convertOption.guest),
  format: v.optional(convertOption.format),
  "libxc-version": v.optional(v.picklist(["2", "3"], "wanted 2 or 3")),
  json: switchOption,
  quiet: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const operand = options._[0] ?? "-";
  const toStandardOutput = options.to === "-" || options.to === "1";
  if (operand === "-" && isTerminal(STDIN_FD)) {
    throw new UsageError(
      "Cannot convert the terminal: name a stream, or send one to standard input",
    );
  }
  if (toStandardOutput && options.json) {
    throw new UsageError("Cannot run convert: --json and the stream both go to standard output");
  }
  if (toStandardOutput && isTerminal(STDOUT_FD)) {
    throw new UsageError("Cannot write a stream to the terminal: use --to FILE");
  }
  if (options.idle) becomeIdle();
  const request: ConvertRequest = {
    from: undefined,
    to: options.format,
    version: wordOf(options["libxc-version"], { 2: 2, 3: 3 }),
    width: wordOf(options.width, { 32: 4, 64: 8 }),
    guest: options.guest,
    skipsQemu: false,
    keepsXlHeader: false,
    listener: (converter) => converter,
    rate: options.rate,
    showsProgress: !options.quiet,
  };
  let report: ConvertReport;
  try {
    report = await convertOperand({ input: operand, output: options.to }, request);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await printError(`Cannot convert "${operand}": ${error.message}`);
    return EXIT.badData;
  }
  if (options.quiet) return EXIT.ok;
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else (toStandardOutput ? printToStderr : print)(renderConvertReport(report));
  return EXIT.ok;
}

/** What a word of an option stands for. */
export function wordOf<W extends string, T>(
  word: W | undefined,
  table: Readonly<Record<W, T>>,
): T | undefined {
  return word === undefined ? undefined : table[word];
}

export interface ConvertRequest extends Omit<ConvertOptions, "onProgress"> {
  /** Bytes a second; undefined for no limit. */
  readonly rate: number | undefined;
  readonly showsProgress: boolean;
}

/** Opens, converts and closes. Shared with the drop-in convert-legacy-stream. */
export async function convertOperand(
  operands: { readonly input: string; readonly output: string },
  { rate, showsProgress, ...request }: ConvertRequest,
): Promise<ConvertReport> {
  const identity = identityOf(operands.input);
  const input = openInput(operands.input, { selfCommand: selfCommand() });
  const { source } = input;
  const progress = startProgress({ bytesTotal: source.bytesTotal, wanted: showsProgress });
  const holdBack = heldBack(rate);
  let isClosed = false;
  try {
    using output = openOutput(operands.output, { existing: "replace", inputs: identity });
    const report = convertStream(source, output.sink, {
      ...request,
      onProgress(position) {
        progress.at(position);
        holdBack(position);
      },
    });
    input.settle();
    isClosed = true;
    const damage = await input.close();
    if (damage !== undefined) throw new StreamError(damage); // Of compressed data.
    output.commit();
    return report;
  } finally {
    progress.clear();
    if (!isClosed) await input.close();
  }
}

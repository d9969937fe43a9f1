// agent diff: what changed between two saved guests, or why one of them does not restore?

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import {
  compareSides,
  type DiffReport,
  identityOf,
  openOutput,
  type Output,
  readSideA,
  readSideB,
  type StoredInput,
} from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDOUT_FD } from "../../../lib/sys/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { renderDiffReport } from "../../ui/diff-report.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";
import { heldBack, openStored } from "./stored.ts";

const LIMIT_DEFAULT = 40;

/** "3" is of both streams; "3,8" of the first and of the second, and either may be left out. */
const checkpointsOption = v.pipe(
  v.string(),
  v.regex(/^([1-9][0-9]{0,8})?(,([1-9][0-9]{0,8})?)?$/, (issue) => {
    return `wanted N, or N,N of the first and of the second, found "${String(issue.input)}"`;
  }),
  v.transform((text) => {
    const [first = "", second = first] = text.split(",");
    return [first, second].map((number) => (number === "" ? undefined : Number(number)));
  }),
);

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.length(2, "wanted two streams")),
  json: switchOption,
  html: v.optional(v.string()),
  limit: v.optional(countOption),
  at: v.optional(checkpointsOption),
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
  spool: v.optional(v.string()),
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type Given = v.InferOutput<typeof Options>;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const [a = "", b = ""] = options._;
  if (a === b && (a === "-" || /^[0-9]+$/.test(a))) {
    throw new UsageError(`Cannot compare "${a}" with itself: it can be read only once`);
  }
  const toStandardOutput = options.html === "-" || options.html === "1";
  if (toStandardOutput && options.json) {
    throw new UsageError("Cannot run diff: two results would go to standard output");
  }
  if (toStandardOutput && isTerminal(STDOUT_FD)) {
    throw new UsageError("Cannot write a page to the terminal: use --html FILE");
  }
  if (options.idle) becomeIdle();
  using page = openPage(options);
  const report = await compareOperands([a, b], options);
  if (report === undefined) return EXIT.badData;
  if (page !== undefined) await writePage(report, page);
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (page === undefined) {
    const limit = options.limit ?? LIMIT_DEFAULT;
    print(renderDiffReport(report, { limit, style: stdoutStyle() }));
  }
  return EXIT.ok;
}

/** Before the streams are read: what cannot be written is said at once. */
function openPage({ html, _: operands }: Given): Output | undefined {
  if (html === undefined) return undefined;
  return openOutput(html, { existing: "replace", inputs: operands.flatMap(identityOf) });
}

/** Its style and script are loaded only for a page. */
async function writePage(report: DiffReport, page: Output): Promise<void> {
  const { renderDiffPage } = await import("../../ui/diff-page.ts");
  page.sink.write(new TextEncoder().encode(renderDiffPage(report)));
  page.commit();
}

async function compareOperands(
  [first, second]: readonly [string, string],
  { at: [atOfFirst, atOfSecond] = [], format, spool, rate }: Given,
): Promise<DiffReport | undefined> {
  const request = { verb: "compare", spool, output: undefined, isVerbose: true };
  await using closers = new AsyncDisposableStack();
  const open = async (operand: string): Promise<StoredInput> => {
    const input = await openStored(operand, request);
    closers.defer(() => input.close());
    return input;
  };
  let operand = first;
  let progress: ReturnType<typeof startProgress> | undefined;
  try {
    const optionsAt = (at: number | undefined) => ({ format, at, onSpooled: heldBack(rate) });
    const a = await readSideA(await open(first), optionsAt(atOfFirst));
    operand = second;
    const b = await readSideB(await open(second), optionsAt(atOfSecond));
    const shown = startProgress({ bytesTotal: b.found.endOffset, wanted: true });
    progress = shown;
    const holdBack = heldBack(rate);
    return compareSides(a, b, {
      onCompared(position) {
        shown.at(position);
        holdBack(position);
      },
    });
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await printError(`Cannot compare "${operand}": ${error.message}`);
    return undefined;
  } finally {
    progress?.clear();
  }
}

// agent inspect: what is in this saved guest, or this stream?

import * as v from "valibot";
import { RefusedError, UsageError } from "../../../lib/base/index.ts";
import {
  identityOf,
  inspectStream,
  type InspectOptions,
  type InspectReport,
  openInput,
  openOutput,
  type Output,
  rateLimiter,
  RECORD_KEPT_BYTES,
  withDamage,
} from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDIN_FD, STDOUT_FD } from "../../../lib/sys/index.ts";
import { INSPECT_SECTIONS, type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { bodyLines, pageVersionText, recordDetailText } from "../../ui/inspect-detail.ts";
import { renderInspectReport, renderSummary } from "../../ui/inspect-report.ts";
import { print } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";

const PFN_MAX = 2 ** 52;

/** "0x1f", "31" or "0x10-0x1f". */
const pagesOption = v.pipe(
  v.string("wanted PFN or PFN-PFN"),
  v.regex(/^(0x[0-9a-f]+|[0-9]+)(-(0x[0-9a-f]+|[0-9]+))?$/i, (issue) => {
    return `wanted PFN or PFN-PFN such as 0x10-0x1f, found "${String(issue.input)}"`;
  }),
  v.transform((text) => {
    const [first = 0, last = first] = text.split("-").map(Number);
    return { first, last };
  }),
  v.check(({ last }) => last < PFN_MAX, "wanted pfns below 2^52"),
  v.check(({ first, last }) => first <= last, "wanted the lower pfn first"),
);

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one stream")),
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
  section: v.optional(v.picklist(INSPECT_SECTIONS, `wanted one of ${INSPECT_SECTIONS.join(", ")}`)),
  contents: switchOption,
  record: v.optional(countOption),
  pages: v.optional(pagesOption),
  html: v.optional(v.string()),
  json: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});
type Given = v.InferOutput<typeof Options>;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  if (options._[0] === undefined && isTerminal(STDIN_FD)) {
    throw new UsageError(
      "Cannot inspect the terminal: name a stream, or send one to standard input",
    );
  }
  refuseTwoResults(options);
  if (options.idle) becomeIdle();
  using page = openPage(options);
  const report = await inspectOperand(options);
  if (page !== undefined) await writePage(report, page);
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else printText(report, options);
  const isGood = report.complete && report.errors === 0;
  if (!isGood) return EXIT.badData;
  refuseAbsent(report, options);
  return EXIT.ok;
}

const isStandardOutput = (html: string | undefined): boolean => html === "-" || html === "1";

/** Standard output has room for one result. */
function refuseTwoResults({ html, json, section, record, pages }: Given): void {
  if (!isStandardOutput(html)) return;
  if (json || section !== undefined || record !== undefined || pages !== undefined) {
    throw new UsageError("Cannot run inspect: two results would go to standard output");
  }
  if (isTerminal(STDOUT_FD)) {
    throw new UsageError("Cannot write a page to the terminal: use --html FILE");
  }
}

/** Before the stream is read: what cannot be written is said at once. */
function openPage({ html, _: [operand = "-"] }: Given): Output | undefined {
  if (html === undefined) return undefined;
  return openOutput(html, { existing: "replace", inputs: identityOf(operand) });
}

async function writePage(report: InspectReport, page: Output): Promise<void> {
  const { renderInspectPage } = await import("../../ui/inspect-page/page.ts");
  page.sink.write(new TextEncoder().encode(renderInspectPage(report)));
  page.commit();
}

async function inspectOperand(options: Given): Promise<InspectReport> {
  const copiesBodies = options.contents || options.pages !== undefined;
  const input = openInput(options._[0] ?? "-", { selfCommand: selfCommand(), copiesBodies });
  const { source, compression } = input;
  const progress = startProgress({ bytesTotal: source.bytesTotal, wanted: true });
  const limit =
    options.rate === undefined
      ? undefined
      : rateLimiter(options.rate, { now: () => performance.now(), sleep: Bun.sleepSync });
  let damage: Awaited<ReturnType<typeof input.close>>;
  let report: InspectReport;
  try {
    report = inspectStream(source, {
      format: options.format,
      compression,
      contents: options.contents || options.html !== undefined,
      record: options.record,
      pages: options.pages,
      onPage: pagePrinter(options),
      onDetailPiece: detailPrinter(options),
      onProgress(position) {
        progress.at(position);
        limit?.(position);
      },
    });
  } finally {
    progress.clear();
    damage = await input.close();
  }
  return damage === undefined ? report : withDamage(report, damage);
}

/** Versions of pages are printed as they come: there may be any number. */
function pagePrinter({ json, pages }: Given): InspectOptions["onPage"] {
  if (json || pages === undefined) return () => undefined;
  const style = stdoutStyle();
  return (version, contents) => print(pageVersionText(version, contents, style));
}

/** A body that is too large for the report is printed as it comes, before the record's rest. */
function detailPrinter({ json }: Given): InspectOptions["onDetailPiece"] {
  return (record, { bytes, at, length, bodyAt }) => {
    if (json || record.bodyBytes <= RECORD_KEPT_BYTES) return;
    const lines = bodyLines(bytes.subarray(at, at + length), record.bodyOffset + bodyAt);
    print(`${lines.join("\n")}\n`);
  };
}

function printText(report: InspectReport, { record, pages, section, html }: Given): void {
  const style = stdoutStyle();
  const isWhole = html === undefined && record === undefined && pages === undefined;
  if (isWhole || section !== undefined) print(renderInspectReport(report, style, section));
  else if (!report.complete && !isStandardOutput(html)) print(renderSummary(report, style));
  if (report.record !== null) print(recordDetailText(report.record, style));
}

/** What was asked for by number must be there. */
function refuseAbsent({ records, record, pages }: InspectReport, options: Given): void {
  if (options.record !== undefined && record === null) {
    throw new RefusedError(
      `Cannot show record ${options.record}: the stream has ${records} records`,
    );
  }
  if (pages === null || pages.versions.length > 0) return;
  throw new RefusedError("Cannot show these pages: the stream has none of them");
}

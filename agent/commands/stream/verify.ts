// agent verify: is this saved guest, or this stream, good?

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import {
  type Format,
  openInput,
  rateLimiter,
  verifyStream,
  type VerifyReport,
  withError,
} from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDIN_FD, SYSLOG_PATH } from "../../../lib/sys/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { printWarning } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { sendReportToSyslog } from "../../ui/syslog-report.ts";
import { nativeListing } from "../../ui/verify-listing.ts";
import { renderVerifyReport } from "../../ui/verify-report.ts";

const FINDINGS_DEFAULT = 100;

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one stream")),
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
  strict: switchOption,
  limit: v.optional(countOption),
  json: switchOption,
  quiet: switchOption,
  verbose: switchOption,
  syslog: switchOption,
  rate: v.optional(sizeOption),
  idle: switchOption,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const operand = options._[0] ?? "-";
  if (options._[0] === undefined && isTerminal(STDIN_FD)) {
    throw new UsageError(
      "Cannot verify the terminal: name a stream, or send one to standard input",
    );
  }
  if (options.idle) becomeIdle();
  const showsText = !options.quiet && !options.json;
  const report = await verifyOperand(operand, {
    format: options.format,
    limit: options.limit ?? FINDINGS_DEFAULT,
    rate: options.rate,
    showsProgress: !options.quiet,
    listener: options.verbose && showsText ? nativeListing(print) : {},
  });
  if (options.json && !options.quiet) print(`${JSON.stringify(report, null, 2)}\n`);
  if (showsText) print(renderVerifyReport(report));
  const log = { socketPath: SYSLOG_PATH, tag: "agent" };
  if (options.syslog && !sendReportToSyslog(log, report)) {
    await printWarning("Cannot send to the system log: nobody listens on /dev/log");
  }
  return exitStatusOf(report, options.strict);
}

export interface VerifyRequest {
  readonly format: Format | undefined;
  readonly limit: number;
  /** Bytes a second; undefined for no limit. */
  readonly rate: number | undefined;
  readonly showsProgress: boolean;
  readonly listener: Parameters<typeof verifyStream>[1]["listener"];
}

/** Opens, verifies and closes one input. Shared with the drop-in verify-stream-v2. */
export async function verifyOperand(
  operand: string,
  request: VerifyRequest,
): Promise<VerifyReport> {
  const input = openInput(operand, { selfCommand: selfCommand() });
  const { source, compression } = input;
  const progress = startProgress({ bytesTotal: source.bytesTotal, wanted: request.showsProgress });
  const limit =
    request.rate === undefined
      ? undefined
      : rateLimiter(request.rate, { now: () => performance.now(), sleep: Bun.sleepSync });
  let damage: Awaited<ReturnType<typeof input.close>>;
  let report: VerifyReport;
  try {
    report = verifyStream(source, {
      format: request.format,
      compression,
      limit: request.limit,
      listener: request.listener,
      onProgress:
        limit === undefined
          ? progress.at
          : (position: number) => {
              progress.at(position);
              limit(position);
            },
    });
  } finally {
    progress.clear();
    damage = await input.close();
  }
  return damage === undefined ? report : withError(report, damage);
}

function exitStatusOf(report: VerifyReport, strict: boolean): number {
  if (report.verdict !== "good") return EXIT.badData;
  return strict && report.strict_warnings > 0 ? EXIT.badData : EXIT.ok;
}

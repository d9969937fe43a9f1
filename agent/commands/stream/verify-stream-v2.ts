// verify-stream-v2: Xen's stream verifier (tools/python/scripts/verify-stream-v2), its options,
// output and exit statuses, with our checks. Where the original is wrong (checkpointed streams,
// emulator xenstore data under Python 3, streams on pipes, big-endian streams) this is right.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { sendToSyslog, SYSLOG_PATH } from "../../../lib/sys/index.ts";
import type { CommandSpec, Invocation, OptionSpec } from "../../commands.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { commandHelp } from "../../ui/help.ts";
import { referenceListing } from "../../ui/reference-listing.ts";
import { reportLines } from "../../ui/verify-report.ts";
import { verifyOperand } from "./verify.ts";
import { print, printToStderr } from "../../ui/output.ts";

/** The original's exit statuses: 2 is also what its option parser ends with. */
const STATUS = { good: 0, bad: 1 } as const;
const FINDINGS_LIMIT = 100;
const FORMATS = ["libxc", "libxl", "xl"] as const;

const OPTIONS: readonly OptionSpec[] = [
  { name: "in", short: "i", value: "FD or FILE", summary: "stream to verify (defaults to stdin)" },
  { name: "verbose", short: "v", summary: "summarise stream contents" },
  { name: "quiet", short: "q", summary: "suppress all logging and errors" },
  {
    name: "format",
    short: "f",
    value: "FORMAT",
    choices: FORMATS,
    summary: "libxc, libxl or xl (defaults to libxc)",
  },
  { name: "syslog", summary: "log to syslog instead of stdout" },
  { name: "help", short: "h", summary: "show this help" },
];

const Options = v.strictObject({
  _: v.array(v.string()), // The original takes no notice of operands.
  in: v.optional(v.string(), "0"),
  verbose: switchOption,
  quiet: switchOption,
  format: v.optional(v.picklist(FORMATS, `wanted one of ${FORMATS.join(", ")}`), "libxc"),
  syslog: switchOption,
  help: switchOption,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const ownSpec: CommandSpec = { ...spec, options: OPTIONS };
  const options = parseOptions(Options, ownSpec, argv);
  if (options.help) {
    print(commandHelp(ownSpec).replace("Usage: agent ", "Usage: "));
    return STATUS.good;
  }
  if (options.in === "") throw new UsageError("Cannot run verify-stream-v2: --in needs a value");
  const listed: string[] = [];
  const info = (line: string): void => {
    if (options.quiet || !options.verbose) return;
    if (options.syslog) listed.push(line);
    else print(`${line}\n`);
  };
  const report = await verifyOperand(options.in, {
    format: options.format,
    limit: FINDINGS_LIMIT,
    rate: undefined,
    showsProgress: false,
    listener: referenceListing(info),
  });
  const isGood = report.verdict === "good" && report.strict_warnings === 0;
  const errors = isGood ? [] : ["Stream Error:", ...reportLines(report)];
  if (!options.quiet && !isGood) printToStderr(`${errors.join("\n")}\n`);
  if (options.syslog && !options.quiet) {
    const log = { socketPath: SYSLOG_PATH, tag: "verify-stream-v2" };
    sendToSyslog({ ...log, severity: "info", lines: listed });
    sendToSyslog({ ...log, severity: "error", lines: errors });
  }
  return isGood ? STATUS.good : STATUS.bad;
}

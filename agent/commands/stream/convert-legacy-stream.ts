// convert-legacy-stream: Xen's converter of streams from before 4.6 (tools/python/scripts), its
// options and exit statuses, with our conversion. libxl runs what LIBXL_CONVERT_HELPER names with
// --in --out --width --guest --format; xenopsd runs its own with --guest-type, --skip-qemu,
// --syslog and --verbose. Both descriptors are inherited, and what stands behind the stream in the
// input belongs to whoever started us.

import * as v from "valibot";
import { RefusedError, SystemError } from "../../../lib/base/index.ts";
import { StreamError } from "../../../lib/bytes/index.ts";
import { LegacyListing } from "../../../lib/stream/index.ts";
import { sendToSyslog, SYSLOG_PATH } from "../../../lib/sys/index.ts";
import type { CommandSpec, Invocation, OptionSpec } from "../../commands.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { commandHelp } from "../../ui/help.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { convertOperand, convertOption, wordOf } from "./convert.ts";

/** The original's: 2 is for its own mistakes, and what its option parser ends with. */
const STATUS = { good: 0, bad: 1, bug: 2 } as const;
/** What the original prints for --version; it is also the minor version in converted streams. */
const VERSION = "1";
const TAG = "convert-legacy-stream";

const OPTIONS: readonly OptionSpec[] = [
  { name: "in", short: "i", value: "FD or FILE", summary: "legacy input to convert" },
  { name: "out", short: "o", value: "FD or FILE", summary: "v2 (or later) format output" },
  {
    name: "width",
    short: "w",
    value: "WIDTH",
    choices: ["32", "64"],
    summary: "legacy toolstack bitness: 32 or 64",
  },
  {
    name: "guest-type",
    short: "g",
    value: "GUEST",
    choices: ["pv", "hvm"],
    summary: "type of guest in stream: pv or hvm",
  },
  { name: "guest", value: "GUEST", choices: ["pv", "hvm"], summary: "the same as --guest-type" },
  {
    name: "format",
    short: "f",
    value: "FORMAT",
    choices: ["libxc", "libxl"],
    summary: "desired format of the outgoing stream: libxc or libxl (defaults to libxc)",
  },
  { name: "verbose", short: "v", summary: "summarise stream contents" },
  { name: "xl", short: "x", summary: "an xl header is present in the stream (default no)" },
  { name: "skip-qemu", summary: "skip processing of the qemu tail (default no)" },
  { name: "syslog", summary: "log to syslog instead of stdout" },
  { name: "version", summary: "show the version and exit" },
  { name: "help", short: "h", summary: "show this help" },
];

const Options = v.strictObject({
  _: v.array(v.string()), // The original takes no notice of operands.
  in: v.optional(v.string()),
  out: v.optional(v.string()),
  width: v.optional(convertOption.width),
  "guest-type": v.optional(convertOption.guest),
  guest: v.optional(convertOption.guest),
  format: v.optional(convertOption.format, "libxc"),
  verbose: switchOption,
  xl: switchOption,
  "skip-qemu": switchOption,
  syslog: switchOption,
  version: switchOption,
  help: switchOption,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const ownSpec: CommandSpec = { ...spec, options: OPTIONS };
  const options = parseOptions(Options, ownSpec, argv);
  const help = commandHelp(ownSpec).replace("Usage: agent ", "Usage: ");
  if (options.help) {
    print(help);
    return STATUS.good;
  }
  if (options.version) {
    print(`${VERSION}\n`);
    return STATUS.good;
  }
  const guest = options["guest-type"] ?? options.guest;
  const { in: input, out: output, width } = options;
  if (input === undefined || output === undefined || width === undefined || guest === undefined) {
    printToStderr(help);
    return STATUS.bad;
  }
  const listed: string[] = [];
  const info = (line: string): void => {
    if (options.syslog) listed.push(line);
    else print(`${line}\n`);
  };
  const errors: string[] = [];
  const status = await attempt(errors, () =>
    convertOperand(
      { input, output },
      {
        from: options.xl ? "xl" : "legacy",
        to: options.format,
        version: 3,
        width: wordOf(width, { 32: 4, 64: 8 }),
        guest,
        skipsQemu: options["skip-qemu"],
        keepsXlHeader: true,
        listener: (inner) => (options.verbose ? new LegacyListing(inner, info) : inner),
        rate: undefined,
        showsProgress: false,
      },
    ),
  );
  if (options.syslog) {
    sendToSyslog({ socketPath: SYSLOG_PATH, tag: TAG, severity: "info", lines: listed });
    sendToSyslog({ socketPath: SYSLOG_PATH, tag: TAG, severity: "error", lines: errors });
  }
  if (errors.length > 0) printToStderr(`${errors.join("\n")}\n`);
  return status;
}

/** Runs the conversion; what went wrong goes to `errors`, worded as the original does. */
async function attempt(errors: string[], convert: () => Promise<unknown>): Promise<number> {
  try {
    await convert();
    return STATUS.good;
  } catch (error) {
    const isStream =
      error instanceof StreamError || error instanceof SystemError || error instanceof RefusedError;
    if (isStream) {
      errors.push("Stream Error:", error.message);
      return STATUS.bad;
    }
    if (!(error instanceof Error)) throw error;
    errors.push("Script Error:", error.stack ?? error.message, "Please fix me");
    return STATUS.bug;
  }
}

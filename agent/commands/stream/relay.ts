// agent relay: a stream from one descriptor to another, or through a command, verified on its way.

import * as v from "valibot";
import { RefusedError, UsageError } from "../../../lib/base/index.ts";
import {
  Capture,
  type CarriedEnds,
  goOnRelaying,
  type OnError,
  openSourceEnd,
  openTargetEnd,
  relayCommand,
  type RelayOptions,
  type RelayReport,
  type RelayResult,
  relayStream,
} from "../../../lib/stream/index.ts";
import { becomeIdle, isTerminal, STDIN_FD } from "../../../lib/sys/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { RELAY_ON_ERROR } from "../../commands.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../options.ts";
import { type Replaceable, replaceable } from "../../seam-settings.ts";
import { selfCommand } from "../../self.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { startProgress } from "../../ui/progress.ts";
import { relayLines } from "../../ui/relay-report.ts";

const FINDINGS_DEFAULT = 100;

/** What the relay itself needs to know, in the process that does it. */
export const RelaySettings = v.strictObject({
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
  "on-error": v.optional(v.picklist(RELAY_ON_ERROR, "wanted pass or cut"), "pass"),
  limit: v.optional(v.number(), FINDINGS_DEFAULT),
  rate: v.optional(v.number()),
  capture: v.optional(v.string()),
  control: v.optional(v.string()),
  json: switchOption,
  quiet: switchOption,
});
export type RelaySettings = v.InferOutput<typeof RelaySettings>;

const Options = v.strictObject({
  ...RelaySettings.entries,
  _: v.array(v.string()),
  from: v.optional(v.string(), "-"),
  to: v.optional(v.string(), "-"),
  limit: v.optional(countOption),
  rate: v.optional(sizeOption),
  idle: switchOption,
});

export async function run(invocation: Invocation): Promise<number> {
  const { argv, spec } = invocation;
  const { _: command, from, to, idle, ...rest } = parseOptions(Options, spec, argv);
  const settings = v.parse(RelaySettings, withoutUndefined(rest));
  if (idle) becomeIdle();
  if (command.length === 0) return relayHere({ from, to }, settings, replaceable(invocation));
  if (from !== "-" || to !== "-") {
    const wanted = "a command takes standard input, without --from and --to";
    throw new UsageError(`Cannot run relay: ${wanted}`);
  }
  return await relayCommand({
    command,
    environment: process.env,
    selfCommand: selfCommand(),
    settings: JSON.stringify(settings),
    badDataStatus: EXIT.badData,
  });
}

interface Places {
  readonly from: string;
  readonly to: string;
}

function relayHere(places: Places, settings: RelaySettings, { claimed, ...how }: Replaceable) {
  const { from, to } = places;
  const progress = startProgress({ bytesTotal: undefined, wanted: !settings.quiet });
  const common = {
    ...relayOptionsOf(settings),
    back: undefined,
    lifeline: undefined,
    isExact: false,
    tailsElsewhere: false,
    gate: undefined,
    settings: how.settings,
    onProgress: (position: number) => progress.at(position),
  };
  const begin = (): RelayResult => {
    if (from === "-" && isTerminal(STDIN_FD)) {
      const advice = "name a source, or send it to standard input";
      throw new UsageError(`Cannot relay the terminal: ${advice}`);
    }
    const source = openSourceEnd(from);
    const target = openTargetEnd(to);
    using capture = openCapture(settings);
    const result = relayStream({ ...common, source, target: target.end, capture });
    if (result.report.ended === "end") target.commit();
    return result;
  };
  const goOn = (ends: CarriedEnds): RelayOptions => ({
    ...common,
    source: ends.end("source", "source"),
    target: ends.end("target", "target"),
    capture: ends.capture(settings.capture),
  });
  const result = claimed === undefined ? begin() : goOnRelaying(claimed, goOn, how.settings);
  progress.clear();
  if (result === undefined) return EXIT.ok; // Another one did not need this process.
  showReport(result.report, settings, { hasStdout: to !== "-" });
  if (result.bug !== undefined) throw result.bug;
  return statusOf(result.report);
}

// ---- Shared with the process that relays for a command ------------------------------------------

export const openCapture = ({ capture }: RelaySettings): Capture | undefined =>
  capture === undefined ? undefined : new Capture(capture);

export function relayOptionsOf(settings: RelaySettings) {
  const { format, limit, rate, control } = settings;
  const onError: OnError = settings["on-error"];
  return { format, onError, limit, rate, control };
}

/** Standard output carries the stream, or the receiver's words: then it all goes to stderr. */
export function showReport(
  report: RelayReport,
  { json, quiet }: Pick<RelaySettings, "json" | "quiet">,
  { hasStdout }: { readonly hasStdout: boolean },
): void {
  const show = hasStdout ? print : printToStderr;
  if (json) return show(`${JSON.stringify(report, null, 2)}\n`);
  if (!quiet) show(`${relayLines(report).join("\n")}\n`);
}

export function statusOf({ verdict, ended, failure }: RelayReport): number {
  if (verdict === "bad") return EXIT.badData;
  if (ended === "end") return verdict === "good" ? EXIT.ok : EXIT.bug;
  if (failure !== null) return EXIT.failed;
  if (ended === "bug") return EXIT.bug;
  throw new RefusedError("Cannot relay the stream to its end: it was stopped");
}

/** An option that was not given has no entry. */
const withoutUndefined = (values: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

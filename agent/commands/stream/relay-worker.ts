// agent relay-worker SETTINGS: the process that relays for `agent relay -- CMD`. Its supervisor
// starts the command, passes signals on and keeps exit statuses; here the stream is.

import * as v from "valibot";
import {
  type CarriedEnds,
  goOnRelaying,
  type RelayOptions,
  type RelayResult,
  relayStream,
  workerEnds,
} from "../../../lib/stream/index.ts";
import type { Fd } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { replaceable } from "../../seam-settings.ts";
import { openCapture, relayOptionsOf, RelaySettings, showReport, statusOf } from "./relay.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.pipe(v.string(), v.parseJson(), RelaySettings)], "wanted settings"),
});

export function run(invocation: Invocation): number {
  const { argv, spec } = invocation;
  const [settings] = parseOptions(Options, spec, argv)._;
  const { claimed, settings: how } = replaceable(invocation);
  const common = {
    ...relayOptionsOf(settings),
    isExact: false,
    tailsElsewhere: false,
    gate: undefined,
    settings: how,
    onProgress() {},
  };
  const lineOf = (fd: Fd): RelayOptions["lifeline"] => ({
    fd,
    onStatus: (status) => showReport(status, { ...settings, quiet: false }, { hasStdout: false }),
    onOrphaned() {}, // The command sees the end of its input, and of whoever reads its output.
  });
  const begin = (): RelayResult => {
    using capture = openCapture(settings);
    const { source, target, back, lifeline } = workerEnds();
    return relayStream({ ...common, source, target, back, capture, lifeline: lineOf(lifeline) });
  };
  const goOn = (ends: CarriedEnds): RelayOptions => ({
    ...common,
    source: ends.end("source", "source"),
    target: ends.end("target", "target"),
    back: ends.back,
    capture: ends.capture(settings.capture),
    lifeline: lineOf(ends.lifeline),
  });
  const result = claimed === undefined ? begin() : goOnRelaying(claimed, goOn, how);
  if (result === undefined) return EXIT.ok; // Another one did not need this process.
  showReport(result.report, settings, { hasStdout: false });
  if (result.bug !== undefined) throw result.bug;
  return statusOf(result.report);
}

// agent relay-worker SETTINGS: the process that relays for `agent relay -- CMD`. Its supervisor
// starts the command, passes signals on and keeps exit statuses; here the stream is.

import * as v from "valibot";
import { relayStream, workerEnds } from "../../../lib/stream/index.ts";
import type { Invocation } from "../../commands.ts";
import { parseOptions } from "../../options.ts";
import { openCapture, relayOptionsOf, RelaySettings, showReport, statusOf } from "./relay.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.pipe(v.string(), v.parseJson(), RelaySettings)], "wanted settings"),
});

export function run({ argv, spec }: Invocation): number {
  const [settings] = parseOptions(Options, spec, argv)._;
  using capture = openCapture(settings);
  const { source, target, back, lifeline } = workerEnds();
  const { report, bug } = relayStream({
    ...relayOptionsOf(settings),
    source,
    target,
    back,
    capture,
    lifeline: {
      fd: lifeline,
      onStatus: (status) => showReport(status, { ...settings, quiet: false }, { hasStdout: false }),
      onOrphaned() {}, // The command sees the end of its input, and of whoever reads its output.
    },
    isExact: false,
    tailsElsewhere: false,
    gate: undefined,
    onProgress() {},
  });
  showReport(report, settings, { hasStdout: false });
  if (bug !== undefined) throw bug;
  return statusOf(report);
}

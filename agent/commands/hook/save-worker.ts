// agent save-worker SETTINGS: the process that relays beside a save helper. Its standard output may
// be libxl's control pipe: nothing is printed there.

import * as v from "valibot";
import { relayForHelper, WORKER_STATUS } from "../../../lib/hook/index.ts";
import { SYSLOG_PATH } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { parseOptions } from "../../options.ts";
import { replaceable } from "../../seam-settings.ts";
import { printToStderr } from "../../ui/output.ts";
import { relayLines } from "../../ui/relay-report.ts";
import { sendReportToSyslog } from "../../ui/syslog-report.ts";

const SYSLOG = { socketPath: SYSLOG_PATH, tag: "agent" } as const;

const Settings = v.strictObject({
  direction: v.picklist(["save", "restore"]),
  domid: v.number(),
  isCheckpointed: v.boolean(),
  onError: v.picklist(["pass", "cut"]),
  helperPid: v.number(),
  control: v.nullable(v.string()),
});

const Options = v.strictObject({
  _: v.strictTuple([v.pipe(v.string(), v.parseJson(), Settings)], "wanted settings"),
});

export function run(invocation: Invocation): number {
  const { argv, spec } = invocation;
  const [settings] = parseOptions(Options, spec, argv)._;
  const { claimed, settings: how } = replaceable(invocation);
  const result = relayForHelper(settings, { claimed, how });
  if (result === undefined) return WORKER_STATUS.delivered; // Another one did not need this one.
  const { report, bug } = result;
  const isGood = report.verdict === "good" && report.ended === "end";
  // The helper tells libxl itself why it read no further, or what it was asked to do.
  const isToldByHelper = settings.direction === "restore" && report.ended === "target_failed";
  const isQuiet = isGood || (report.errors === 0 && (isToldByHelper || report.ended === "stopped"));
  if (!isQuiet) printToStderr(prefixed(relayLines(report)));
  if (report.verify !== null && report.ended === "end") sendReportToSyslog(SYSLOG, report.verify);
  if (bug !== undefined) throw bug;
  if (report.ended !== "end") return WORKER_STATUS.failed;
  return isGood ? WORKER_STATUS.delivered : WORKER_STATUS.badButDelivered;
}

const prefixed = (lines: readonly string[]): string =>
  lines.map((line) => `agent: ${line}\n`).join("");

// What `agent store dump` and `agent store convert` share: a state, written as a dump of a format,
// whole or not at all, and what the format cannot carry said aloud.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { identityOf, openOutput } from "../../../lib/stream/index.ts";
import { isTerminal, STDOUT_FD } from "../../../lib/sys/index.ts";
import {
  describeLoss,
  encodeState,
  losses,
  STATE_FORMATS,
  type StateTarget,
  STREAM_VARIANTS,
} from "../../../lib/xenstore/index.ts";
import { switchOption } from "../../options.ts";
import { printWarning } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import {
  lossReports,
  renderCopy,
  sideReport,
  type StoreCopyReport,
} from "../../ui/store-report.ts";
import type { Side } from "./side.ts";

const formats = `wanted ${STATE_FORMATS.join(", ")}`;

/** Of the schemas of both commands. */
export const COPY_OPTIONS = {
  to: v.optional(v.string(), ""),
  format: v.optional(v.picklist(STATE_FORMATS, formats), "json"),
  variant: v.optional(v.picklist(STREAM_VARIANTS, "wanted c or design"), "c"),
  json: switchOption,
  quiet: switchOption,
} as const;

export interface CopyOptions extends StateTarget {
  readonly to: string;
  readonly json: boolean;
  readonly quiet: boolean;
}

/** Before anything is read: what cannot be done is said at once. */
export function checkCopy(command: string, { to, json, format }: CopyOptions): void {
  if (to === "") {
    throw new UsageError(`Cannot run ${command}: name the dump with --to FILE, or --to -`);
  }
  if (to !== "-") return;
  if (json) {
    throw new UsageError(`Cannot run ${command}: --json and the dump both go to standard output`);
  }
  if (format.startsWith("stream") && isTerminal(STDOUT_FD)) {
    throw new UsageError("Cannot write a stream to the terminal: use --to FILE");
  }
}

export async function writeCopy(side: Side, options: CopyOptions): Promise<void> {
  const { to, format, json, quiet } = options;
  const inputs = side.kind === "socket" ? [] : identityOf(side.name);
  using output = openOutput(to, { existing: "replace", inputs });
  const bytes = encodeState(side.state, options);
  output.sink.write(bytes);
  output.commit();
  const lost = losses(side.state, options);
  if (!quiet) {
    for (const note of side.notes) await printWarning(note);
    for (const loss of lost) await printWarning(describeLoss(loss));
  }
  const report: StoreCopyReport = {
    source: sideReport(side),
    to,
    format,
    bytes: bytes.length,
    losses: lossReports(lost),
  };
  if (json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!quiet) (to === "-" ? printToStderr : print)(renderCopy(report));
}

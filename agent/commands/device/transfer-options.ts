// Options that the commands which move device state have in common, and how their outcome is told.

import * as v from "valibot";
import type { DeviceTransfer } from "../../../lib/device/index.ts";
import { EXIT } from "../../exit.ts";
import { countOption, switchOption } from "../../options.ts";
import { transferText } from "../../ui/device-transfer.ts";
import { print, printToStderr } from "../../ui/output.ts";

const WAIT_MS_DEFAULT = 5000;

export const TransferSettings = {
  timeout: v.optional(countOption, String(WAIT_MS_DEFAULT)),
  "lose-connections": switchOption,
  json: switchOption,
} as const;

const STATUS = {
  done: EXIT.ok,
  refused: EXIT.failed,
  undone: EXIT.failed,
  stuck: EXIT.operator,
} as const;

/** The exit status of a transition's result. */
export const statusOf = (result: keyof typeof STATUS): number => STATUS[result];

/** Tells the outcome; returns the exit status. */
export function tellTransfer(report: DeviceTransfer, json: boolean): number {
  for (const problem of json ? [] : report.problems) printToStderr(`agent: ${problem}\n`);
  if (json) print(`${JSON.stringify(report)}\n`);
  else if (report.result === "done") print(transferText(report));
  return statusOf(report.result);
}

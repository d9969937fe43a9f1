// libxl-save-helper: what libxl runs for the libxc part of every save, restore and migration, when
// LIBXL_SAVE_HELPER names us. Called by libxl alone: its arguments, its control pipes at 0 and 1.

import { constants } from "node:os";
import { SystemError } from "../../../lib/base/index.ts";
import {
  becomeHelper,
  findRealHelper,
  type HelperEnd,
  type OnBadStream,
  parseHelperCall,
  superviseHelper,
  verifyStoredImage,
} from "../../../lib/hook/index.ts";
import { dieBySignal } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { selfCommand } from "../../self.ts";
import { printError, printWarning } from "../../ui/log.ts";
import { printToStderr } from "../../ui/output.ts";
import { reportLines } from "../../ui/verify-report.ts";

/** What a failed exec gives libxl: its own fork ends so when it cannot run the helper. */
const CANNOT_RUN = 255;
/** Of an image that is refused: libxl takes back what it has made of the guest. */
const REFUSED = 1;
const SIGNAL_STATUS_BASE = 128;
const FINDINGS_LIMIT = 20;
const ON_ERROR_VARIABLE = "AGENT_HELPER_ON_ERROR";

export async function run({ argv }: Invocation): Promise<number> {
  const environment = process.env;
  let helper: string;
  try {
    helper = findRealHelper({ environment, root: "/", self: process.execPath });
  } catch (error) {
    await printError(error instanceof Error ? error.message : String(error));
    return CANNOT_RUN;
  }
  const call = parseHelperCall(argv);
  if (call === undefined || call.streamType === "colo") {
    return await goWithout(call === undefined ? "its arguments are unknown" : "COLO", argv, helper);
  }
  const onError: OnBadStream = environment[ON_ERROR_VARIABLE] === "cut" ? "cut" : "pass";
  const self = selfCommand();
  try {
    // A file is there as a whole: a damaged one is refused before the helper touches the guest.
    if (environment[ON_ERROR_VARIABLE] !== "pass") {
      const report = verifyStoredImage(call, { selfCommand: self, limit: FINDINGS_LIMIT });
      if (report?.verdict === "bad") return refuse(reportLines(report));
    }
    return finish(
      await superviseHelper({ call, argv, helper, environment, selfCommand: self, onError }),
    );
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return await goWithout(error.message, argv, helper);
  }
}

function refuse(lines: readonly string[]): number {
  const advice = `not restored; with ${ON_ERROR_VARIABLE}=pass libxl's helper tries it anyway`;
  printToStderr([...lines, advice].map((line) => `agent: ${line}\n`).join(""));
  return REFUSED;
}

/** The guest matters more than the check of its stream. */
async function goWithout(why: string, argv: readonly string[], helper: string): Promise<number> {
  await printWarning(`The stream is not verified: ${why}`);
  try {
    becomeHelper(helper, argv, process.env);
  } catch (error) {
    await printError(error instanceof Error ? error.message : String(error));
    return CANNOT_RUN;
  }
}

function finish(end: HelperEnd): number {
  if (end.kind === "exit") return end.status;
  const number = constants.signals[end.signal];
  dieBySignal(number);
  return SIGNAL_STATUS_BASE + number; // The signal is on its way.
}

// agent repair: freezes and releases the TCP sockets of passt, which may not do it itself.
//
// Before it serves, it lowers what it may do to CAP_NET_ADMIN and executes itself anew, so that
// every thread of it starts with that and nothing else (lib/sys/capabilities.ts).

import { readFileSync } from "node:fs";
import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { RepairHelper } from "../../../lib/device/index.ts";
import {
  CAPABILITY,
  hasOnlyCapability,
  keepOneForExec,
  Loop,
  replaceProgram,
} from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { repairLine } from "../../ui/device-repair.ts";
import { printToStderr } from "../../ui/output.ts";

const ROOT_UID = 0;
const REDUCED = "AGENT_REPAIR_REDUCED";

const paths = v.pipe(
  v.array(v.string()),
  v.minLength(1, "wanted at least one socket, or a folder of them"),
);
const Options = v.strictObject({
  _: paths,
  user: v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(",")),
    ),
  ),
  quiet: switchOption,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const { _: sockets, user: users = [], quiet } = parseOptions(Options, spec, argv);
  const trusted = new Set([ROOT_UID, process.getuid?.() ?? ROOT_UID, ...users.map(uidOf)]);
  reduceAndExecute("agent", ["repair", ...argv]);
  using loop = new Loop();
  for (const signal of ["SIGTERM", "SIGINT"] as const) loop.onSignal(signal, () => loop.stop());
  using _helper = new RepairHelper({
    loop,
    paths: sockets,
    trusted,
    onEvent(event) {
      if (!quiet) printToStderr(`agent: ${repairLine(event)}\n`);
    },
  });
  await loop.run();
  return EXIT.ok;
}

/** Returns in the program that has been executed with CAP_NET_ADMIN alone. */
export function reduceAndExecute(programName: string, words: readonly string[]): void {
  if (hasOnlyCapability(CAPABILITY.netAdmin)) return;
  if (process.env[REDUCED] !== undefined) {
    const found = "found others after it was executed anew";
    throw new RefusedError(`Cannot repair sockets: wanted CAP_NET_ADMIN alone, ${found}`);
  }
  keepOneForExec(CAPABILITY.netAdmin, "CAP_NET_ADMIN");
  const { executable, words: own, environment } = selfCommand();
  const argv = [programName, ...own, ...words];
  replaceProgram(executable, { argv, environment: { ...environment, [REDUCED]: "1" } });
}

/** A number, or a name of /etc/passwd: other sources of users would take a library. */
function uidOf(user: string): number {
  if (/^[0-9]{1,10}$/.test(user)) return Number(user);
  const rows = readFileSync("/etc/passwd", "utf8").split("\n");
  const row = rows.find((candidate) => candidate.startsWith(`${user}:`));
  const uid = Number(row?.split(":")[2]);
  if (row !== undefined && Number.isSafeInteger(uid)) return uid;
  throw new RefusedError(`Cannot trust user "${user}": it is not in /etc/passwd, give its number`);
}

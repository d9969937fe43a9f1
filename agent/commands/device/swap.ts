// agent device swap: another back end under a running guest, with its state, through the proxy.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { connectControl, keepState, socketUse, StateFile } from "../../../lib/device/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { swapText } from "../../ui/device-transfer.ts";
import { print } from "../../ui/output.ts";
import { statusOf, TransferSettings } from "./transfer-options.ts";

const LOOK_EVERY_MS = 5;
const LISTENS_WITHIN_MS = 1000;

const Options = v.strictObject({
  ...TransferSettings,
  _: v.pipe(v.array(v.string()), v.minLength(1, "wanted the proxy's control socket")),
  to: v.string("wanted the new back end's socket"),
  fallback: v.optional(v.string()),
  keep: v.optional(v.string()),
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const { _: operands, timeout: waitMs, json, ...rest } = parseOptions(Options, spec, argv);
  const [path = "", ...command] = operands;
  const to = resolve(rest.to);
  using control = connectControl(path, waitMs);
  if (control === undefined) {
    throw new RefusedError(`Cannot swap: "${path}" is no control socket of agent device proxy`);
  }
  if (command.length > 0) await startBackEnd(command, to, waitMs);
  using state = new StateFile(undefined);
  const report = control.swap({
    to,
    fallback: rest.fallback === undefined ? undefined : resolve(rest.fallback),
    losesConnections: rest["lose-connections"],
    keep: state.fd,
  });
  state.bytes = report.state_bytes;
  if (rest.keep !== undefined && state.bytes > 0) keepState(state, rest.keep);
  print(json ? `${JSON.stringify(report)}\n` : swapText(report));
  const isLosing = (report.flows_after ?? Infinity) < (report.flows ?? 0);
  return isLosing && !rest["lose-connections"] ? EXIT.operator : statusOf(report.result);
}

/** Starts the new back end, which outlives this program, and waits until it listens. */
async function startBackEnd(command: readonly string[], to: string, waitMs: number): Promise<void> {
  if (existsSync(to)) throw new RefusedError(`Cannot start a back end at "${to}": it is there`);
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", detached: true });
  child.unref();
  let boundMs: number | undefined;
  for (const untilMs = performance.now() + waitMs; !isListening(child.pid, to);) {
    // A listener of another network namespace cannot be seen: then the first connect tells.
    if (existsSync(to)) boundMs ??= performance.now();
    if (boundMs !== undefined && performance.now() > boundMs + LISTENS_WITHIN_MS) return;
    // One that puts itself into the background ends well, before or after its socket is there.
    if (child.exitCode !== null && child.exitCode !== 0) {
      throw new RefusedError(`"${command[0]}" ended with ${child.exitCode}: nothing was swapped`);
    }
    if (performance.now() > untilMs) {
      child.kill();
      throw new RefusedError(`"${command[0]}" has not made "${to}" within ${waitMs} ms`);
    }
    await Bun.sleep(LOOK_EVERY_MS); // oxlint-disable-line no-await-in-loop -- one look at a time.
  }
}

/** Not by a connection: to a back end that would be its one guest. */
const isListening = (pid: number, path: string): boolean =>
  socketUse("self", path).isListening || socketUse(pid, path).isListening;

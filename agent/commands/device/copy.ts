// agent device copy: the state of one back end into another, checked in between.

import * as v from "valibot";
import { copyState, keepState, StateFile } from "../../../lib/device/index.ts";
import { describeProblem } from "../../../lib/transition/index.ts";
import type { Invocation } from "../../commands.ts";
import { parseOptions } from "../../options.ts";
import { TransferSettings, tellTransfer } from "./transfer-options.ts";

const Options = v.strictObject({
  ...TransferSettings,
  _: v.strictTuple([v.string(), v.string()], "wanted the source's and the target's socket"),
  fallback: v.optional(v.string()),
  keep: v.optional(v.string()),
});

export function run({ argv, spec }: Invocation): number {
  const { _: sockets, timeout: waitMs, json, ...rest } = parseOptions(Options, spec, argv);
  const [source, target] = sockets;
  const losesConnections = rest["lose-connections"];
  const end = (path: string) => ({ path, waitMs, losesConnections });
  using state = new StateFile(undefined);
  const { outcome, summary } = copyState({
    source: end(source),
    target: end(target),
    fallback: rest.fallback === undefined ? undefined : end(rest.fallback),
    state,
  });
  if (rest.keep !== undefined && state.bytes > 0) keepState(state, rest.keep);
  return tellTransfer(
    {
      source,
      target,
      result: outcome.result,
      problems: outcome.problems.map(describeProblem),
      kind: summary?.kind ?? null,
      bytes: summary?.bytes ?? null,
      flows: summary?.flows ?? null,
      flows_after: summary?.flowsAfter ?? null,
      program: null,
    },
    json,
  );
}

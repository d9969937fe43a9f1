// agent device load: a saved state into a back end, after it was looked at whole.

import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { loadState } from "../../../lib/device/index.ts";
import { openForReading, statOf } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { parseOptions } from "../../options.ts";
import { TransferSettings, tellTransfer } from "./transfer-options.ts";

const Options = v.strictObject({
  ...TransferSettings,
  _: v.strictTuple([v.string(), v.string()], "wanted a socket and a file"),
});

export function run({ argv, spec }: Invocation): number {
  const { _: operands, timeout: waitMs, json, ...rest } = parseOptions(Options, spec, argv);
  const [path, source] = operands;
  using file = openForReading(source);
  const stats = statOf(file.number);
  if (!stats.isFile()) throw new RefusedError(`Cannot load "${source}": wanted a regular file`);
  const options = { path, waitMs, losesConnections: rest["lose-connections"] };
  const summary = loadState(options, file, stats.size);
  return tellTransfer(
    {
      source,
      target: path,
      result: "done",
      problems: [],
      kind: summary.kind,
      bytes: summary.bytes,
      flows: summary.flows ?? null,
      flows_after: summary.flowsAfter ?? null,
      program: null,
    },
    json,
  );
}

// agent device save: a back end's state into a file that appears whole or not at all.

import { fchmodSync } from "node:fs";
import * as v from "valibot";
import { OWNER_ONLY, saveState } from "../../../lib/device/index.ts";
import { createNewFile } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { TransferSettings, tellTransfer } from "./transfer-options.ts";

const Options = v.strictObject({
  ...TransferSettings,
  _: v.strictTuple([v.string(), v.string()], "wanted a socket and a file"),
  force: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const { _: operands, timeout: waitMs, json, force, ...rest } = parseOptions(Options, spec, argv);
  const [path, target] = operands;
  using file = createNewFile({ path: target, existing: force ? "replace" : "refuse", inputs: [] });
  fchmodSync(file.fd.number, OWNER_ONLY);
  const options = { path, waitMs, losesConnections: rest["lose-connections"] };
  const { program, ...summary } = saveState(options, file.fd, () => file.commit());
  return tellTransfer(
    {
      source: path,
      target,
      result: "done",
      problems: [],
      kind: summary.kind,
      bytes: summary.bytes,
      flows: summary.flows ?? null,
      flows_after: null,
      program: program ?? null,
    },
    json,
  );
}

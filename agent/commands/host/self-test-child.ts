// agent self-test-child STAGE [PID]: the process that `agent check` starts to try exec in place.

import * as v from "valibot";
import { runExecChild } from "../../../lib/self-test/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { print } from "../../ui/output.ts";

const WANTED = "wanted before, or after and a process number";
const Options = v.strictObject({
  _: v.union(
    [
      v.strictTuple([v.literal("before")]),
      v.strictTuple([v.literal("after"), v.pipe(v.string(), v.digits())]),
    ],
    WANTED,
  ),
});

export function run({ argv, spec }: Invocation): number {
  const [stage, pid] = parseOptions(Options, spec, argv)._;
  print(`${runExecChild(selfCommand(), stage, pid)}\n`);
  return EXIT.ok;
}

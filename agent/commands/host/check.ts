// agent check, also agent --check: whether this host does what agent relies on, and what there is
// on it.

import { spawnSync } from "node:child_process";
import * as v from "valibot";
import { selfTest } from "../../../lib/self-test/index.ts";
import { STDOUT_FD } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { checkDocument, renderCheck } from "../../ui/check.ts";
import { wantsColour } from "../../ui/colour.ts";
import { print } from "../../ui/output.ts";

const Options = v.strictObject({ _: v.strictTuple([], "wanted none"), json: switchOption });

const VERSION_TIMEOUT_MS = 2000;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const { json } = parseOptions(Options, spec, argv);
  const self = selfCommand();
  const report = await selfTest(self, {
    root: "/",
    path: process.env.PATH ?? "",
    versionOutput: (program) => versionOutput(program, self.environment),
  });
  const text = json
    ? `${JSON.stringify(checkDocument(report), null, 2)}\n`
    : renderCheck(report, { coloured: wantsColour(STDOUT_FD) });
  print(text);
  return report.passed ? EXIT.ok : EXIT.failed;
}

function versionOutput(program: string, env: Record<string, string>): string | undefined {
  const { error, stdout } = spawnSync(program, ["--version"], {
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    timeout: VERSION_TIMEOUT_MS,
  });
  return error === undefined ? stdout : undefined;
}

// agent checkpoint-hook COMMAND: runs it in a shell after each commit, for checkpoint receive. A
// line is a commit; where several came while the command ran, it runs once more, for the last.

import * as v from "valibot";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { printWarning } from "../../ui/log.ts";

const Options = v.strictObject({ _: v.strictTuple([v.string()], "wanted one command") });
const Line = v.pipe(v.string(), v.parseJson(), v.object({ number: v.number() }));

export async function run({ argv, spec }: Invocation): Promise<number> {
  const [command] = parseOptions(Options, spec, argv)._;
  let latest: string | undefined;
  let running: Promise<void> | undefined;
  const serve = async (): Promise<void> => {
    while (latest !== undefined) {
      const line = latest;
      latest = undefined;
      // oxlint-disable-next-line no-await-in-loop -- one at a time is the point.
      await runOnce(command, line);
    }
    running = undefined;
  };
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of Bun.stdin.stream()) {
    text += decoder.decode(bytes, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    latest = lines.at(-1) ?? latest;
    running ??= serve();
  }
  await running;
  return EXIT.ok;
}

async function runOnce(command: string, line: string): Promise<void> {
  const { number } = v.parse(Line, line);
  const child = Bun.spawn(["/bin/sh", "-c", command], {
    stdio: ["ignore", 2, 2],
    env: { ...process.env, AGENT_CHECKPOINT_NUMBER: String(number), AGENT_CHECKPOINT: line },
  });
  const status = await child.exited;
  if (status === 0) return;
  await printWarning(`The commit hook "${command}" ended with status ${status}`);
}

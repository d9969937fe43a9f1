// Who is told of each commit: a descriptor of the operator's, and the process that runs a hook.

import { CommitLine, type Duty } from "../../../lib/checkpoint/index.ts";
import { pipeForChildren } from "../../../lib/stream/index.ts";
import { duplicate, kindOf, statOf } from "../../../lib/sys/index.ts";
import { selfCommand } from "../../self.ts";
import { printWarning } from "../../ui/log.ts";

export interface CommitLines extends Disposable {
  readonly duties: readonly Duty[];
  add(line: string): void;
  /** The stream is over: the last lines are written, the hook has run for them. */
  finish(): Promise<void>;
}

export interface CommitLineOptions {
  readonly to: string;
  readonly "on-commit"?: string | undefined;
  readonly "commit-fd"?: number | undefined;
}

export function openCommitLines(options: CommitLineOptions): CommitLines {
  const owned = new DisposableStack();
  const lines: CommitLine[] = [];
  const number = options["commit-fd"];
  if (number !== undefined) {
    const fd = owned.use(duplicate(number, `descriptor ${number}`));
    lines.push(owned.use(new CommitLine(fd, kindOf(statOf(fd.number)))));
  }
  const command = options["on-commit"];
  const hook = command === undefined ? undefined : startHook(command, options.to);
  if (hook !== undefined) lines.push(owned.use(new CommitLine(owned.use(hook.input), "pipe")));
  return {
    duties: lines,
    add: (line) => lines.forEach((each) => each.add(line)),
    async finish() {
      for (const line of lines) {
        line.finish();
        if (line.failure !== undefined) await printWarning(line.failure);
      }
      hook?.input[Symbol.dispose]();
      await hook?.exited;
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** A process of its own: while the stream is received, nothing here could wait for a command. */
function startHook(command: string, folder: string) {
  const { executable, words, environment } = selfCommand();
  const { readEnd, writeEnd } = pipeForChildren();
  writeEnd.name = "the commit hook";
  const child = Bun.spawn([executable, ...words, "checkpoint-hook", command], {
    stdio: [readEnd.number, 2, 2],
    env: { ...environment, AGENT_CHECKPOINT_FOLDER: folder },
  });
  readEnd[Symbol.dispose]();
  return { input: writeEnd, exited: child.exited };
}

// Who is told of each commit: a descriptor of the operator's, and the process that runs a hook. A
// program that goes on with the stream in this one's place goes on with them.

import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { CommitLine, type Companion } from "../../../lib/checkpoint/index.ts";
import { pipeForChildren } from "../../../lib/stream/index.ts";
import {
  duplicate,
  type Fd,
  kindOf,
  openPidfd,
  statOf,
  waitReadable,
} from "../../../lib/sys/index.ts";
import { selfCommand } from "../../self.ts";
import { printWarning } from "../../ui/log.ts";

export interface CommitLines extends Companion, Disposable {
  add(line: string): void;
  /** The stream is over: the last lines are written, the hook has run for them. */
  finish(): Promise<void>;
}

export interface CommitLineOptions {
  readonly to: string;
  readonly "on-commit"?: string | undefined;
  readonly "commit-fd"?: number | undefined;
}

/** Keys of the descriptors. */
const COMMIT_FD = "commit_fd";
const HOOK = "hook";
const HOOK_PROCESS = "hook_process";
/** By the key of its descriptor: the lines that a reader has not taken yet. */
const StateSchema = v.record(
  v.string(),
  v.strictObject({ lines: v.array(v.string()), rest: v.pipe(v.string(), v.base64()) }),
);

export function openCommitLines(options: CommitLineOptions): CommitLines {
  const fds = new Map<string, Fd>();
  const number = options["commit-fd"];
  if (number !== undefined) fds.set(COMMIT_FD, duplicate(number, `descriptor ${number}`));
  const command = options["on-commit"];
  if (command !== undefined) startHook(command, { folder: options.to, fds });
  return linesTo(fds, {});
}

/** Those of another program. Throws RefusedError for a state that is none. */
export function carriedCommitLines(
  { "on-commit": command, "commit-fd": number }: CommitLineOptions,
  state: unknown,
  take: (key: string) => Fd,
): CommitLines {
  const parsed = v.safeParse(StateSchema, state);
  if (!parsed.success) throw new RefusedError("Cannot go on: the lines of commits are not known");
  const keys = Object.keys(parsed.output);
  const wanted = [number === undefined ? [] : [COMMIT_FD], command === undefined ? [] : [HOOK]];
  if (!wanted.flat().every((key) => keys.includes(key))) {
    throw new RefusedError("Cannot go on: who is to be told of commits is not among the state");
  }
  const all = keys.includes(HOOK) ? [...keys, HOOK_PROCESS] : keys;
  return linesTo(new Map(all.map((key) => [key, take(key)])), parsed.output);
}

function linesTo(
  fds: ReadonlyMap<string, Fd>,
  waiting: v.InferOutput<typeof StateSchema>,
): CommitLines {
  const owned = new DisposableStack();
  for (const fd of fds.values()) owned.use(fd);
  const lines = new Map<string, CommitLine>();
  for (const [key, fd] of fds) {
    if (key === HOOK_PROCESS) continue;
    lines.set(key, owned.use(new CommitLine(fd, kindOf(statOf(fd.number)), waiting[key])));
  }
  return {
    duties: [...lines.values()],
    state: () => Object.fromEntries([...lines].map(([key, line]) => [key, line.waiting])),
    descriptors: () => [...fds].map(([key, fd]) => ({ key, fd })),
    add: (text) => lines.forEach((line) => line.add(text)),
    async finish() {
      for (const line of lines.values()) {
        line.finish();
        if (line.failure !== undefined) await printWarning(line.failure);
      }
      fds.get(HOOK)?.[Symbol.dispose]();
      const hook = fds.get(HOOK_PROCESS);
      if (hook !== undefined) waitReadable(hook);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** A process of its own: while the stream is received, nothing here could wait for a command. */
function startHook(
  command: string,
  { folder, fds }: { readonly folder: string; readonly fds: Map<string, Fd> },
): void {
  const { executable, words, environment } = selfCommand();
  const { readEnd, writeEnd } = pipeForChildren();
  writeEnd.name = "the commit hook";
  const child = Bun.spawn([executable, ...words, "checkpoint-hook", command], {
    stdio: [readEnd.number, 2, 2],
    env: { ...environment, AGENT_CHECKPOINT_FOLDER: folder },
  });
  child.unref();
  readEnd[Symbol.dispose]();
  fds.set(HOOK, writeEnd);
  const process = openPidfd(child.pid);
  if (process === undefined) throw new RefusedError("Cannot run the commit hook: it has ended");
  fds.set(HOOK_PROCESS, process);
}

// agent store top: what a running daemon of ours is doing, looked at again and again.

import { readFileSync } from "node:fs";
import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { type StoreClient, terminated } from "../../../lib/store-client/index.ts";
import { type StoreStatistics, StoreStatisticsSchema } from "../../../lib/store-daemon/index.ts";
import { isTerminal, STDOUT_FD } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { print } from "../../ui/output.ts";
import { renderTop } from "../../ui/store-top.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";
import { connectStore, defaultSocket } from "./side.ts";

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one socket")),
  interval: v.optional(countOption, "2"),
  once: switchOption,
  json: switchOption,
});

/** Clears the screen and goes to its top. */
const CLEAR = "\x1b[H\x1b[2J";

export function run({ argv, spec }: Invocation): number {
  const options = parseOptions(Options, spec, argv);
  using client = connectStore(options._[0] ?? defaultSocket());
  if (options.json) {
    print(`${JSON.stringify(statisticsOf(client), null, 2)}\n`);
    return EXIT.ok;
  }
  const isLive = isTerminal(STDOUT_FD) && !options.once;
  let before: StoreStatistics | undefined;
  for (;;) {
    const now = statisticsOf(client);
    const isSame = before?.pid === now.pid && before.requests <= now.requests;
    const lines = isLive ? process.stdout.rows - 1 : undefined;
    const view = { now, before: isSame ? before : undefined, names: namesOf(now) };
    print(`${isLive ? CLEAR : ""}${renderTop(view, { style: stdoutStyle(), lines })}`);
    if (options.once) return EXIT.ok;
    if (!isLive) print("\n");
    before = now;
    Bun.sleepSync(options.interval * 1000); // Ctrl-C ends us.
  }
}

const PARTS_MAX = 10_000;

/** Asked for in parts: see statistics.ts of the daemon. */
function statisticsOf(client: StoreClient): StoreStatistics {
  let text = "";
  for (let part = 0; part < PARTS_MAX; part++) {
    const answer = client.ask("CONTROL", terminated("agent-stats", String(text.length)), 0);
    if (!answer.ok) throw notOurs(client, answer.error);
    const reply = Buffer.from(answer.payload).toString("latin1").replace(/\0$/, "");
    const [, length, piece] = /^([0-9]{1,9})\n([^]*)$/.exec(reply) ?? [];
    if (length === undefined || piece === undefined) throw notOurs(client, "another answer");
    text += piece;
    if (text.length >= Number(length)) return parsed(client, text);
    if (piece === "") break;
  }
  throw notOurs(client, "an answer without an end");
}

function parsed(client: StoreClient, text: string): StoreStatistics {
  try {
    return v.parse(StoreStatisticsSchema, JSON.parse(text));
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof v.ValiError)) throw cause;
    throw notOurs(client, cause.message);
  }
}

const notOurs = (client: StoreClient, found: string): RefusedError =>
  new RefusedError(
    `Cannot show what the daemon at "${client.connection.path}" does: wanted the statistics ` +
      `of agent store serve, found ${found}`,
  );

function namesOf({ connections }: StoreStatistics): Map<number, string> {
  const pids = new Set(connections.flatMap(({ pid }) => (pid === null ? [] : [pid])));
  const names = new Map<number, string>();
  for (const pid of pids) {
    try {
      names.set(pid, readFileSync(`/proc/${pid}/comm`, "latin1").trim());
    } catch {
      // It has ended, or is in another process namespace: it is shown without a name.
    }
  }
  return names;
}

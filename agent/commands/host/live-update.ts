// agent live-update: a running program is replaced by another binary.

import { resolve } from "node:path";
import * as v from "valibot";
import { RefusedError, UsageError } from "../../../lib/base/index.ts";
import { askByControl } from "../../../lib/stream/index.ts";
import { StoreClient } from "../../../lib/store-client/index.ts";
import type { StoreOrder } from "../../../lib/store-daemon/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { LIVE_UPDATE_TARGETS, LIVE_UPDATE_WAYS } from "../../tables/host.ts";
import { LiveUpdateDocument, outcomeLines, statusLines } from "../../ui/live-update-report.ts";
import { print } from "../../ui/output.ts";

const TIMEOUT_SECONDS = 60;
const MS_PER_SECOND = 1000;
/** The old program's own deadlines are shorter: what it has to say comes before ours. */
const ANSWER_SLACK_MS = 30_000;

const Options = v.strictObject({
  _: v.pipe(
    v.array(v.string()),
    v.minLength(1, "wanted SOCKET and BINARY"),
    v.maxLength(2, "wanted SOCKET and BINARY"),
  ),
  "dry-run": switchOption,
  status: switchOption,
  "max-pause": v.optional(countOption),
  way: v.optional(v.picklist(LIVE_UPDATE_WAYS, "wanted auto, promote or in-place"), "auto"),
  sha256: v.optional(
    v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/i, "wanted 64 hexadecimal digits")),
  ),
  to: v.optional(v.picklist(LIVE_UPDATE_TARGETS, "wanted agent, c or oxenstored"), "agent"),
  "allow-losses": switchOption,
  arguments: v.optional(v.string()),
  timeout: v.optional(countOption),
  json: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const options = parseOptions(Options, spec, argv);
  const [socket = "", binary] = options._;
  if ((binary === undefined) !== options.status) {
    throw new UsageError("Cannot run live-update: name a BINARY, or ask for --status");
  }
  const seconds = options.timeout ?? TIMEOUT_SECONDS;
  const order: StoreOrder | undefined =
    binary === undefined
      ? undefined
      : {
          binary: resolve(binary),
          way: options.way,
          dry_run: options["dry-run"],
          max_pause_ms: options["max-pause"] ?? null,
          sha256: options.sha256?.toLowerCase() ?? null,
          prepare_ms: seconds * MS_PER_SECOND,
          ...targetOf(options),
        };
  const answer = ask(socket, order, seconds * MS_PER_SECOND + ANSWER_SLACK_MS);
  const lines = answer.kind === "status" ? statusLines(answer) : outcomeLines(answer);
  print(`${options.json ? JSON.stringify(answer, null, 2) : lines.join("\n")}\n`);
  const isRefused = answer.kind === "failed" || answer.kind === "kept";
  return isRefused ? EXIT.failed : EXIT.ok;
}

/** Only what was asked for: a daemon of an earlier version does not know these. */
function targetOf(options: v.InferOutput<typeof Options>): Pick<StoreOrder, "words"> {
  const { to, arguments: line, "allow-losses": allows_losses } = options;
  const words = line?.split(/[ \t]+/).filter((word) => word !== "");
  return {
    ...(to === "agent" ? {} : { to, allows_losses }),
    ...(words === undefined ? {} : { words }),
  };
}

type Answer = v.InferOutput<typeof LiveUpdateDocument>;

/** What is no store is asked as a relay or a receiver: those tell their status before anything. */
function ask(path: string, order: StoreOrder | undefined, waitMs: number): Answer {
  try {
    return askStore(path, order, waitMs);
  } catch (error) {
    const text = askByControl(path, JSON.stringify(order ?? { status: true }), waitMs);
    if (text === undefined) throw error;
    return parsedAnswer(path, text);
  }
}

/** Over the store's own socket, by CONTROL. */
function askStore(path: string, order: StoreOrder | undefined, waitMs: number): Answer {
  using client = new StoreClient({ path, timeoutMs: waitMs });
  const words = order === undefined ? ["--status"] : ["--order", JSON.stringify(order)];
  const payload = Buffer.from(["live-update", ...words, ""].join("\0"));
  const answer = client.ask("CONTROL", payload, 0);
  if (!answer.ok) {
    throw new RefusedError(
      `Cannot update what listens on "${path}": it answers ${answer.error} to our order; ` +
        "a stock daemon is updated by xenstore-control live-update",
    );
  }
  const first = parsedAnswer(path, textOf(answer.payload));
  const isPolled = order?.to === "oxenstored" && first.kind === "left";
  return isPolled ? polledAnswer(client, first) : first;
}

const POLL_MS = 20;

/** oxenstored tells how it went when it is asked again; until then it is said to be busy. */
function polledAnswer(client: StoreClient, first: Extract<Answer, { kind: "left" }>): Answer {
  for (;;) {
    const answer = client.ask("CONTROL", Buffer.from("live-update\0-s\0"), 0);
    const text = answer.ok ? textOf(answer.payload) : answer.error;
    if (text === "OK") return { ...first, kind: "updated" };
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), LiveUpdateDocument), text);
    if (parsed.success) return parsed.output;
    if (text !== "BUSY") return { ...first, kind: "failed", reason: text };
    Bun.sleepSync(POLL_MS);
  }
}

const textOf = (payload: Uint8Array): string =>
  Buffer.from(payload).toString("utf8").replace(/\0$/, "");

function parsedAnswer(path: string, text: string): Answer {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), LiveUpdateDocument), text);
  if (parsed.success) return parsed.output;
  throw new RefusedError(
    `Cannot update what listens on "${path}": it answers ${text.slice(0, 80)}`,
  );
}

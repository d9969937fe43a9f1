// agent checkpoint receive: takes the place of xl migrate-receive -r, and keeps what it receives.

import * as v from "valibot";
import { RefusedError, SystemError, UsageError } from "../../../lib/base/index.ts";
import {
  type CheckpointReceive,
  COMPACT_SLACK_BYTES,
  failOver,
  type FailoverResult,
  goOnReceiving,
  openSender,
  parseListenAddress,
  pointReport,
  receiveStream,
  type ReceiveResult,
  type RestorePoint,
  scanFolder,
  sendBanner,
  type Sender,
  type SenderPlace,
  systemClock,
} from "../../../lib/checkpoint/index.ts";
import { describeFinding } from "../../../lib/bytes/index.ts";
import { type Fd, isTerminal, STDIN_FD } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { DURABILITIES, FAILOVER_COMMAND, ON_LOSS } from "../../tables/checkpoint.ts";
import { type Replaceable, replaceable } from "../../seam-settings.ts";
import { receiveLines } from "../../ui/checkpoint-report.ts";
import { startReceiveStatus } from "../../ui/checkpoint-status.ts";
import { printNote, printWarning } from "../../ui/log.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { carriedCommitLines, type CommitLines, openCommitLines } from "./commit-lines.ts";
import { descriptorOption, retentionOf, timeOption } from "./retention.ts";

/** Remus sends a checkpoint every few hundred milliseconds. */
const SILENCE_MS = 30_000;

const wantedOf = (words: readonly string[]): string => `wanted ${words.join(" or ")}`;
const Options = v.strictObject({
  _: v.strictTuple([], "wanted none"),
  to: v.string(),
  listen: v.optional(v.string()),
  fd: v.optional(descriptorOption),
  "no-banner": switchOption,
  keep: v.optional(countOption),
  "keep-for": v.optional(timeOption),
  durability: v.optional(v.picklist(DURABILITIES, wantedOf(DURABILITIES)), "disk"),
  "on-commit": v.optional(v.string()),
  "commit-fd": v.optional(descriptorOption),
  "on-loss": v.optional(v.picklist(ON_LOSS, wantedOf(ON_LOSS)), "leave"),
  fence: v.optional(v.string()),
  "no-fence": switchOption,
  "failover-command": v.optional(v.string()),
  control: v.optional(v.string()),
  json: switchOption,
  quiet: switchOption,
});
type Options = v.InferOutput<typeof Options>;

export async function run(invocation: Invocation): Promise<number> {
  const { argv, spec } = invocation;
  const options = parseOptions(Options, spec, argv);
  checkFailover(options);
  const place = senderPlace(options);
  const startedMs = performance.now();
  const result = await receive(options, place, replaceable(invocation));
  if (result === undefined) return EXIT.ok;
  const failover = await loss(options, result);
  const report = reportOf(options, { result, failover, startedMs });
  // Standard output is the sender's, where the stream came by standard input.
  const show = place.kind === "stdin" ? printToStderr : print;
  if (options.json) show(`${JSON.stringify(report, null, 2)}\n`);
  else if (!options.quiet || report.ended !== "end") show(`${receiveLines(report).join("\n")}\n`);
  return statusOf(report, result);
}

function checkFailover(options: Options): void {
  const hasFence = options.fence !== undefined;
  const wrong = (what: string) => new UsageError(`Cannot run checkpoint receive: ${what}`);
  if (hasFence && options["no-fence"]) throw wrong("--fence and --no-fence contradict each other");
  if (options["on-loss"] === "failover") {
    if (hasFence || options["no-fence"]) return;
    throw wrong(
      "--on-loss failover needs --fence COMMAND, which says that the sender is dead, or " +
        "--no-fence: two running copies of one guest destroy its disks",
    );
  }
  if (!hasFence && !options["no-fence"] && options["failover-command"] === undefined) return;
  throw wrong("--fence, --no-fence and --failover-command are for --on-loss failover");
}

function senderPlace({ listen, fd }: Options): SenderPlace {
  if (listen !== undefined && fd !== undefined) {
    throw new UsageError("Cannot run checkpoint receive: --listen and --fd exclude each other");
  }
  if (listen !== undefined) return parseListenAddress(listen);
  if (fd !== undefined) return { kind: "descriptor", number: fd };
  if (!isTerminal(STDIN_FD)) return { kind: "stdin" };
  const advice = "send a stream to standard input, or use --listen";
  throw new UsageError(`Cannot receive from the terminal: ${advice}`);
}

/** undefined: this process was started for an update of another one, which does not need it. */
async function receive(
  options: Options,
  place: SenderPlace,
  { claimed, settings }: Replaceable,
): Promise<ReceiveResult | undefined> {
  const { to: folder, durability, control, quiet } = options;
  using owned = new DisposableStack();
  const status = startReceiveStatus(!quiet);
  let lines: CommitLines | undefined;
  const common = {
    folder,
    durability,
    compactSlackBytes: COMPACT_SLACK_BYTES,
    retention: retentionOf(options),
    clock: systemClock(),
    control,
    silenceMs: SILENCE_MS,
    listener: {
      committed(point: RestorePoint) {
        lines?.add(JSON.stringify(pointReport(point)));
        status.committed(point);
      },
      progress: (position: number) => status.at(position),
      silent: warnOfSilence,
      shouldPause: () => false,
    },
  };
  try {
    if (claimed !== undefined) {
      const companion = (state: unknown, take: (key: string) => Fd): CommitLines =>
        (lines = owned.use(carriedCommitLines(options, state, take)));
      return goOnReceiving(claimed, { ...common, companion }, settings);
    }
    lines = owned.use(openCommitLines(options));
    const open = () => owned.use(openSenderAt(place, options));
    return receiveStream({ ...common, companion: lines, open, paused: undefined }, settings);
  } catch (error) {
    status.clear();
    await tellWhatStands(folder, error);
    throw error;
  } finally {
    status.clear();
    await lines?.finish();
  }
}

function openSenderAt(place: SenderPlace, { quiet, ...options }: Options): Sender {
  const sender = openSender(place, (name) => {
    if (!quiet) printToStderr(`agent: waiting for the sender at ${name}\n`);
  });
  if (!options["no-banner"]) sendBanner(sender);
  return sender;
}

const warnOfSilence = (): void =>
  printToStderr(
    "agent: warning: nothing has come since the first checkpoint: a sender of COLO waits for an " +
      "answer there that agent cannot give, because it does not run the guest\n",
  );

/** Where receiving failed for our own reasons: what can be relied on all the same. */
async function tellWhatStands(folder: string, error: unknown): Promise<void> {
  if (!(error instanceof SystemError || error instanceof RefusedError)) return;
  try {
    const last = scanFolder(folder).points.at(-1);
    if (last !== undefined) await printNote(`Restore point ${last.number} of "${folder}" stands`);
  } catch {
    // The folder is what failed: the error says so.
  }
}

async function loss(options: Options, result: ReceiveResult): Promise<FailoverResult | undefined> {
  const { last, ended, commits } = result;
  if (ended !== "lost" || options["on-loss"] !== "failover") return undefined;
  if (last === undefined || commits === 0) return undefined; // Nothing of this guest to run.
  await printWarning(`The sender has gone: failing over to restore point ${last.number}`);
  return await failOver({
    folder: options.to,
    point: last,
    fence: options.fence,
    command: options["failover-command"] ?? FAILOVER_COMMAND,
    clock: systemClock(),
    environment: process.env,
  });
}

function reportOf(
  { to, listen, fd }: Options,
  parts: {
    readonly result: ReceiveResult;
    readonly failover: FailoverResult | undefined;
    readonly startedMs: number;
  },
): CheckpointReceive {
  const { result, failover, startedMs } = parts;
  const { finding, failure, last, ended } = result;
  const reason = finding === undefined ? failure : describeFinding(finding);
  const told = failover?.reason ?? failure ?? reason ?? null;
  return {
    folder: to,
    input: listen ?? (fd === undefined ? "standard input" : `descriptor ${fd}`),
    stream: result.stream,
    ended: failover?.outcome ?? (ended === "paused" ? "lost" : ended),
    commits: result.commits,
    position: result.position,
    waited_ms: Math.round(result.waitedMs),
    duration_ms: Math.round(performance.now() - startedMs),
    last: last === undefined ? null : pointReport(last),
    reason: told,
  };
}

function statusOf({ ended, commits }: CheckpointReceive, { last }: ReceiveResult): number {
  if (ended === "failed_over") return EXIT.ok;
  if (ended === "bad") return EXIT.badData;
  if (commits === 0) return EXIT.badData;
  if (ended === "end") return EXIT.ok;
  return last === undefined ? EXIT.badData : EXIT.operator;
}

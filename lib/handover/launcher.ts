// The launcher: the process between the old program and the new one. It checksums the binary, asks
// it whether it knows this protocol, starts it and exits, so that the new program's parent is at
// once whoever adopts orphans (the service manager). It and all that it starts stand back behind
// the old one's clients (precedence.ts), until the old program has it hurry.
//
//   descriptor 3   the channel, which becomes the heir's descriptor 3
//   descriptor 4   the binary: what is checksummed is what runs (/proc/self/fd/4)
//
// A binary that does not answer `live-update-probe` is not started: an unrelated program must not
// run with a daemon's arguments.

import * as v from "valibot";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  type Environment,
  cleanEnvironment,
  Fd,
  giveWay,
  monotonicMs,
  sendDescriptors,
  sha256Of,
} from "../sys/index.ts";
import { refusing } from "./guarded.ts";
import { encodeMessage, KindsSchema, type Message, PROTOCOL } from "./messages.ts";
import { comeForward, PATIENCE_MS, standBack } from "./precedence.ts";

export const LAUNCHER_COMMAND = "live-update-launch";
export const PROBE_COMMAND = "live-update-probe";
/** Tells a program that it is an heir: "heir", or the numbers of in-place.ts. */
export const HANDOVER_VARIABLE = "AGENT_HANDOVER";
/** As argv[0], so that no drop-in name is met, whatever the file is called. */
export const PROGRAM_NAME = "agent";
export const CHANNEL_FD = 3;
export const BINARY_FD = 4;
const BINARY_PATH = `/proc/self/fd/${BINARY_FD}`;

export const LaunchSettingsSchema = v.object({
  argv: v.array(v.string()),
  name: v.string(),
  /** A program that was running here before needs no checksum and no question. */
  is_known: v.boolean(),
  /** Only this one, in lower-case hex. */
  sha256: v.nullable(v.string()),
  probe_ms: v.number(),
});
export type LaunchSettings = v.InferOutput<typeof LaunchSettingsSchema>;

/** What a binary answers to `live-update-probe`, as JSON. */
export const ProbeSchema = v.object({
  protocol: v.tuple([v.number(), v.number()]),
  version: v.string(),
  kinds: KindsSchema,
});
export type ProbeAnswer = v.InferOutput<typeof ProbeSchema>;

/** Started by startHeir() (launch.ts); everything it has to say goes up the channel. */
export async function runLauncher(settingsText: string, environment: Environment): Promise<void> {
  const channel = new Fd(CHANNEL_FD, "the channel");
  const say = (message: Message): void => tell(channel, message);
  try {
    const settings = v.parse(LaunchSettingsSchema, JSON.parse(settingsText));
    const clean = cleanEnvironment(environment);
    if (!settings.is_known) say(await verify(settings, clean));
    const [argv0 = PROGRAM_NAME, ...words] = settings.argv;
    const heir = Bun.spawn([BINARY_PATH, ...words], {
      argv0,
      stdio: ["inherit", "inherit", "inherit", CHANNEL_FD],
      env: { ...clean, [HANDOVER_VARIABLE]: "heir" },
    });
    heir.unref();
    standBack(heir.pid); // Also where this one has come forward: the old program has it hurry.
    say({ type: "started", pid: heir.pid });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    say({ type: "refused", reason: error.message });
  }
}

/** An old program that has given up meanwhile hears nothing, and needs nothing. */
function tell(channel: Fd, message: Message): void {
  try {
    sendDescriptors(channel, encodeMessage(message), []);
  } catch (error) {
    if (!(error instanceof SystemError) || error.failure.code !== "EPIPE") throw error;
  }
}

async function verify(
  { name, sha256, probe_ms: probeMs }: LaunchSettings,
  environment: Record<string, string>,
): Promise<Message> {
  const binary = new Fd(BINARY_FD, name); // Stays open: it is started next.
  const found = sha256Of(binary, giveWay);
  if (sha256 !== null && sha256 !== found) {
    throw new RefusedError(`Cannot use "${name}": wanted SHA-256 ${sha256}, found ${found}`);
  }
  const { version } = await ask(name, environment, probeMs);
  return { type: "verified", sha256: found, version };
}

async function ask(
  name: string,
  environment: Record<string, string>,
  waitMs: number,
): Promise<ProbeAnswer> {
  const untilMs = monotonicMs() + waitMs;
  const child = refusing(`Cannot use "${name}"`, () =>
    Bun.spawn([BINARY_PATH, PROBE_COMMAND], {
      argv0: PROGRAM_NAME,
      stdio: ["ignore", "pipe", "ignore"],
      env: environment,
      timeout: waitMs,
      killSignal: "SIGKILL",
    }),
  );
  standBack(child.pid);
  const hurry = setTimeout(() => comeForward(child.pid), PATIENCE_MS);
  const [said, status] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  clearTimeout(hurry);
  const refuse = (found: string): RefusedError =>
    new RefusedError(`Cannot use "${name}": wanted an answer to ${PROBE_COMMAND}, found ${found}`);
  if (child.signalCode !== null) {
    const isLate = monotonicMs() >= untilMs;
    throw refuse(isLate ? `none within ${waitMs} ms` : `an end by ${child.signalCode}`);
  }
  if (status !== 0) throw refuse(`exit status ${status}`);
  const answer = v.safeParse(ProbeSchema, parseOrNothing(said));
  if (!answer.success) throw refuse(JSON.stringify(said.slice(0, 80)));
  const [oldest, newest] = answer.output.protocol;
  if (oldest > PROTOCOL.newest || newest < PROTOCOL.oldest) {
    throw refuse(`${answer.output.version}, which speaks protocol ${oldest} to ${newest} only`);
  }
  return answer.output;
}

function parseOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema then says what was wanted.
  }
}

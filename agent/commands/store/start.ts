// What all names of the store daemon have in common: they serve in the foreground, or start
// themselves again in the background and come back when that one is ready.
//
// Background: this program runs itself once more in a session of its own, with the same arguments,
// and one end of a pipe whose number stands in READY_VARIABLE. The second one writes a byte there
// when it serves, and lets go of the terminal; what goes wrong before that it says itself.

import { chdir } from "node:process";
import { existsSync, writeFileSync } from "node:fs";
import { runService, type ServiceOptions } from "../../../lib/store-daemon/index.ts";
import {
  abandon,
  cleanEnvironment,
  Fd,
  makePipe,
  readFully,
  reserve,
  sendToSyslog,
  STDERR_FD,
  STDIN_FD,
  STDOUT_FD,
  SYSLOG_PATH,
  writeFully,
} from "../../../lib/sys/index.ts";
import { EXIT } from "../../exit.ts";
import { selfCommand } from "../../self.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { versionLine } from "../../version.ts";
import { stockWords } from "./stock-words.ts";

const READY_VARIABLE = "AGENT_STORE_READY_FD";
const READY_FD = 3;
const NAME = "xenstored";
const OWN_NAME_PATH = "/proc/self/comm";
const EVENT_CHANNELS = "/dev/xen/evtchn";

const readyByte = reserve(16);

export interface StartOptions {
  readonly inBackground: boolean;
  /** Tell the process number on standard output. */
  readonly printPid: boolean;
  /** How this program was started, for starting it again: its name, and all words behind it. */
  readonly programName: string;
  readonly words: readonly string[];
  /** What is to be said before it starts, once. */
  readonly notes: readonly string[];
  /** Where a stock daemon in its place looks for the state. */
  readonly runFolder: string;
  readonly service: Omit<ServiceOptions, "log" | "ready" | "program" | "environment">;
}

/** "xen" where its devices are; elsewhere only sockets are served. */
export const detectHypervisor = (): "xen" | "none" => (existsSync(EVENT_CHANNELS) ? "xen" : "none");

/** Serves until it is told to end, or returns when the one in the background does. */
export async function startDaemon(options: StartOptions): Promise<number> {
  const { [READY_VARIABLE]: given, ...environment } = process.env;
  if (given === undefined) for (const note of options.notes) printToStderr(`${note}\n`);
  if (options.inBackground && given === undefined && options.service.stock === undefined) {
    return startAgain(options);
  }
  const { stock } = options.service;
  const isStarted = given !== undefined;
  // A stock daemon that has become this program is where it was before.
  const isBackground = isStarted || (stock !== undefined && options.inBackground);
  if (isBackground) chdir("/");
  nameProcess();
  const serving = runService({
    ...options.service,
    environment,
    program: {
      self: selfCommand(),
      argv0: options.programName,
      words: options.words,
      version: versionLine(),
      mayChangePid: isBackground || environment.NOTIFY_SOCKET !== undefined,
      runFolder: options.runFolder,
      stockWords: (kind) => stockWords(kind, { ...options, isForeground: !isBackground }),
    },
    log: isBackground ? logToSyslog : (line) => printToStderr(`${NAME}: ${line}\n`),
    ready: () => {
      if (options.printPid && stock === undefined) print(`${process.pid}\n`);
      if (isStarted) tellStarter();
      else if (!isBackground) printToStderr(`${NAME} is ready\n`);
    },
  });
  try {
    await serving;
  } catch (error) {
    // Its standard error leads nowhere.
    if (stock !== undefined && isBackground) logToSyslog(String(error));
    throw error;
  }
  return EXIT.ok;
}

function startAgain({ programName, words }: StartOptions): number {
  const self = selfCommand();
  const ready = makePipe();
  using readEnd = ready.readEnd;
  {
    using writeEnd = ready.writeEnd;
    Bun.spawn([self.executable, ...self.words, ...words], {
      argv0: programName,
      env: { ...cleanEnvironment(process.env), [READY_VARIABLE]: String(READY_FD) },
      stdio: ["ignore", "inherit", "inherit", writeEnd.number],
      detached: true,
    }).unref();
  }
  const got = readFully(readEnd, readyByte.address, 1);
  return got === 1 ? EXIT.ok : EXIT.failed; // The end of the pipe: it has said why.
}

function tellStarter(): void {
  for (const number of [STDIN_FD, STDOUT_FD, STDERR_FD]) abandon(number);
  using pipe = new Fd(READY_FD, "the pipe to whoever started us");
  writeFully(pipe, readyByte.address, 1);
}

function logToSyslog(line: string): void {
  sendToSyslog({ socketPath: SYSLOG_PATH, tag: NAME, severity: "notice", lines: [line] });
}

/** As process lists show it. */
function nameProcess(): void {
  try {
    writeFileSync(OWN_NAME_PATH, NAME);
  } catch {
    // Only a name.
  }
}

// oxenstored: agent store serve with the options and the configuration file of the OCaml daemon
// (tools/ocaml/xenstored/parse_arg.ml of Xen). Each is honoured, or refused by name.

import { readFileSync } from "node:fs";
import { UsageError } from "../../../lib/base/index.ts";
import {
  EVENT_TIMEOUT_MS,
  runFolder,
  socketPath,
  stockDump,
} from "../../../lib/store-daemon/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { type OxenstoredConfig, readOxenstoredConfig } from "./oxenstored-config.ts";
import { startDaemon } from "./start.ts";
import { hypervisorFor } from "./xenstored.ts";

const PROGRAM = "oxenstored";
const CONFIG_PATH = "/etc/xen/oxenstored.conf";
const MS_PER_SECOND = 1000;
/** What the original ends with when its parser stops it. */
const STATUS_BAD_CONFIG = 2;

/** OCaml's Arg: whole words, values in the next one. */
const OPTIONS = {
  "--no-domain-init": { takesValue: false, means: "do not connect domain 0" },
  "--config-file": { takesValue: true, means: `the configuration (default ${CONFIG_PATH})` },
  "--no-fork": { takesValue: false, means: "stay in the foreground" },
  "--reraise-top-level": { takesValue: false, means: "end on an error: it always does" },
  "--no-access-log": { takesValue: false, means: "keep no access log" },
  "--pid-file": { takesValue: true, means: "write the daemon's pid there" },
  "-T": { takesValue: true, means: "write every request there" },
  "--restart": { takesValue: false, means: "with --live: go on with what an earlier one has left" },
  "--live": { takesValue: false, means: "with --restart: its live update asks for it" },
  "--config-test": { takesValue: false, means: "check the configuration and end" },
  "--disable-socket": { takesValue: false, means: "serve rings only" },
  "-help": { takesValue: false, means: "show this help" },
  "--help": { takesValue: false, means: "show this help" },
} as const;
type OptionName = keyof typeof OPTIONS;

const HELP = [
  `usage : ${PROGRAM} [OPTIONS]\n`,
  ...Object.entries(OPTIONS).map(([name, { takesValue, means }]) => {
    return `  ${`${name}${takesValue ? " VALUE" : ""}`.padEnd(24)} ${means}\n`;
  }),
].join("");

export async function run({ argv, programName }: Invocation): Promise<number> {
  const given = parse(argv);
  const asksForHelp = given.has("--help") || given.has("-help");
  if (given.has("--config-test") || (asksForHelp && given.has("--live"))) return test(given);
  if (asksForHelp) {
    print(HELP);
    return EXIT.ok;
  }
  if (given.has("--live") !== given.has("--restart")) {
    const lone = given.has("--live") ? "--live" : "--restart";
    const why = "only both together are offered; agent store load puts a dump in";
    throw new UsageError(`Cannot run ${PROGRAM} with ${lone} alone: ${why}`);
  }
  const config = readConfig(given);
  const [refused] = config.refused;
  if (refused !== undefined) {
    throw new UsageError(`Cannot run ${PROGRAM} with "${refused}" in its configuration`);
  }
  return startDaemon({
    inBackground: !given.has("--no-fork"),
    printPid: false,
    programName,
    words: argv.filter((word) => word !== "--live" && word !== "--restart"),
    notes: config.problems.map((problem) => `config: ${problem}`),
    runFolder: runFolder(process.env),
    service: serviceOf(given, config),
  });
}

function serviceOf(given: ReadonlyMap<OptionName, string>, config: OxenstoredConfig) {
  return {
    socketPath: given.has("--disable-socket") ? undefined : socketPath(process.env),
    pidFile: given.get("--pid-file") ?? config.pidFile,
    hypervisor: hypervisorFor(process.env["XENSTORED_HYPERVISOR"]),
    ownDomid: 0,
    privilegedDomid: 0,
    introduceOwn: !given.has("--no-domain-init"),
    quotas: config.quotas,
    keepOrphans: false,
    eventTimeoutMs: EVENT_TIMEOUT_MS,
    ringScanMs: Math.max(config.ringScanSeconds, 0) * MS_PER_SECOND,
    stock: given.has("--live") ? stockDump("oxenstored", runFolder(process.env)) : undefined,
    traces: {
      traceFile: given.get("-T"),
      traceMask: 0,
      accessLog: given.has("--no-access-log") ? undefined : config.accessLog,
    },
  };
}

function parse(argv: readonly string[]): Map<OptionName, string> {
  const given = new Map<OptionName, string>();
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!word.startsWith("-")) continue; // The original takes no notice of them.
    if (!isOption(word)) {
      throw new UsageError(`Cannot run ${PROGRAM}: the option "${word}" is unknown`);
    }
    const value = OPTIONS[word].takesValue ? rest.shift() : "";
    if (value === undefined) throw new UsageError(`Cannot run ${PROGRAM}: ${word} needs a value`);
    given.set(word, value);
  }
  return given;
}

const isOption = (word: string): word is OptionName => word in OPTIONS;

const configPath = (given: ReadonlyMap<OptionName, string>): string =>
  given.get("--config-file") ?? CONFIG_PATH;

/** One that cannot be read is said, and the defaults hold, as with the original. */
function readConfig(given: ReadonlyMap<OptionName, string>): OxenstoredConfig {
  try {
    return readOxenstoredConfig(readFileSync(configPath(given), "utf8"));
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (typeof code !== "string") throw error;
    const problems = [`${configPath(given)}: ${code}`];
    return { ...readOxenstoredConfig(""), problems };
  }
}

function test(given: ReadonlyMap<OptionName, string>): number {
  const config = readConfig(given);
  const wrong = [...config.problems, ...config.refused.map((text) => `${text} is not offered`)];
  for (const problem of wrong) printToStderr(`config: ${problem}\n`);
  if (wrong.length > 0) return STATUS_BAD_CONFIG;
  print(`Configuration valid at ${configPath(given)}\n`);
  return EXIT.ok;
}

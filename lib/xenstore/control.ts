// CONTROL: what an operator asks of the daemon itself. Texts are the C daemon's, to the letter:
// xenstore-control and people's scripts look at them.

import { findDomain, mostOf, resetMaxima, usedOf } from "./account.ts";
import { stringLength, strings, toInteger } from "./arguments.ts";
import { acknowledge, answerText, type Core } from "./core.ts";
import { ERRNO } from "./errno.ts";
import { HEADER } from "./layout.ts";
import { LOG_SWITCH, QUOTAS } from "./limits.ts";
import type { ControlRequest } from "./ports.ts";

interface Command {
  readonly parameters: string;
  run(core: Core, parameters: readonly string[]): number;
}

/** What `quota` says of each; soft-memory has a command of its own. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  nodes: "Nodes per domain",
  watches: "Watches per domain",
  outstanding: "Outstanding requests per domain",
  memory: "Total Xenstore memory per domain",
  transactions: "Active transactions per domain",
  "transaction-nodes": "Max. number of accessed nodes per transaction",
  "node-permissions": "Max. number of permissions per node",
  "path-max": "Max. length of a node path",
  "node-size": "Max. size of a node",
};
const HARD = QUOTAS.map(({ name }, number) => ({ name, number })).filter(
  ({ name }) => name !== "soft-memory",
);
const SOFT = [{ name: "memory", number: QUOTAS.findIndex(({ name }) => name === "soft-memory") }];
type Listed = readonly { readonly name: string; readonly number: number }[];

const padded = (name: string, value: number): string =>
  `${name.padEnd(17)}: ${String(value).padStart(8)}`;

function showQuotas(core: Core, quotas: Listed): number {
  const { words } = core.arena;
  const lines = quotas.map(
    ({ name, number }) => `${padded(name, words[HEADER.quotas + number]!)} ${DESCRIPTIONS[name]}\n`,
  );
  return answerText(core, `Quota settings:\n${lines.join("")}`);
}

function setGlobalQuota(core: Core, parameters: readonly string[], quotas: Listed): number {
  if (parameters.length !== 2) return ERRNO.EINVAL;
  const value = toInteger(parameters[1]!);
  const quota = quotas.find(({ name }) => name === parameters[0]);
  if (value < 1 || quota === undefined) return ERRNO.EINVAL;
  core.arena.set(HEADER.quotas + quota.number, value);
  return acknowledge(core);
}

function showMaxima(core: Core, parameters: readonly string[]): number {
  if (parameters.length > 1) return ERRNO.EINVAL;
  if (parameters.length === 1) {
    if (parameters[0] !== "-r") return ERRNO.EINVAL;
    resetMaxima(core);
  }
  const { words } = core.arena;
  const lines = HARD.map(
    ({ name, number }) => `${padded(name, words[HEADER.quotaMaxima + number]!)}\n`,
  );
  return answerText(core, `Max. seen accounting values:\n${lines.join("")}`);
}

function showDomain(core: Core, parameters: readonly string[]): number {
  if (parameters.length !== 1) return ERRNO.EINVAL;
  const domid = toInteger(parameters[0]!);
  const domain = findDomain(core, domid);
  if (domain === 0) return ERRNO.ENOENT;
  const lines = HARD.map(({ name, number }) => {
    const most = String(mostOf(core, domain, number)).padStart(8);
    return `${padded(name, usedOf(core, domain, number))} (max ${most})\n`;
  });
  return answerText(core, `Domain ${domid}:\n${lines.join("")}`);
}

function quota(core: Core, parameters: readonly string[]): number {
  const [first, ...rest] = parameters;
  if (first === undefined) return showQuotas(core, HARD);
  if (first === "set") return setGlobalQuota(core, rest, HARD);
  if (first === "max") return showMaxima(core, rest);
  return showDomain(core, parameters);
}

function softQuota(core: Core, parameters: readonly string[]): number {
  const [first, ...rest] = parameters;
  if (first === undefined) return showQuotas(core, SOFT);
  return first === "set" ? setGlobalQuota(core, rest, SOFT) : ERRNO.EINVAL;
}

function check(core: Core, parameters: readonly string[]): number {
  if (parameters.length !== 0) return ERRNO.EINVAL;
  core.checkIsWanted = true; // Of what is final: dispatch.ts does it behind the operation.
  return acknowledge(core);
}

function log(core: Core, parameters: readonly string[]): number {
  const { arena, host } = core;
  const mask = arena.words[HEADER.logSwitches]!;
  const [wanted] = parameters;
  if (wanted === undefined) {
    const lines = Object.entries(LOG_SWITCH).map(
      ([name, bit]) => `${name.padEnd(8)}: ${mask & bit ? "on" : "off"}\n`,
    );
    return answerText(core, `Log switch settings:\n${lines.join("")}`);
  }
  if (parameters.length !== 1) return ERRNO.EINVAL;
  if (wanted === "on" || wanted === "off") {
    core.afterwards.push(() => host.logging(wanted === "on"));
    return acknowledge(core);
  }
  const sign = wanted[0];
  const bit = Object.entries(LOG_SWITCH).find(([name]) => name === wanted.slice(1))?.[1];
  if (bit === undefined || (sign !== "+" && sign !== "-")) return ERRNO.EINVAL;
  arena.set(HEADER.logSwitches, sign === "+" ? mask | bit : mask & ~bit);
  core.afterwards.push(() => host.logSwitches(arena.words[HEADER.logSwitches]!));
  return acknowledge(core);
}

/** What the program around the store answers. */
const ofHost =
  (command: ControlRequest["command"]) =>
  (core: Core, parameters: readonly string[]): number => {
    const { request } = core;
    const isFit = {
      "live-update": true,
      logfile: parameters.length === 1,
      memreport: parameters.length <= 1,
      "agent-stats": parameters.length <= 1,
    };
    if (!isFit[command]) return ERRNO.EINVAL;
    const said = core.host.control({
      connection: request.number,
      requestId: request.requestId,
      transactionId: request.transactionId,
      command,
      parameters,
    });
    if (said === "later") {
      request.isLater = true;
      return 0;
    }
    return "error" in said ? ERRNO[said.error] : answerText(core, said.text);
  };

function print(core: Core, parameters: readonly string[]): number {
  if (parameters.length !== 1) return ERRNO.EINVAL;
  core.afterwards.push(() => core.host.log(`control: ${parameters[0]}`));
  return acknowledge(core);
}

const LIVE_UPDATE_PARAMETERS =
  "[-c <cmdline>] [-F] [-t <timeout>] [-v <version>] <file>\n" +
  "    Default timeout is 60 seconds, default version is 2.";

/** In the order that help lists them. */
const COMMANDS: Readonly<Record<string, Command>> = {
  check: { parameters: "", run: check },
  log: { parameters: "[on|off|+<switch>|-<switch>]", run: log },
  "live-update": { parameters: LIVE_UPDATE_PARAMETERS, run: ofHost("live-update") },
  logfile: { parameters: "<file>", run: ofHost("logfile") },
  memreport: { parameters: "[<file>]", run: ofHost("memreport") },
  print: { parameters: "<string>", run: print },
  quota: { parameters: "[set <name> <val>|<domid>|max [-r]]", run: quota },
  "quota-soft": { parameters: "[set <name> <val>]", run: softQuota },
  help: { parameters: "", run: help },
};

/** Of ours alone: help says what the C daemon's does. */
const OWN_COMMANDS: Readonly<Record<string, Command>> = {
  "agent-stats": { parameters: "[<offset>]", run: ofHost("agent-stats") },
};
const ALL_COMMANDS: Readonly<Record<string, Command>> = { ...COMMANDS, ...OWN_COMMANDS };

function help(core: Core, parameters: readonly string[]): number {
  if (parameters.length !== 0) return ERRNO.EINVAL;
  const lines = Object.entries(COMMANDS).map(
    ([name, command]) => `${name.padEnd(15)} ${command.parameters}\n`,
  );
  return answerText(core, lines.join(""));
}

/** A live-update request is looked at as so many strings: what follows may be binary. */
const LIVE_UPDATE_STRINGS = 7;

export function control(core: Core): number {
  const { request } = core;
  if (stringLength(request, request.from) < 0) return ERRNO.EINVAL;
  const [name, ...parameters] = strings(request);
  const command = Object.hasOwn(ALL_COMMANDS, name!) ? ALL_COMMANDS[name!] : undefined;
  if (command === undefined) return ERRNO.EINVAL;
  if (name === "live-update") parameters.splice(LIVE_UPDATE_STRINGS - 1);
  return command.run(core, parameters);
}

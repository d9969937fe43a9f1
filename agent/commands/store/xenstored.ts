// xenstored: agent store serve with the options of the C daemon (tools/xenstored/core.c of Xen 4.17
// to 4.21). Each is honoured, or refused by name.

import { isAbsolute, join } from "node:path";
import { UsageError } from "../../../lib/base/index.ts";
import {
  EVENT_TIMEOUT_MS,
  runFolder,
  socketPath,
  stockDump,
} from "../../../lib/store-daemon/index.ts";
import { LOG_SWITCH, QUOTAS, type QuotaName } from "../../../lib/xenstore/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { print } from "../../ui/output.ts";
import { getopt, type GetoptOption } from "./getopt.ts";
import { detectHypervisor, startDaemon } from "./start.ts";

const PROGRAM = "xenstored";
/** Where a relative name of a trace file begins: XENSTORE_LIB_DIR. */
const LIBRARY_FOLDER = "/var/lib/xenstored";
const MS_PER_SECOND = 1000;
/** XENSTORE_REL_PATH_MAX */
const PATH_MAX = 2048;
const NUMBER_MAX = 2 ** 31 - 1;

interface Option extends GetoptOption {
  /** What it means; "refused" and why, for what cannot be had here. */
  readonly means: string;
  readonly refused?: string;
}

const OPTIONS: readonly Option[] = [
  { short: "D", name: "no-domain-init", value: "none", means: "do not connect domain 0" },
  { short: "F", name: "pid-file", value: "required", means: "write the daemon's pid there" },
  { short: "H", name: "help", value: "none", means: "show this help" },
  { short: "N", name: "no-fork", value: "none", means: "stay in the foreground" },
  { short: "P", name: "output-pid", value: "none", means: "print the pid of the daemon" },
  { short: "T", name: "trace-file", value: "required", means: "write every request there" },
  { name: "trace-control", value: "required", means: "+SWITCH or -SWITCH of the trace" },
  { short: "E", name: "entry-nb", value: "required", means: "nodes of a domain" },
  { short: "S", name: "entry-size", value: "required", means: "bytes of a node" },
  { short: "W", name: "watch-nb", value: "required", means: "watches of a domain" },
  { short: "t", name: "transaction", value: "required", means: "transactions of a domain" },
  { short: "A", name: "perm-nb", value: "required", means: "permissions of a node" },
  { short: "M", name: "path-max", value: "required", means: "characters of a path" },
  { short: "Q", name: "quota", value: "required", means: "WHAT=COUNT: a limit of each domain" },
  { short: "q", name: "quota-soft", value: "required", means: "memory=BYTES: warn above" },
  { short: "w", name: "timeout", value: "required", means: "watch-event=SECONDS" },
  { short: "K", name: "keep-orphans", value: "none", means: "keep nodes of domains gone" },
  { short: "m", name: "master-domid", value: "required", means: "the domain it runs in" },
  { short: "p", name: "priv-domid", value: "required", means: "the domain that may do all" },
  { short: "V", name: "verbose", value: "none", means: "say more: it always says all" },
  { short: "R", name: "no-recovery", value: "none", means: "no recovery: there is none" },
  { short: "I", name: "internal-db", value: "optional", means: "on: the store is in memory" },
  {
    short: "e",
    name: "event",
    value: "required",
    means: "domain 0's event channel, for a store in a domain of its own",
    refused: "a store in a domain of its own is not offered",
  },
  {
    short: "U",
    name: "live-update",
    value: "none",
    means: "go on with what an earlier xenstored has left (its live update asks for it)",
  },
];

/** Said to one start only, not to those after it. */
const LIVE_UPDATE_WORDS: ReadonlySet<string> = new Set(["-U", "--live-update"]);

const HELP = [
  `Usage: ${PROGRAM} [OPTIONS]\n\n`,
  ...OPTIONS.map(({ short, name, value, means, refused }) => {
    const spelled = short === undefined ? `    --${name}` : `-${short}, --${name}`;
    const shown = `${spelled}${value === "required" ? " VALUE" : ""}`.padEnd(28);
    return `  ${shown} ${means}${refused === undefined ? "" : " (refused)"}\n`;
  }),
].join("");

/** The quotas that have options of their own. */
const OWN_QUOTA: Readonly<Record<string, QuotaName>> = {
  "entry-nb": "nodes",
  "entry-size": "node-size",
  "watch-nb": "watches",
  transaction: "transactions",
  "perm-nb": "node-permissions",
  "path-max": "path-max",
};

interface Settings {
  inBackground: boolean;
  printPid: boolean;
  isLiveUpdate: boolean;
  introduceOwn: boolean;
  keepOrphans: boolean;
  pidFile: string | undefined;
  traceFile: string | undefined;
  traceMask: number;
  eventTimeoutMs: number;
  ownDomid: number;
  privilegedDomid: number | undefined;
  quotas: Partial<Record<QuotaName, number>>;
}

export async function run({ argv, programName }: Invocation): Promise<number> {
  const { given, operands } = getopt(PROGRAM, OPTIONS, argv);
  if (given.some(({ option }) => option.name === "help")) {
    print(HELP);
    return EXIT.ok;
  }
  if (operands.length > 0) {
    throw new UsageError(`Cannot run ${PROGRAM}: no arguments desired, found "${operands[0]}"`);
  }
  const settings = defaults();
  for (const { option, value } of given) apply(settings, option, value);
  const { traceFile, traceMask, ownDomid } = settings;
  return startDaemon({
    inBackground: settings.inBackground,
    printPid: settings.printPid,
    programName,
    words: argv.filter((word) => !LIVE_UPDATE_WORDS.has(word)),
    notes: [],
    runFolder: runFolder(process.env),
    service: {
      socketPath: socketPath(process.env),
      pidFile: settings.pidFile,
      hypervisor: hypervisorFor(process.env["XENSTORED_HYPERVISOR"]),
      ownDomid,
      privilegedDomid: settings.privilegedDomid ?? ownDomid,
      introduceOwn: settings.introduceOwn,
      quotas: settings.quotas,
      keepOrphans: settings.keepOrphans,
      eventTimeoutMs: settings.eventTimeoutMs,
      ringScanMs: 0,
      stock: settings.isLiveUpdate ? stockDump("c", runFolder(process.env)) : undefined,
      traces: { traceFile, traceMask, accessLog: undefined },
    },
  });
}

/** Files that play the hypervisor are for tests, and no option of the stock daemon. */
export const hypervisorFor = (folder: string | undefined) =>
  folder === undefined ? detectHypervisor() : { folder };

const defaults = (): Settings => ({
  inBackground: true,
  printPid: false,
  isLiveUpdate: false,
  introduceOwn: true,
  keepOrphans: false,
  pidFile: undefined,
  traceFile: undefined,
  traceMask: LOG_SWITCH.obj | LOG_SWITCH.io,
  eventTimeoutMs: EVENT_TIMEOUT_MS,
  ownDomid: 0,
  privilegedDomid: undefined,
  quotas: {},
});

function apply(settings: Settings, { name = "", refused }: Option, value = ""): void {
  if (refused !== undefined)
    throw new UsageError(`Cannot run ${PROGRAM} with --${name}: ${refused}`);
  const own = OWN_QUOTA[name];
  if (own !== undefined) {
    const count = numberOf(name, value);
    settings.quotas[own] = own === "path-max" ? Math.min(count, PATH_MAX) : count;
    return;
  }
  const setters: Readonly<Record<string, () => void>> = {
    "no-domain-init": () => (settings.introduceOwn = false),
    "pid-file": () => (settings.pidFile = value),
    "no-fork": () => (settings.inBackground = false),
    "live-update": () => (settings.isLiveUpdate = true),
    "output-pid": () => (settings.printPid = true),
    "trace-file": () =>
      (settings.traceFile = isAbsolute(value) ? value : join(LIBRARY_FOLDER, value)),
    "trace-control": () => (settings.traceMask = switched(settings.traceMask, value)),
    quota: () => setQuota(settings, value),
    "quota-soft": () => setSoftQuota(settings, value),
    timeout: () => (settings.eventTimeoutMs = timeoutOf(value)),
    "keep-orphans": () => (settings.keepOrphans = true),
    "master-domid": () => (settings.ownDomid = numberOf(name, value)),
    "priv-domid": () => (settings.privilegedDomid = numberOf(name, value)),
    "internal-db": () => refuseDisk(value),
  };
  setters[name]?.(); // verbose and no-recovery ask for what is so anyway.
}

function refuseDisk(value: string): void {
  if (value === "" || value === "on") return;
  throw new UsageError(
    `Cannot run ${PROGRAM} with --internal-db ${value}: the store is always in memory`,
  );
}

function numberOf(what: string, text: string): number {
  const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Infinity;
  if (number <= NUMBER_MAX) return number;
  throw new UsageError(`Cannot run ${PROGRAM}: ${what}: wanted a number, found "${text}"`);
}

function pairOf(option: string, text: string): readonly [string, number] {
  const [, name, count] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || count === undefined) {
    throw new UsageError(`Cannot run ${PROGRAM}: --${option}: wanted WHAT=COUNT, found "${text}"`);
  }
  return [name, numberOf(`--${option} ${name}`, count)];
}

function setQuota({ quotas }: Settings, text: string): void {
  const [what, count] = pairOf("quota", text);
  const name = what === "path-length" ? "path-max" : what; // As its own help calls it.
  const known = QUOTAS.find((quota) => quota.name === name);
  if (known === undefined || known.name === "soft-memory") {
    throw new UsageError(`Cannot run ${PROGRAM}: --quota: there is no quota "${what}"`);
  }
  quotas[known.name] = count;
}

function setSoftQuota({ quotas }: Settings, text: string): void {
  const [what, count] = pairOf("quota-soft", text);
  if (what !== "memory") {
    throw new UsageError(`Cannot run ${PROGRAM}: --quota-soft: there is no quota "${what}"`);
  }
  quotas["soft-memory"] = count;
}

function timeoutOf(text: string): number {
  const [what, seconds] = pairOf("timeout", text);
  if (what === "watch-event") return seconds * MS_PER_SECOND;
  throw new UsageError(`Cannot run ${PROGRAM}: --timeout: there is no timeout "${what}"`);
}

function switched(mask: number, text: string): number {
  const bit = Object.entries(LOG_SWITCH).find(([name]) => name === text.slice(1))?.[1];
  if (bit === undefined || !/^[+-]/.test(text)) {
    const names = Object.keys(LOG_SWITCH).join(", ");
    throw new UsageError(
      `Cannot run ${PROGRAM}: --trace-control: wanted + or - and one of ${names}, found "${text}"`,
    );
  }
  return text.startsWith("+") ? mask | bit : mask & ~bit;
}

// Whether a binary is a stock xenstore daemon, which takes our place by its own live update.
// Decided twice, before anything stops:
//
//   its text   sentences of the original, both of them, and a size that fits: any program may come
//              along here, and one that is something else is not run
//   --help     behind the very words that it would be started with: that exits with 0 where the file
//              runs on this machine and knows all of them (oxenstored reads its configuration, too)

import { readFileSync } from "node:fs";
import { RefusedError } from "../base/index.ts";
import {
  cleanEnvironment,
  createMemfd,
  type Environment,
  type Loop,
  monotonicMs,
  openForReading,
  statOf,
} from "../sys/index.ts";
import type { StockKind } from "./stock-dump.ts";

export interface StockProgram {
  readonly kind: StockKind;
  readonly path: string;
  /** Of the migration stream: what it reads. */
  readonly streamVersion: 1 | 2;
}

/** They have 0.1 and 2.5 MB. */
const BYTES_MAX = 32 * 1024 * 1024;
const SENTENCES: Readonly<Record<StockKind, readonly string[]>> = {
  c: ["%s/state_dump", "Not in live-update session."],
  oxenstored: ["$xenstored-dump-format", "--restart"],
};
/** Its answer to a version that it does not know; those before knew only one. */
const KNOWS_VERSIONS = "Migration stream version not supported.";
const ASK_MS = 10_000;
const LOOK_MS = 10;
const TOLD_CHARACTERS_MAX = 200;

/** undefined: it is none. Throws SystemError where it cannot be read. */
export function stockProgram(path: string): StockProgram | undefined {
  using file = openForReading(path);
  const stats = statOf(file.number);
  if (!stats.isFile() || stats.size > BYTES_MAX) return undefined;
  const text = readFileSync(file.number);
  const kinds = ["c", "oxenstored"] as const;
  const kind = kinds.find((one) => SENTENCES[one].every((sentence) => text.includes(sentence)));
  if (kind === undefined) return undefined;
  return { kind, path, streamVersion: text.includes(KNOWS_VERSIONS) ? 2 : 1 };
}

/** What makes it go on where we stop. */
const LIVE_WORDS: Readonly<Record<StockKind, readonly string[]>> = {
  c: ["-U"],
  oxenstored: ["--live", "--restart"],
};
const OTHER_LIVE_WORDS: ReadonlySet<string> = new Set(["--live-update"]);

/** argv[0] first. */
export function stockArguments({ kind, path }: StockProgram, words: readonly string[]): string[] {
  const own = LIVE_WORDS[kind];
  const rest = words.filter((word) => !own.includes(word) && !OTHER_LIVE_WORDS.has(word));
  return kind === "c" ? [path, ...rest, ...own] : [path, ...own, ...rest];
}

export interface HelpQuestion {
  readonly loop: Loop;
  /** argv[0] first. */
  readonly argv: readonly string[];
  readonly environment: Environment;
  /** undefined: it is fit. */
  readonly onAnswer: (wrong: string | undefined) => void;
}

/** Asks the program for its help, and calls back later, once. */
export function askForHelp({ loop, argv, environment, onAnswer }: HelpQuestion): void {
  const said = createMemfd("help");
  const child = startedOrNot(argv, said.number, environment);
  if (typeof child === "string") {
    said[Symbol.dispose]();
    loop.after(0, () => onAnswer(`Cannot use "${argv.join(" ")}": ${child}`));
    return;
  }
  const untilMs = monotonicMs() + ASK_MS;
  const look = (): void => {
    const { exitCode, signalCode } = child;
    if (exitCode === null && signalCode === null && monotonicMs() < untilMs) {
      loop.after(LOOK_MS, look);
      return;
    }
    const text = readFileSync(`/proc/self/fd/${said.number}`, "utf8").trim();
    said[Symbol.dispose]();
    if (exitCode === 0) return onAnswer(undefined);
    if (exitCode === null && signalCode === null) child.kill("SIGKILL");
    const end = signalCode ?? (exitCode === null ? "no end" : `exit status ${exitCode}`);
    const what = `wanted an answer to --help, found ${end}`;
    onAnswer(`Cannot use "${argv.join(" ")}": ${what}: ${text.slice(-TOLD_CHARACTERS_MAX)}`);
  };
  loop.after(LOOK_MS, look);
}

/** What the kernel will not even start, it says at once. */
function startedOrNot(argv: readonly string[], output: number, environment: Environment) {
  try {
    const child = Bun.spawn([...argv, "--help"], {
      stdio: ["ignore", output, output],
      env: cleanEnvironment(environment),
    });
    child.unref();
    return child;
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: string };
    if (typeof code !== "string") throw error;
    return message ?? code;
  }
}

/** The stock daemon of this kind. Throws RefusedError, SystemError. */
export function stockProgramOf(kind: StockKind, path: string): StockProgram {
  const program = stockProgram(path);
  if (program?.kind === kind) return program;
  const found = program === undefined ? "another program" : STOCK_NAME[program.kind];
  throw new RefusedError(`Cannot use "${path}": wanted ${STOCK_NAME[kind]}, found ${found}`);
}

export const STOCK_NAME: Readonly<Record<StockKind, string>> = {
  c: "the C xenstored",
  oxenstored: "oxenstored",
};

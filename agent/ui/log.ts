// Messages for the operator, on stderr: stdout is for results. consola renders them on a terminal;
// elsewhere they are plain lines that begin with the program's name. It is loaded only when it is
// needed.

import { printToStderr } from "./output.ts";

const STDERR = 2;

type Level = "error" | "warn" | "info";
const PLAIN_PREFIX: Readonly<Record<Level, string>> = {
  error: "agent: ",
  warn: "agent: warning: ",
  info: "agent: ",
};

async function say(level: Level, message: string): Promise<void> {
  const { isatty } = await import("node:tty"); // Not lib/sys: its failure to load is told here too.
  if (!isatty(STDERR)) return printToStderr(`${PLAIN_PREFIX[level]}${message}\n`);
  const { createConsola } = await import("consola");
  createConsola({ stdout: process.stderr, stderr: process.stderr })[level](message);
}

/** One clear error. */
export const printError = (message: string): Promise<void> => say("error", message);
export const printWarning = (message: string): Promise<void> => say("warn", message);
/** What the operator should know of and need not act on. */
export const printNote = (message: string): Promise<void> => say("info", message);

/** Our own mistake: everything a report needs. */
export function printBug(error: unknown, version: string): Promise<void> {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return printError(
    `This is a bug in agent, please report it with these lines:\n${version}\n${text}`,
  );
}

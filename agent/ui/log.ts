// Messages for the operator, on stderr: stdout is for results. consola renders them on a terminal;
// elsewhere they are plain lines that begin with the program's name. It is loaded only when it is
// needed.

import { isTerminal, STDERR_FD } from "../../lib/sys/index.ts";
import { printToStderr } from "./output.ts";

type Level = "error" | "warn" | "info";
const PLAIN_PREFIX: Readonly<Record<Level, string>> = {
  error: "agent: ",
  warn: "agent: warning: ",
  info: "agent: ",
};

async function say(level: Level, message: string): Promise<void> {
  if (!isTerminal(STDERR_FD)) return printToStderr(`${PLAIN_PREFIX[level]}${message}\n`);
  const { createConsola } = await import("consola");
  createConsola({ stdout: process.stderr, stderr: process.stderr })[level](message);
}

/** One clear error. */
export const printError = (message: string): Promise<void> => say("error", message);
export const printWarning = (message: string): Promise<void> => say("warn", message);

/** Our own mistake: everything a report needs. */
export function printBug(error: unknown, version: string): Promise<void> {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return printError(
    `This is a bug in agent, please report it with these lines:\n${version}\n${text}`,
  );
}

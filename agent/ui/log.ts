// Messages for the operator, on stderr: stdout is for results. Colour only on a terminal, and never with
// NO_COLOR (consola looks at both).

import { createConsola } from "consola";

const log = createConsola({ stdout: process.stderr, stderr: process.stderr });

const PLAIN = process.stderr.isTTY !== true;

/** One clear error. On a terminal with consola's mark, elsewhere as `agent: TEXT`. */
export function printError(message: string): void {
  if (PLAIN) process.stderr.write(`agent: ${message}\n`);
  else log.error(message);
}

export function printWarning(message: string): void {
  if (PLAIN) process.stderr.write(`agent: warning: ${message}\n`);
  else log.warn(message);
}

export function printNote(message: string): void {
  if (PLAIN) process.stderr.write(`agent: ${message}\n`);
  else log.info(message);
}

/** Our own mistake: everything a report needs. */
export function printBug(error: unknown, version: string): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  printError(`This is a bug in agent, please report it with these lines:\n${version}\n${text}`);
}

// Colour on results: only on a terminal that has any, and never with NO_COLOR.

import { isTerminal } from "../../lib/sys/index.ts";

const STYLE = { good: "32", bad: "1;31", faint: "2", heading: "1" } as const;
export type Style = keyof typeof STYLE;

export function wantsColour(fd: number): boolean {
  const { NO_COLOR = "", TERM = "" } = process.env; // NO_COLOR counts when it is not empty.
  return isTerminal(fd) && NO_COLOR === "" && TERM !== "dumb";
}

export const paint = (text: string, style: Style, coloured: boolean): string =>
  coloured ? `\u001b[${STYLE[style]}m${text}\u001b[0m` : text;

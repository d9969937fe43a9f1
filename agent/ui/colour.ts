// Colour on results: only on a terminal that has any, and never with NO_COLOR.

import { isTerminal } from "../../lib/sys/index.ts";

const STYLE = { good: "32", bad: "1;31", faint: "2", heading: "1", warm: "33" } as const;
export type Style = keyof typeof STYLE;

type Environment = Readonly<Record<string, string | undefined>>;

/** NO_COLOR counts when it is not empty; a dumb terminal has no colours. */
export const allowsColour = ({ NO_COLOR = "", TERM = "" }: Environment): boolean =>
  NO_COLOR === "" && TERM !== "dumb";

export const wantsColour = (fd: number): boolean => isTerminal(fd) && allowsColour(process.env);

export const paint = (text: string, style: Style, coloured: boolean): string =>
  coloured ? `\u001b[${STYLE[style]}m${text}\u001b[0m` : text;

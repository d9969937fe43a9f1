// Help texts, made from the command table.

import { type CommandSpec, COMMANDS, DROP_INS, GROUPS, type OptionSpec } from "../commands.ts";
import { EXIT_MEANING } from "../exit.ts";

const WRAP_COLUMNS = 78;

export const visibleCommands = (): CommandSpec[] => COMMANDS.filter(({ hidden }) => !hidden);

/** "-f, --format FORMAT" */
export const optionUsage = ({ name, short, value }: OptionSpec): string =>
  `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;

const table = (rows: readonly (readonly [string, string])[]): string[] => {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
};

/** `agent help`: what there is. */
export function generalHelp(): string {
  const commands = visibleCommands().map(
    ({ name, operands, summary }) => [`${name} ${operands}`.trim(), summary] as const,
  );
  return [
    "agent looks after guest state on a hypervisor's control domain.",
    "",
    "Usage: agent COMMAND [OPTION...]",
    "",
    "Commands:",
    ...table([...commands, ["help [COMMAND]", "show this text or one command's options"]]),
    "",
    "  agent --check    the same as agent check",
    "  agent --version  print version, commit and build target",
    "",
    "Started under another name:",
    ...table(DROP_INS.map(({ name, summary }) => [name, summary] as const)),
    "",
    "Exit status:",
    ...table(EXIT_MEANING.map(([status, meaning]) => [String(status), meaning] as const)),
    "",
  ].join("\n");
}

/** `agent help GROUP`: the commands that begin with that word. */
export function groupHelp(group: string): string {
  const commands = visibleCommands()
    .filter(({ name }) => name.startsWith(`${group} `))
    .map(({ name, operands, summary }) => [`${name} ${operands}`.trim(), summary] as const);
  return [
    `agent ${group}: ${GROUPS[group]}`,
    "",
    `Usage: agent ${group} COMMAND [OPTION...]`,
    "",
    "Commands:",
    ...table(commands),
    "",
    `agent help ${group} COMMAND shows the options of one.`,
    "",
  ].join("\n");
}

/** `agent help NAME`: one command. */
export function commandHelp(spec: CommandSpec): string {
  const options = spec.options.map((option) => [optionUsage(option), option.summary] as const);
  return [
    `Usage: agent ${spec.name} [OPTION...] ${spec.operands}`.trimEnd(),
    "",
    ...spec.description.flatMap((paragraph) => [...wrap(paragraph), ""]),
    "Options:",
    ...table(options),
    "",
  ].join("\n");
}

/** Lines of at most WRAP_COLUMNS characters. */
export function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WRAP_COLUMNS) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}

// The manual page agent(1) in roff (the man macros), made from the command table and the exit
// statuses. groff -man -ww and mandoc -T lint have nothing to say about it; a test asks them.

import { type CommandSpec, DROP_INS, type OptionSpec } from "../commands.ts";
import { EXIT_MEANING } from "../exit.ts";
import { COMMIT, VERSION } from "../version.ts";
import { visibleCommands, wrap } from "./help.ts";

/** The day of the commit, by build.ts. */
declare const AGENT_DATE: string | undefined;

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["Try it without a guest:", "agent sample /tmp/guest.save && agent verify /tmp/guest.save"],
  ["Look at a saved guest before it is restored:", "agent verify /var/lib/xen/save/web1.save"],
  [
    "The same at the lowest priority, for a script:",
    "agent verify --idle --json /var/lib/xen/save/web1.save",
  ],
  ["A compressed image in a pipe:", "ssh backup cat web1.save.zst | agent verify -"],
];

const FILES: readonly (readonly [string, string])[] = [
  ["/usr/local/bin/agent", "the program: one file, without configuration"],
  ["/usr/local/share/agent/manifest", "what install.sh installed, for install.sh --uninstall"],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["NO_COLOR", "When set, messages on a terminal have no colour."],
  [
    "BUN_BE_BUN, BUN_OPTIONS",
    "Change what the runtime inside the program does. Start agent from services and through sudo " +
      "without variables that begin with BUN_.",
  ],
];

export function manualPage(): string {
  const date = typeof AGENT_DATE === "string" ? AGENT_DATE : new Date().toISOString().slice(0, 10);
  const lines = [
    `.TH AGENT 1 ${date} "agent ${VERSION} (${COMMIT})" "User Commands"`,
    ".SH NAME",
    "agent \\- look after guest state on a hypervisor's control domain",
    ".SH SYNOPSIS",
    ".B agent",
    ".I COMMAND",
    "[\\fIOPTION\\fR...]",
    ".br",
    ".B agent",
    "{\\fB\\-\\-check\\fR|\\fB\\-\\-help\\fR|\\fB\\-\\-version\\fR}",
    ".SH DESCRIPTION",
    ...paragraph(
      "agent checks guest state that leaves a host: save files, suspend images, migration and " +
        "checkpoint streams. Results go to standard output, messages to standard error.",
    ),
    ".SH COMMANDS",
    ...visibleCommands().flatMap(commandPart),
    ".SS help \\fR[\\fICOMMAND\\fR]",
    ...paragraph("Shows all commands, or the options of one."),
    ".SH OTHER NAMES",
    ...paragraph("Started under one of these names, by a link, agent stands in for that program."),
    ...DROP_INS.flatMap(({ name, summary }) => tagged(`.B ${word(name)}`, summary)),
    ".SH EXIT STATUS",
    ...EXIT_MEANING.flatMap(([status, meaning]) => tagged(`.B ${status}`, meaning)),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, meaning]) => tagged(`.B ${word(name)}`, meaning)),
    ".SH FILES",
    ...FILES.flatMap(([path, meaning]) => tagged(`.I ${word(path)}`, meaning)),
    ".SH EXAMPLES",
    ...EXAMPLES.flatMap(([purpose, line], index) => [
      ...(index === 0 ? [] : [".PP"]),
      ...wrap(purpose).map(text),
      ".PP",
      ".in +4n",
      ".EX",
      word(line),
      ".EE",
      ".in",
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

function commandPart({ name, operands, description, options }: CommandSpec): string[] {
  const usage = [`\\fB${word(name)}\\fR`, ...(operands === "" ? [] : [italicNames(operands)])];
  return [
    `.SS ${usage.join(" ")}`,
    ...description.flatMap((part, index) => [...(index === 0 ? [] : [".PP"]), ...paragraph(part)]),
    ...options.flatMap((option) => tagged(optionTag(option), option.summary)),
  ];
}

function optionTag({ name, short, value }: OptionSpec): string {
  const flags = short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
  const bold = flags.map((flag) => `\\fB${word(flag)}\\fR`).join(", ");
  return value === undefined ? bold : `${bold} \\fI${word(value)}\\fR`;
}

const tagged = (tag: string, meaning: string): string[] => [".TP", tag, ...paragraph(meaning)];

const paragraph = (content: string): string[] => wrap(content).map(text);

/** Names of operands in italics, brackets and dots as they are. */
const italicNames = (operands: string): string =>
  word(operands).replaceAll(/[A-Z]+/g, (name) => `\\fI${name}\\fR`);

const escaped = (line: string): string =>
  line.replaceAll("\\", "\\e").replace(/^[.']/, (mark) => `\\&${mark}`);

/** A line of prose: a hyphen is a hyphen, but in options it is the minus that can be pasted. */
const text = (line: string): string =>
  escaped(line).replaceAll(/(?<![\w-])--?(?=\w)/g, (dashes) => dashes.replaceAll("-", "\\-"));

/** Something to be typed: every hyphen is a minus. */
const word = (typed: string): string => escaped(typed).replaceAll("-", "\\-");

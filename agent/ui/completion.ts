// Completion scripts for bash, zsh and fish, made from the command table. They use nothing but the
// shell: the package bash-completion need not be there.

import { COMMANDS, COMPLETION_SHELLS, GROUPS, type OptionSpec } from "../commands.ts";
import { visibleCommands } from "./help.ts";

/** What may stand somewhere: files of the current directory, some words, or nothing we can know. */
type Offer = "files" | "nothing" | readonly string[];

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionSpec[];
  /** What the operand is called in the help, and what to offer for it. */
  readonly operand: string;
  readonly offer: Offer;
}

/** Names of values and operands that are paths. */
const PATH_WORDS = /\b(STREAM|FILE|DIR|IMAGE)\b/;

const offerFor = (name: string, choices: readonly string[] | undefined): Offer =>
  choices ?? (PATH_WORDS.test(name) ? "files" : "nothing");

const valueOffer = ({ value, choices }: OptionSpec): Offer => offerFor(value ?? "", choices);

function entries(): Entry[] {
  const help: Entry = {
    name: "help",
    summary: "show help",
    options: [],
    operand: "COMMAND",
    offer: [...new Set(visibleCommands().map(({ name }) => firstWord(name)))],
  };
  const commands = visibleCommands().map(
    ({ name, summary, options, operands, operandChoices }): Entry => {
      const operand = operands.replaceAll(/[[\].]/g, "");
      return { name, summary, options, operand, offer: offerFor(operands, operandChoices) };
    },
  );
  return [...commands, help];
}

const firstWord = (name: string): string => name.split(" ", 1)[0] ?? name;

interface Group {
  readonly name: string;
  readonly summary: string;
  /** Its commands, without the group's name. */
  readonly members: readonly { readonly name: string; readonly summary: string }[];
}

function groups(table: readonly Entry[]): Group[] {
  return Object.entries(GROUPS).map(([name, summary]) => {
    const own = table.filter((entry) => entry.name.startsWith(`${name} `));
    const members = own.map((entry) => ({ ...entry, name: entry.name.slice(name.length + 1) }));
    return { name, summary, members };
  });
}

/** Everything that may be the first word, with what it is. */
const firstWords = (table: readonly Entry[]): (readonly [string, string])[] => [
  ...table
    .filter(({ name }) => !name.includes(" "))
    .map(({ name, summary }) => [name, summary] as const),
  ...groups(table).map(({ name, summary }) => [name, summary] as const),
  ...WORDS_WITHOUT_COMMAND,
];

/** A command of two words as one, for the scripts' case statements. */
const joined = (name: string): string => name.replace(" ", "-");

/** What may stand in place of a command. */
const WORDS_WITHOUT_COMMAND: readonly (readonly [string, string])[] = [
  ["--check", COMMANDS.find(({ name }) => name === "check")?.summary ?? ""],
  ["--help", "show help"],
  ["--version", "print version, commit and build target"],
];

const HEADING = "Completion of agent's commands and options. Made from its command table.";

export function completionScript(shell: (typeof COMPLETION_SHELLS)[number]): string {
  const render = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  return `${render(entries()).join("\n")}\n`;
}

/** `text` as one word of any of the three shells. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** "-f" and "--format". */
const dashed = ({ name, short }: OptionSpec): string[] =>
  short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];

// ---- bash -----------------------------------------------------------------------------------

function bashOffer(offer: Offer): string {
  if (offer === "nothing") return ":";
  // No answer of ours and -o default: readline's own file names, with its quoting.
  if (offer === "files") return "compopt -o default";
  return `words=${quoted(offer.join(" "))}`;
}

function bashScript(table: readonly Entry[]): string[] {
  const first = firstWords(table).map(([word]) => word);
  const values = table.flatMap(({ name, options }) =>
    options
      .filter(({ value }) => value !== undefined)
      .map((option) => {
        const patterns = dashed(option).map((word) => `${joined(name)}:${word}`);
        return `    ${patterns.join(" | ")}) ${bashOffer(valueOffer(option))} ;;`;
      }),
  );
  const commands = table.flatMap(({ name, options, offer }) => [
    `    ${joined(name)}:-*) words=${quoted(options.flatMap(dashed).join(" "))} ;;`,
    `    ${joined(name)}:*) ${bashOffer(offer)} ;;`,
  ]);
  const own = groups(table);
  return [
    `# ${HEADING}`,
    "_agent() {",
    "  local command=${COMP_WORDS[1]} at=2",
    "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=",
    "  COMPREPLY=()",
    "  # bash splits --option=value at the =.",
    "  if [[ $current == = ]]; then",
    "    current=",
    "  elif [[ $before == = ]]; then",
    "    before=${COMP_WORDS[COMP_CWORD - 2]}",
    "  fi",
    "  case $command in",
    `    ${own.map(({ name }) => name).join(" | ")}) command+=-\${COMP_WORDS[2]} at=3 ;;`,
    "  esac",
    "  if ((COMP_CWORD == 1)); then",
    `    words=${quoted(first.join(" "))}`,
    "  elif ((COMP_CWORD < at)); then",
    "    case ${COMP_WORDS[1]} in",
    ...own.map(({ name, members }) => {
      return `      ${name}) words=${quoted(members.map((member) => member.name).join(" "))} ;;`;
    }),
    "    esac",
    "  else",
    "    case $command:$before in",
    ...values.map((line) => `  ${line}`),
    "    *) case $command:$current in",
    ...commands.map((line) => `  ${line}`),
    "      esac ;;",
    "    esac",
    "  fi",
    '  [[ -z $words ]] || COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    "complete -F _agent agent",
  ];
}

// ---- zsh ------------------------------------------------------------------------------------

const zshOffer = (offer: Offer): string => {
  if (offer === "nothing") return " ";
  return offer === "files" ? "_files" : `(${offer.join(" ")})`;
};

/** Brackets and colons end the parts of a specification. */
const zshText = (text: string): string => text.replaceAll(/[[\]:\\]/g, "\\$&");

function zshOption(option: OptionSpec): string {
  const { short, name, value, summary } = option;
  const action = value === undefined ? "" : `:${value}:${zshOffer(valueOffer(option))}`;
  const rest = quoted(`[${zshText(summary)}]${action}`);
  const long = value === undefined ? `--${name}` : `--${name}=`;
  if (short === undefined) return `${quoted(long)}${rest}`;
  return `${quoted(`(-${short} --${name})`)}{-${short},${long}}${rest}`;
}

/** Lines that offer `rows` for the word at the cursor. */
const zshDescribe = (
  indent: string,
  what: string,
  rows: readonly (readonly [string, string])[],
): string[] =>
  [
    "local -a commands=(",
    ...rows.map(([word, summary]) => `  ${quoted(`${word}:${zshText(summary)}`)}`),
    ")",
    `_describe -t commands ${quoted(what)} commands`,
    "return",
  ].map((line) => `${indent}${line}`);

function zshScript(table: readonly Entry[]): string[] {
  return [
    "#compdef agent",
    `# ${HEADING}`,
    "_agent() {",
    "  if ((CURRENT == 2)); then",
    ...zshDescribe("    ", "agent command", firstWords(table)),
    "  fi",
    "  shift words",
    "  ((CURRENT--))",
    "  local command=$words[1]",
    "  case $command in",
    ...groups(table).flatMap(({ name, members }) => [
      `    ${name})`,
      "      if ((CURRENT == 2)); then",
      ...zshDescribe(
        "        ",
        `agent ${name} command`,
        members.map((member) => [member.name, member.summary] as const),
      ),
      "      fi",
      "      shift words",
      "      ((CURRENT--))",
      "      command+=-$words[1]",
      "      ;;",
    ]),
    "  esac",
    "  case $command in",
    ...table.flatMap(({ name, options, operand, offer }) => {
      const operands = offer === "nothing" ? [] : [quoted(`*:${operand}:${zshOffer(offer)}`)];
      const words = [...options.map(zshOption), ...operands].map((word) => ` \\\n        ${word}`);
      return [`    ${joined(name)})`, `      _arguments -S${words.join("")}`, "      ;;"];
    }),
    "  esac",
    "}",
    "# Autoloaded from fpath the file is the function; sourced it only registers it.",
    'if [[ $funcstack[1] == _agent ]]; then _agent "$@"; else compdef _agent agent; fi',
  ];
}

// ---- fish -----------------------------------------------------------------------------------

const fishText = (text: string): string => `'${text.replaceAll(/['\\]/g, "\\$&")}'`;

const fishOffer = (offer: Offer): string => {
  if (offer === "nothing") return "";
  return offer === "files" ? " -F" : ` -a ${fishText(offer.join(" "))}`;
};

function fishScript(table: readonly Entry[]): string[] {
  return [
    `# ${HEADING}`,
    "# The command on the line is this one: one word, or two.",
    "function __agent_command",
    "    set -l words (commandline -opc) '' ''",
    '    test "$words[2]" = "$argv[1]" -o "$words[2..3]" = "$argv[1]"',
    "end",
    "# The line so far is this group and nothing else.",
    "function __agent_group",
    "    set -l words (commandline -opc)",
    '    test "$words[2..]" = "$argv[1]"',
    "end",
    "complete -c agent -f",
    ...firstWords(table).map(
      ([word, summary]) =>
        `complete -c agent -n '__agent_command ""' -a ${fishText(word)} -d ${fishText(summary)}`,
    ),
    ...groups(table).flatMap(({ name, members }) =>
      members.map((member) => {
        const words = `-a ${fishText(member.name)} -d ${fishText(member.summary)}`;
        return `complete -c agent -n '__agent_group ${name}' ${words}`;
      }),
    ),
    ...table.flatMap(({ name, options, offer }) => {
      const condition = name.includes(" ") ? `"${name}"` : name;
      const start = `complete -c agent -n '__agent_command ${condition}'`;
      const operand = fishOffer(offer);
      const optionLines = options.map((option) => {
        const short = option.short === undefined ? "" : ` -s ${option.short}`;
        const given = valueOffer(option);
        // -r: wants a value; -x: and no file names among the offers.
        const value = option.value === undefined ? "" : given === "files" ? " -r" : " -x";
        const offers = option.value === undefined ? "" : fishOffer(given);
        return `${start}${short} -l ${option.name}${value}${offers} -d ${fishText(option.summary)}`;
      });
      return [...(operand === "" ? [] : [`${start}${operand}`]), ...optionLines];
    }),
  ];
}

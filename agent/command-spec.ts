// What a command looks like to help, man page, completion and argument parsing, and the options
// that many commands share.

export interface OptionSpec {
  /** Long name without dashes. */
  readonly name: string;
  readonly short?: string;
  /** Name of its value in the help text; without one the option is a switch. */
  readonly value?: string;
  /** Words the value may be, for completion and help. */
  readonly choices?: readonly string[];
  readonly summary: string;
}

/** What main.ts hands to a command. */
export interface Invocation {
  readonly argv: readonly string[];
  readonly spec: CommandSpec;
  /** The name the program was started under. */
  readonly programName: string;
}

export interface CommandModule {
  /** Returns the exit status. Throws the error classes that exit.ts maps. */
  run(invocation: Invocation): number | Promise<number>;
}

export interface CommandSpec {
  readonly name: string;
  readonly operands: string;
  /**
   * Words that an operand may be, for completion. Without them STREAM, FILE and DIR complete to
   * files.
   */
  readonly operandChoices?: readonly string[];
  readonly summary: string;
  /** A paragraph or two for `agent help NAME` and the man page. */
  readonly description: readonly string[];
  readonly options: readonly OptionSpec[];
  /** Left out of the command list, completion and man page: for our own processes. */
  readonly hidden?: true;
  load(): Promise<CommandModule>;
}

export const JSON_OPTION: OptionSpec = {
  name: "json",
  summary: "print one JSON document on stdout",
};
export const HELP_OPTION: OptionSpec = { name: "help", short: "h", summary: "show this help" };

/** Options of every command that reads a whole stream: how it treats the host meanwhile. */
export const GUEST_OPTIONS: readonly OptionSpec[] = [
  {
    name: "rate",
    value: "BYTES",
    summary: "read at most so many bytes a second (K, M, G allowed)",
  },
  { name: "idle", summary: "run at idle processor and I/O priority" },
];

export const STREAM_FORMATS = ["xl", "libxl", "libxc", "xapi", "legacy"] as const;

export const FORMAT_OPTION: OptionSpec = {
  name: "format",
  short: "f",
  value: "FORMAT",
  choices: STREAM_FORMATS,
  summary: "do not detect the format: xl, libxl, libxc, xapi or legacy",
};

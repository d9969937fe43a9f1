// Entry: from the program's name and argv to a command, and from an error's class to an exit
// status. The only file that sees process.argv or exits. Keep its imports few: `agent --version`
// pays for them.

import { UsageError } from "../lib/base/index.ts";
import { type CommandModule, COMMANDS, type CommandSpec, DROP_INS, GROUPS } from "./commands.ts";
import { EXIT, exitStatusOf } from "./exit.ts";
import { commandHelp, generalHelp, groupHelp } from "./ui/help.ts";
import { print, printToStderr } from "./ui/output.ts";
import { versionLine } from "./version.ts";

async function main(programName: string, argv: readonly string[]): Promise<number> {
  const dropIn = DROP_INS.find(
    ({ name, firstWords }) => name === programName || firstWords?.includes(argv[0] ?? ""),
  );
  if (dropIn !== undefined) {
    const spec: CommandSpec = { ...dropIn, operands: "", description: [], options: [] };
    return (await dropIn.load()).run({ argv, spec, programName });
  }
  const [word, ...rest] = argv;
  switch (word) {
    case undefined:
      printToStderr(generalHelp());
      return EXIT.usage;
    case "help":
    case "--help":
    case "-h":
      print(helpAbout(rest));
      return EXIT.ok;
    case "version":
    case "--version":
    case "-V":
      print(`${versionLine()}\n`);
      return EXIT.ok;
    default:
      return runCommand(programName, word === "--check" ? ["check", ...rest] : argv);
  }
}

async function runCommand(programName: string, argv: readonly string[]): Promise<number> {
  const [word = "", second = ""] = argv;
  if (Object.hasOwn(GROUPS, word) && (second === "" || second === "-h" || second === "--help")) {
    (second === "" ? printToStderr : print)(groupHelp(word));
    return second === "" ? EXIT.usage : EXIT.ok;
  }
  const spec = commandNamed(argv);
  const rest = argv.slice(spec.name.split(" ").length);
  const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (own.includes("--help") || own.includes("-h")) {
    print(commandHelp(spec));
    return EXIT.ok;
  }
  const command: CommandModule = await spec.load();
  return command.run({ argv: rest, spec, programName });
}

function helpAbout(words: readonly string[]): string {
  const [word, second] = words;
  if (word === undefined) return generalHelp();
  if (second === undefined && Object.hasOwn(GROUPS, word)) return groupHelp(word);
  return commandHelp(commandNamed(words));
}

/** The command that the first one or two words name. */
function commandNamed(words: readonly string[]): CommandSpec {
  const [word = "", second = ""] = words;
  const name = Object.hasOwn(GROUPS, word) ? `${word} ${second}` : word;
  const spec = COMMANDS.find((candidate) => candidate.name === name);
  if (spec !== undefined) return spec;
  const kind = name.startsWith("-") ? "option" : "command";
  const help = name === word ? "agent help" : `agent help ${word}`;
  throw new UsageError(`There is no ${kind} "${name}": try ${help}`);
}

async function report(error: unknown): Promise<number> {
  const status = exitStatusOf(error);
  const { printError, printBug } = await import("./ui/log.ts");
  if (status === EXIT.bug) await printBug(error, versionLine());
  else await printError(error instanceof Error ? error.message : String(error));
  return status;
}

/** Of a path, without node:path: loading that takes 0.4 ms, a tenth of a start. */
const lastName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

process.exitCode = await main(lastName(process.argv0), process.argv.slice(2)).catch(report);

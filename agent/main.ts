// Entry: from the program's name and argv to a command, and from an error's class to an exit
// status. The only file that sees process.argv or exits. Keep its imports few: `agent --version`
// pays for them.

import { UsageError } from "../lib/base/index.ts";
import { type CommandModule, COMMANDS, type CommandSpec, DROP_INS } from "./commands.ts";
import { EXIT, exitStatusOf } from "./exit.ts";
import { commandHelp, generalHelp } from "./ui/help.ts";
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
      print(rest[0] === undefined ? generalHelp() : commandHelp(commandNamed(rest[0])));
      return EXIT.ok;
    case "version":
    case "--version":
    case "-V":
      print(`${versionLine()}\n`);
      return EXIT.ok;
    default: {
      const spec = commandNamed(word === "--check" ? "check" : word);
      const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
      if (own.includes("--help") || own.includes("-h")) {
        print(commandHelp(spec));
        return EXIT.ok;
      }
      const command: CommandModule = await spec.load();
      return command.run({ argv: rest, spec, programName });
    }
  }
}

function commandNamed(name: string): CommandSpec {
  const spec = COMMANDS.find((candidate) => candidate.name === name);
  if (spec !== undefined) return spec;
  const kind = name.startsWith("-") ? "option" : "command";
  throw new UsageError(`There is no ${kind} "${name}": try agent help`);
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

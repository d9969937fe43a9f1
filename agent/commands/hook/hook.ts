// agent hook: puts agent where a toolstack calls it, takes it away again, and tells how it stands.

import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import * as v from "valibot";
import { RefusedError, UsageError } from "../../../lib/base/index.ts";
import {
  AFTERWARDS,
  HOOK_KINDS,
  type HookKind,
  hookStatus,
  installedProgram,
  installHook,
  type ItemStatus,
  removeHook,
} from "../../../lib/hook/index.ts";
import { type Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { print, printToStderr } from "../../ui/output.ts";

const ACTIONS = ["install", "remove", "status"] as const;
const WANTED = `wanted install, remove or status, and one of ${HOOK_KINDS.join(", ")}`;

const Options = v.strictObject({
  _: v.strictTuple([v.picklist(ACTIONS, WANTED), v.picklist(HOOK_KINDS, WANTED)], WANTED),
  root: v.optional(v.pipe(v.string(), v.check(isAbsolute, "wanted an absolute path")), "/"),
  program: v.optional(v.pipe(v.string(), v.check(isAbsolute, "wanted an absolute path"))),
  json: switchOption,
});

export const HookStatusDocument = v.strictObject({
  kind: v.pipe(v.picklist(HOOK_KINDS), v.description("the toolstack")),
  installed: v.pipe(v.boolean(), v.description("all of it is in place")),
  program: v.pipe(v.string(), v.description("the agent that the hooks run")),
  items: v.array(
    v.strictObject({
      path: v.pipe(v.string(), v.description("what stands there belongs to the hook")),
      state: v.pipe(
        v.picklist(["in_place", "absent", "differs", "foreign"]),
        v.description("differs: ours, and not as it should be; foreign: somebody else's"),
      ),
    }),
  ),
});

export function run({ argv, spec }: Invocation): number {
  const options = parseOptions(Options, spec, argv);
  const [action, kind] = options._;
  const { root } = options;
  switch (action) {
    case "install": {
      const program = options.program ?? ownProgram();
      if (root === "/" && !existsSync(program)) {
        throw new RefusedError(`Cannot install the ${kind} hook: there is no "${program}"`);
      }
      installHook({ kind, root, program });
      printToStderr(`Installed the ${kind} hook. ${AFTERWARDS[kind]}.\n`);
      return EXIT.ok;
    }
    case "remove": {
      const program = programOf(kind, root, options.program);
      const wasThere = removeHook({ kind, root, program });
      const what = wasThere ? `Removed the ${kind} hook` : `There was no ${kind} hook`;
      printToStderr(`${what}.${wasThere ? ` ${AFTERWARDS[kind]}.` : ""}\n`);
      return EXIT.ok;
    }
    case "status":
      return status(kind, { root, program: programOf(kind, root, options.program) }, options.json);
  }
}

function status(
  kind: HookKind,
  { root, program }: { readonly root: string; readonly program: string },
  json: boolean,
): number {
  const items = hookStatus({ kind, root, program });
  const installed = items.every(({ state }) => state === "in_place");
  if (json) print(`${JSON.stringify({ kind, installed, program, items }, null, 2)}\n`);
  else print(`${[verdict(kind, items), ...items.map((item) => line(root, item))].join("\n")}\n`);
  return installed ? EXIT.ok : EXIT.failed;
}

const WORDS = { in_place: "in place", absent: "absent", differs: "differs", foreign: "foreign" };

const line = (root: string, { path, state }: ItemStatus): string =>
  `  ${WORDS[state].padEnd(8)}  ${join(root, path)}`;

function verdict(kind: HookKind, items: readonly ItemStatus[]): string {
  if (items.every(({ state }) => state === "in_place")) return `${kind}: installed`;
  const isNone = items.every(({ state }) => state === "absent" || state === "foreign");
  return isNone
    ? `${kind}: not installed`
    : `${kind}: partly installed: install or remove it again`;
}

const programOf = (kind: HookKind, root: string, named: string | undefined): string =>
  named ?? installedProgram(kind, root) ?? ownProgram();

function ownProgram(): string {
  const { executable, words } = selfCommand();
  if (words.length === 0) return executable;
  throw new UsageError("Cannot tell which program hooks should run: name it with --program");
}

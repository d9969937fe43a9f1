// The checkable part of the house style and of the import rules. Each rule looks at source files
// and reports problems as "path:line: what is wrong"; tidy.test.ts runs them on the project, and on
// small bad snippets to see that they bite.

import { basename, dirname } from "node:path";
import type { Import, SourceFile } from "./source-files.ts";

const FILE_LINES_MAX = 400;
const COLUMNS_MAX = 100;
const TABLE_COLUMNS_MAX = 120;
const FUNCTION_LINES_MAX = 70;

export type Rule = (files: readonly SourceFile[]) => string[];

/** A rule that looks at one file at a time. */
const perFile =
  (check: (file: SourceFile) => Iterable<string>): Rule =>
  (files) =>
    files.flatMap((file) => [...check(file)]);

const inRoom = (path: string, room: string): boolean => path.startsWith(`${room}/`);
const isShipped = ({ path }: SourceFile): boolean => inRoom(path, "agent") || inRoom(path, "lib");

// ---- Shape of a file ------------------------------------------------------------------------

const opensWithComment: Rule = perFile(function* ({ path, text }) {
  if (!/^(#!.*\n)?\/[/*]/.test(text)) yield `${path}:1: open the file with a comment: its job`;
});

const fileLength: Rule = perFile(function* ({ path, lines }) {
  const count = lines.length - 1;
  if (count > FILE_LINES_MAX) yield `${path}: ${count} lines, wanted at most ${FILE_LINES_MAX}`;
});

/** A line that lines up with its neighbours: columns of spaces, or one entry of a table a line. */
const isTableRow = (line: string): boolean =>
  /\S {2,}\S/.test(line.trim()) || /^\s*("?\w+"?: )?[[{].*[\]}],?( \/\/.*)?$/.test(line);

const columns: Rule = perFile(function* ({ path, lines }) {
  for (const [index, line] of lines.entries()) {
    const most = isTableRow(line) ? TABLE_COLUMNS_MAX : COLUMNS_MAX;
    if (line.length > most)
      yield `${path}:${index + 1}: ${line.length} columns, wanted at most ${most}`;
  }
});

const fileName: Rule = perFile(function* ({ path }) {
  const name = basename(path).replace(/\.test\.ts$|\.ts$/, "");
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) yield `${path}: name files in kebab-case`;
  if (/^(utils?|common|misc)$/.test(name)) yield `${path}: name the file after what it holds`;
});

/** Assembled, so that this list does not find itself. */
const BANNED: readonly (readonly [RegExp, string])[] = [
  [
    new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`),
    "do it, or say why not",
  ],
  [new RegExp("@ts-" + "(ignore|nocheck|expect-error)"), "give it its type"],
  [new RegExp("(eslint|oxlint)-" + "disable(?!.* -- \\w)"), "say why behind --"],
];

const bannedWords: Rule = perFile(function* ({ path, lines }) {
  for (const [index, line] of lines.entries()) {
    for (const [pattern, advice] of BANNED) {
      const found = pattern.exec(line);
      if (found) yield `${path}:${index + 1}: "${found[0]}": ${advice}`;
    }
  }
});

const BANNED_CODE: readonly (readonly [RegExp, string])[] = [
  [/(?::|\bas|<|\|)\s*any\b(?!\s*[(:,])|\bany\[\]/, "the type any: say what it is, or unknown"],
  [/^\s*export default\b/, "a default export: export by name"],
  [/^\s*export \*/, "export *: export by name"],
  [/^\s*(export )?(const )?enum\b/, "an enum: use a table with as const"],
  [/\brequire\(/, "require: use import"],
];

const bannedCode: Rule = perFile(function* ({ path, code }) {
  for (const [index, line] of code.entries()) {
    for (const [pattern, advice] of BANNED_CODE) {
      if (pattern.test(line)) yield `${path}:${index + 1}: ${advice}`;
    }
  }
});

const indexExportsByName: Rule = perFile(function* ({ path, code }) {
  if (basename(path) !== "index.ts") return;
  const rest = code
    .join("\n")
    .replaceAll(/export (type )?\{[^}]*\} from "[^"]*";/g, "")
    .trim();
  if (rest !== "") yield `${path}: wanted only exports by name, found "${rest.split("\n")[0]}"`;
});

const FUNCTION_START =
  /(\bfunction\b.*|=>\s*|^\s*((static|async|get|set|\*)\s*)*#?[\w\]]+(<.*>)?\(.*\).*)\{$/;
const NOT_A_FUNCTION =
  /^\s*(\}?\s*(if|for|while|switch|catch|else|do|try|using|with)\b|describe\()/;

/**
 * Formatted code: a function ends at the first line that closes at the indentation of its first.
 */
const functionLength: Rule = perFile(function* ({ path, code }) {
  for (const [index, line] of code.entries()) {
    const isEndOfHead = /^\s*\).*\{$/.test(line);
    if (NOT_A_FUNCTION.test(line) || !(FUNCTION_START.test(line) || isEndOfHead)) continue;
    const indentation = /^\s*/.exec(line)?.[0] ?? "";
    const closing = new RegExp(`^${indentation}\\}`);
    const length = code.slice(index + 1).findIndex((other) => closing.test(other)) + 2;
    if (length > FUNCTION_LINES_MAX) {
      const where = `${path}:${index + 1}`;
      yield `${where}: a function of ${length} lines, wanted at most ${FUNCTION_LINES_MAX}`;
    }
  }
});

// ---- What may be touched where --------------------------------------------------------------

const onlyMainExits: Rule = perFile(function* (file) {
  if (!isShipped(file) || file.path === "agent/main.ts") return;
  for (const [index, line] of file.code.entries()) {
    const found = /\bprocess\.(argv\b|exit\b|exitCode\b|abort\b)|\bBun\.argv\b/.exec(line);
    if (found) yield `${file.path}:${index + 1}: ${found[0]} belongs to agent/main.ts`;
  }
});

const libNeverPrints: Rule = perFile(function* (file) {
  if (!inRoom(file.path, "lib")) return;
  for (const [index, line] of file.code.entries()) {
    const found = /\bconsole\.|\bprocess\.std(out|err)\b/.exec(line);
    if (found) yield `${file.path}:${index + 1}: ${found[0]}: lib throws or returns, agent prints`;
  }
});

// ---- Imports --------------------------------------------------------------------------------

const perImport = (check: (file: SourceFile, found: Import) => string | undefined): Rule =>
  perFile(function* (file) {
    for (const found of file.imports) {
      const problem = check(file, found);
      if (problem !== undefined) yield `${file.path}:${found.line}: ${problem}`;
    }
  });

/** "lib/stream" for "lib/stream/xl/layout.ts"; "agent" for all of agent. */
const roomOf = (path: string): string => {
  const [top = "", area = ""] = path.split("/");
  return top === "lib" ? `lib/${area}` : top;
};

const directions: Rule = perImport(({ path }, { target }) => {
  if (inRoom(path, "lib") && inRoom(target, "agent")) return "lib never imports agent";
  const isTest = inRoom(target, "test") && !inRoom(path, "test");
  return isTest ? "only tests import test" : undefined;
});

/** What the lowest rooms may import of lib, besides themselves. */
const ALLOWED_ROOMS: Readonly<Record<string, readonly string[]>> = {
  "lib/base": [],
  "lib/sys": ["lib/base"],
  "lib/bytes": ["lib/base", "lib/sys"],
};

const FORMAT_FOLDER = /^lib\/stream\/(xl|libxl|libxc|xapi|legacy|hvm-context|qemu)\//;
const ALLOWED_IN_FORMATS = /^lib\/(base|bytes)\//;

const lowRooms: Rule = perImport(({ path }, { target }) => {
  if (!inRoom(target, "lib")) return undefined;
  const room = roomOf(path);
  const allowed = ALLOWED_ROOMS[room];
  if (allowed !== undefined && roomOf(target) !== room && !allowed.includes(roomOf(target))) {
    return `${room} may not import ${roomOf(target)}`;
  }
  const format = FORMAT_FOLDER.exec(path)?.[0];
  if (format === undefined || ALLOWED_IN_FORMATS.test(target)) return undefined;
  return target.startsWith(format) ? undefined : `a format imports base and bytes, not ${target}`;
});

const throughIndex: Rule = perImport(({ path }, { target }) => {
  const isWithin = roomOf(path) === roomOf(target) || inRoom(path, "test");
  if (isWithin || !inRoom(target, "lib") || target === `${roomOf(target)}/index.ts`)
    return undefined;
  return `import ${roomOf(target)} through its index.ts`;
});

const packages: Rule = perImport((file, { target }) => {
  const { path } = file;
  if (!isShipped(file)) return undefined;
  if (target === "bun:ffi" && !inRoom(path, "lib/sys")) return "only lib/sys imports bun:ffi";
  const mayLog = path === "agent/main.ts" || inRoom(path, "agent/ui");
  return target === "consola" && !mayLog
    ? "only agent/ui and agent/main.ts import consola"
    : undefined;
});

/**
 * The commands are reached by the loaders of the command table alone, index.ts files by other
 * rooms.
 */
const imported: Rule = (files) => {
  const shipped = files.filter(isShipped);
  const targets = new Set(shipped.flatMap(({ imports }) => imports.map(({ target }) => target)));
  return shipped
    .filter(({ path }) => path !== "agent/main.ts" && !targets.has(path))
    .map(({ path }) => `${path}: nothing in agent or lib imports this file`);
};

/** Follows imports, types too; a dynamic one is a loader that runs when everything is there. */
function cycleIn(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const visit = (node: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(node)) return [...trail.slice(trail.indexOf(node)), node];
    if (done.has(node)) return undefined;
    for (const next of edges.get(node) ?? []) {
      const cycle = visit(next, [...trail, node]);
      if (cycle) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const cycle = visit(node, []);
    if (cycle) return cycle;
  }
  return undefined;
}

const cycles =
  (nodeOf: (path: string) => string, what: string): Rule =>
  (files) => {
    const edges = new Map<string, Set<string>>();
    for (const { path, imports } of files.filter(isShipped)) {
      const node = nodeOf(path);
      const targets = edges.get(node) ?? new Set();
      for (const { target, kind } of imports) {
        const isInside = inRoom(target, "agent") || inRoom(target, "lib");
        if (isInside && kind !== "dynamic" && nodeOf(target) !== node) targets.add(nodeOf(target));
      }
      edges.set(node, targets);
    }
    const cycle = cycleIn(edges);
    return cycle === undefined ? [] : [`${what} import each other: ${cycle.join(" > ")}`];
  };

const noSelfImport: Rule = perImport(({ path }, { target }) =>
  target === path ? "a file imports itself" : undefined,
);

const ownFolderNotByIndex: Rule = perImport(({ path }, { target }) =>
  basename(target) === "index.ts" && `${dirname(path)}/index.ts` === target
    ? "import a neighbour by its own name, not through the index.ts of the same folder"
    : undefined,
);

/** By what they ask for; the names stand in the test's titles. */
export const RULES: Readonly<Record<string, Rule>> = {
  "a file opens with a comment": opensWithComment,
  "a file has at most 400 lines": fileLength,
  "a line has at most 100 columns, in an aligned table 120": columns,
  "files are named in kebab-case after what they hold": fileName,
  "there are no banned words": bannedWords,
  "there is no any, enum, require, default export or export *": bannedCode,
  "index.ts holds exports by name and nothing else": indexExportsByName,
  "a function has at most 70 lines": functionLength,
  "only agent/main.ts sees argv or exits": onlyMainExits,
  "lib never prints": libNeverPrints,
  "lib never imports agent, and nothing imports tests": directions,
  "base, sys, bytes and the formats import only what is below them": lowRooms,
  "a room is imported through its index.ts": throughIndex,
  "bun:ffi stays in lib/sys, consola in agent/ui": packages,
  "every file is imported": imported,
  "no file imports itself": noSelfImport,
  "neighbours import each other by name": ownFolderNotByIndex,
  "rooms do not import each other in a circle": cycles(roomOf, "Rooms"),
  "files do not import each other in a circle": cycles((path) => path, "Files"),
};

// hook install, remove and status: from a kind's items to changes of files, and what stands there.

import { join } from "node:path";
import { RefusedError } from "../base/index.ts";
import { applyChanges, type Change, contentOf, modeOf, removeDirectories } from "./changes.ts";
import { type HookKind, type Item, itemsOf, MARKER } from "./kinds.ts";

export interface Place {
  readonly kind: HookKind;
  /** "/" but for tests and images. */
  readonly root: string;
  /** The agent that the hooks run. */
  readonly program: string;
}

export type ItemState = "in_place" | "absent" | "differs" | "foreign";
export interface ItemStatus {
  readonly path: string;
  readonly state: ItemState;
}

const MANIFEST_FOLDER = "/var/lib/agent/hooks";
const manifestPath = (kind: HookKind): string => join(MANIFEST_FOLDER, kind);
const MODE_NEW = 0o644;

/** How each item stands. foreign: somebody else's file, or line, is in its place. */
export function hookStatus({ kind, root, program }: Place): ItemStatus[] {
  return itemsOf(kind, program).map((item) => ({ path: item.path, state: stateOf(root, item) }));
}

function stateOf(root: string, item: Item): ItemState {
  const content = contentOf(root, item.path);
  if (content === undefined) return "absent";
  if (item.kind === "line") {
    const lines = content.split("\n").filter((line) => line.startsWith(item.begins));
    if (lines.length === 0) return "absent";
    return lines.every((line) => line === item.line) ? "in_place" : "foreign";
  }
  if (content === item.text) {
    return modeOf(root, item.path, 0) === item.mode ? "in_place" : "differs";
  }
  return content.includes(MARKER) ? "differs" : "foreign";
}

/** Puts all of it in place. Throws RefusedError, and then nothing has changed. */
export function installHook(place: Place): void {
  const { kind, root, program } = place;
  const items = itemsOf(kind, program);
  const inTheWay = hookStatus(place).filter(({ state }) => state === "foreign");
  if (inTheWay.length > 0) {
    const paths = inTheWay.map(({ path }) => `"${join(root, path)}"`).join(", ");
    throw new RefusedError(
      `Cannot install the ${kind} hook: ${paths} is somebody else's: take it away first, or have ` +
        "it call agent",
    );
  }
  const path = manifestPath(kind);
  const before = contentOf(root, path);
  const changes = changesOf(root, items, withItem);
  const created = changes.filter((change) => change.before === undefined);
  const lines = [
    `program ${program}`,
    ...changes.map((change) => `file ${change.path}`),
    ...wordsOf(before, "new").map((file) => `new ${file}`),
    ...created.map((change) => `new ${change.path}`),
    ...wordsOf(before, "made").map((directory) => `made ${directory}`),
  ];
  // First without the directories, so that a manifest is there whatever happens; then with them.
  const listed = `${lines.join("\n")}\n`;
  const made = applyChanges(root, [{ path, before, after: listed, mode: MODE_NEW }, ...changes]);
  const all = `${listed}${made.map((directory) => `made ${directory}\n`).join("")}`;
  applyChanges(root, [{ path, before: listed, after: all, mode: MODE_NEW }]);
}

/** The program that hooks in place were installed for. */
export const installedProgram = (kind: HookKind, root: string): string | undefined =>
  wordsOf(contentOf(root, manifestPath(kind)), "program")[0];

/** One change a path: several lines of ours may stand in one file. */
function changesOf(
  root: string,
  items: readonly Item[],
  textAfter: (item: Item, text: string | undefined) => string | undefined,
): Change[] {
  const changes = new Map<string, Change>();
  for (const item of items) {
    const { path } = item;
    const known = changes.get(path);
    const before = known === undefined ? contentOf(root, path) : known.before;
    const after = textAfter(item, known === undefined ? before : known.after);
    const found = modeOf(root, path, MODE_NEW);
    const mode = item.kind === "file" ? item.mode : found;
    const isModeWrong = before !== undefined && after !== undefined && found !== mode;
    changes.set(path, { path, before, after, mode, isModeWrong });
  }
  return [...changes.values()];
}

/** What a file with the item in it holds. */
function withItem(item: Item, text: string | undefined): string {
  if (item.kind === "file") return item.text;
  const known = text ?? "";
  if (known.split("\n").includes(item.line)) return known;
  const separator = known === "" || known.endsWith("\n") ? "" : "\n";
  return `${known}${separator}${item.line}\n`;
}

/** Takes all of it away. Returns false where nothing of it was there. */
export function removeHook(place: Place): boolean {
  const { kind, root, program } = place;
  const manifest = contentOf(root, manifestPath(kind));
  const items = itemsOf(kind, program);
  const foreign = hookStatus(place).filter(
    ({ path, state }) => state === "foreign" && wordsOf(manifest, "file").includes(path),
  );
  if (foreign.length > 0) {
    const paths = foreign.map(({ path }) => `"${join(root, path)}"`).join(", ");
    throw new RefusedError(
      `Cannot remove the ${kind} hook: ${paths} was changed and is not ours any more: take it ` +
        "away by hand",
    );
  }
  const created = wordsOf(manifest, "new");
  const changes = changesOf(root, items, (item, text) =>
    withoutItem(item, text, created.includes(item.path)),
  ).filter(({ before, after }) => before !== after);
  if (manifest !== undefined) {
    const mode = MODE_NEW;
    changes.push({ path: manifestPath(kind), before: manifest, after: undefined, mode });
  }
  applyChanges(root, changes);
  removeDirectories(root, wordsOf(manifest, "made"));
  return changes.length > 0;
}

/** What a file without the item holds. `isNew`: there was no such file before ours. */
function withoutItem(item: Item, text: string | undefined, isNew: boolean): string | undefined {
  if (text === undefined) return undefined;
  if (item.kind === "file") return text.includes(MARKER) ? undefined : text;
  const lines = text.split("\n").filter((line) => line !== item.line);
  return isNew && lines.every((line) => line === "") ? undefined : lines.join("\n");
}

// ---- The manifest: "program", "file", "new" and "made" lines, much as install.sh writes them ----

const wordsOf = (manifest: string | undefined, word: string): string[] =>
  (manifest ?? "")
    .split("\n")
    .filter((line) => line.startsWith(`${word} `))
    .map((line) => line.slice(word.length + 1));

// The project's source files as tidy rules see them: text, code without comments and strings,
// imports.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

export const ROOT = join(import.meta.dir, "../..");

export interface Import {
  /** "../base/index.ts" becomes "lib/base/index.ts"; packages and node: modules keep their name. */
  readonly target: string;
  readonly kind: "value" | "type" | "dynamic";
  readonly line: number;
}

export interface SourceFile {
  /** Relative to the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** The same lines with comments and the insides of strings as spaces. */
  readonly code: readonly string[];
  readonly imports: readonly Import[];
}

export function sourceFile(path: string, text: string): SourceFile {
  const code = mask(text, { strings: true });
  const imports = importsOf(path, mask(text, { strings: false }), code);
  return { path, text, lines: text.split("\n"), code: code.split("\n"), imports };
}

/** Every .ts file under the given folders and files. */
export function sourceFiles(...roots: readonly string[]): SourceFile[] {
  const paths = roots.flatMap((root) => {
    if (root.endsWith(".ts")) return [root];
    const entries = readdirSync(join(ROOT, root), { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
      .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
  });
  return paths.sort().map((path) => sourceFile(path, readFileSync(join(ROOT, path), "utf8")));
}

const IMPORT = /\b(import|export)\b([^"';]*?)\bfrom\s*"([^"]+)"|\bimport\s*(\()?\s*"([^"]+)"/g;

function importsOf(path: string, text: string, code: string): Import[] {
  const matches = [...text.matchAll(IMPORT)];
  // In the code a word that stands in a string is blank.
  return matches
    .filter(({ index }) => code[index] !== " ")
    .map((match) => {
      const [, , clause, from, parenthesis, bare] = match;
      const target = from ?? bare ?? "";
      return {
        target: target.startsWith(".") ? normalize(join(dirname(path), target)) : target,
        kind:
          parenthesis === "("
            ? "dynamic"
            : /^\s+type\b(?!\s*,)/.test(clause ?? "")
              ? "type"
              : "value",
        line: text.slice(0, match.index).split("\n").length,
      };
    });
}

/** A slash behind one of these begins a regular expression, not a division. */
const BEFORE_EXPRESSION = /(?:[([{,;=:?!&|+\-*%<>~^}]|\breturn|\btypeof|\bcase|^)\s*$/;

/**
 * `text` with comments, and on request the insides of strings and regular expressions, as spaces.
 * Line breaks stay where they are.
 */
export function mask(text: string, hide: { readonly strings: boolean }): string {
  let out = "";
  let at = 0;
  /** For each template we are inside of: how deep in braces its ${} stands. */
  const templates: number[] = [];
  const blank = (end: number, isHidden: boolean): void => {
    const part = text.slice(at, end);
    out += isHidden ? part.replaceAll(/[^\n]/g, " ") : part;
    at = end;
  };
  const string = (from: number, end: number): void => {
    blank(from, false);
    blank(Math.max(from, end - 1), hide.strings);
    blank(end, false);
  };
  /** From inside a template to its end, or to the brace of the next ${. */
  const templatePart = (): void => {
    const end = endOf(text, at, /`|\$\{/);
    blank(Math.max(at, end - (text[end - 1] === "`" ? 1 : 2)), hide.strings);
    if (text[end - 1] === "{") templates.push(0);
    blank(end, false);
  };
  while (at < text.length) {
    const rest = text.slice(at, at + 2);
    const depth = templates.at(-1);
    if (rest === "//") blank(indexOrEnd(text, "\n", at), true);
    else if (rest === "/*") blank(indexOrEnd(text, "*/", at + 2) + 2, true);
    else if (text[at] === '"' || text[at] === "'") {
      string(at + 1, endOf(text, at + 1, text[at] === '"' ? /"/ : /'/));
    } else if (
      text[at] === "/" &&
      BEFORE_EXPRESSION.test(out.slice(-40).split("\n").at(-1) ?? "")
    ) {
      string(at + 1, endOf(text, at + 1, /\//, { isRegExp: true }));
    } else if (text[at] === "`") {
      blank(at + 1, false);
      templatePart();
    } else if (text[at] === "}" && depth === 0) {
      templates.pop();
      blank(at + 1, false);
      templatePart();
    } else {
      if (depth !== undefined && text[at] === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && text[at] === "}") templates[templates.length - 1] = depth - 1;
      blank(at + 1, false);
    }
  }
  return out;
}

const indexOrEnd = (text: string, mark: string, from: number): number => {
  const index = text.indexOf(mark, from);
  return index === -1 ? text.length : index;
};

/** Behind the next match of `mark` that no backslash escapes, or the end of the text. */
function endOf(text: string, from: number, mark: RegExp, syntax = { isRegExp: false }): number {
  const pattern = new RegExp(
    `\\\\[^]|${syntax.isRegExp ? "\\[(?:\\\\.|[^\\]])*\\]|" : ""}${mark.source}`,
    "g",
  );
  pattern.lastIndex = from;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    if (!match[0].startsWith("\\") && !match[0].startsWith("["))
      return match.index + match[0].length;
  }
  return text.length;
}

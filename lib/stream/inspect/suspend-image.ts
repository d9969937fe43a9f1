// The Xenops record of a suspend image: an S-expression of time, word_size, the VM's metadata and
// the guest's xenstore subtree. It is untrusted: its depth and the number of its atoms are bounded.

import type { InspectSuspendImage } from "./report-state.ts";
import { printable, type WholeBody } from "./whole-body.ts";
import type { Xenstore } from "./xenstore.ts";

const DEPTH_MAX = 64;
const NODES_MAX = 65_536;

/** An atom, or a list. */
export type Sexp = string | readonly Sexp[];

export function readSuspendImage({ bytes }: WholeBody, xenstore: Xenstore): InspectSuspendImage {
  const root = parseSexp(new TextDecoder().decode(bytes));
  const time = field(root, "time");
  const words = field(root, "word_size");
  const vm = field(root, "vm_str");
  for (const pair of list(field(root, "xs_subtree"))) {
    const [key, value] = list(pair);
    if (typeof key === "string" && typeof value === "string") {
      xenstore.add(escape(key), escape(value));
    }
  }
  return {
    time: typeof time === "string" ? escape(time) : null,
    word_size: typeof words === "string" ? escape(words) : null,
    vm: typeof vm === "string" ? vm : null,
  };
}

const escape = (text: string): string => printable(new TextEncoder().encode(text));

const list = (value: Sexp | undefined): readonly Sexp[] =>
  value === undefined || typeof value === "string" ? [] : value;

/** `(name value)` in the list; an option stands as `(name (value))`. */
function field(root: Sexp | undefined, name: string): Sexp | undefined {
  const entry = list(root).find((row) => list(row)[0] === name);
  const value = list(entry)[1];
  if (name === "xs_subtree" || typeof value === "string") return value;
  const [only] = list(value);
  return typeof only === "string" ? only : value;
}

/** undefined where it is none, or too deep. */
export function parseSexp(text: string): Sexp | undefined {
  const token = /\s*(?:([()])|"((?:[^"\\]|\\[^])*)"|([^\s()"]+))/y;
  const root: Sexp[] = [];
  const open: Sexp[][] = [root];
  for (let nodes = 0; nodes < NODES_MAX; nodes++) {
    const match = token.exec(text);
    const top = open.at(-1);
    if (match === null || top === undefined) break;
    const [, parenthesis, quoted, atom] = match;
    if (parenthesis === "(") {
      const inner: Sexp[] = [];
      top.push(inner);
      open.push(inner);
      if (open.length > DEPTH_MAX) return undefined;
    } else if (parenthesis === ")") {
      if (open.length === 1) return undefined;
      open.pop();
    } else {
      top.push(quoted === undefined ? (atom ?? "") : unquote(quoted));
    }
  }
  return root[0];
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", b: "\b" };

/** OCaml's escapes: \n, \t, \", \\, \065 in decimal, \x41, and a line that goes on. */
const unquote = (text: string): string =>
  text.replace(/\\(?:([0-9]{3})|x([0-9a-fA-F]{2})|\n[ \t]*|([^]))/g, (_, decimal, hex, letter) => {
    if (decimal !== undefined) return String.fromCharCode(Number.parseInt(decimal, 10) & 0xff);
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return letter === undefined ? "" : (ESCAPES[letter] ?? letter);
  });

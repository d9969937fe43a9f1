// Where something stands in a JSON text. The runtime's parser does not tell at which character it
// gave up, and a schema only the names on the way to a wrong value; this walk finds both. It runs
// when there is an error to be told, and then once.

export type JsonPath = readonly (string | number)[];

export type JsonPlace =
  | { readonly kind: "found"; readonly at: number }
  | { readonly kind: "broken"; readonly at: number }
  | { readonly kind: "absent" };

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;

interface Open {
  readonly isArray: boolean;
  /** The member being read: its name, or its number from 0. */
  key: string | number;
}

/**
 * The place, counted in characters, of the value at `path`, or of the first mistake before it;
 * without a path only a mistake is looked for.
 */
export function findInJson(text: string, path: JsonPath | undefined): JsonPlace {
  const walk = new JsonWalk(text);
  const open: Open[] = [];
  for (;;) {
    walk.match(SPACE);
    const { at } = walk;
    if (path !== undefined && isPath(open, path)) return { kind: "found", at };
    const opener = walk.one("{[");
    if (opener !== undefined) {
      const isArray = opener === "[";
      walk.match(SPACE);
      if (walk.one(isArray ? "]" : "}") === undefined) {
        const key = isArray ? 0 : walk.name();
        if (key === undefined) return { kind: "broken", at: walk.at };
        open.push({ isArray, key });
        continue;
      }
    } else if (walk.match(STRING) === undefined && walk.match(SCALAR) === undefined) {
      return { kind: "broken", at };
    }
    const isMore = nextMember(walk, open);
    if (isMore === "broken") return { kind: "broken", at: walk.at };
    if (isMore === "end") return { kind: "absent" };
  }
}

/** Behind a value: closes what ends here, and steps to the next member of what is still open. */
function nextMember(walk: JsonWalk, open: Open[]): "member" | "end" | "broken" {
  for (;;) {
    walk.match(SPACE);
    const inner = open.at(-1);
    if (inner === undefined) return walk.isAtEnd() ? "end" : "broken";
    if (walk.one(inner.isArray ? "]" : "}") !== undefined) {
      open.pop();
      continue;
    }
    if (walk.one(",") === undefined) return "broken";
    walk.match(SPACE);
    const key = typeof inner.key === "number" ? inner.key + 1 : walk.name();
    if (key === undefined) return "broken";
    inner.key = key;
    return "member";
  }
}

const isPath = (open: readonly Open[], path: JsonPath): boolean =>
  open.length === path.length && open.every(({ key }, index) => key === path[index]);

class JsonWalk {
  at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  /** One of these characters. */
  one(of: string): string | undefined {
    const character = this.text[this.at];
    if (character === undefined || !of.includes(character)) return undefined;
    this.at++;
    return character;
  }

  /** A member's name and its colon. */
  name(): string | undefined {
    const start = this.at;
    const quotedName = this.match(STRING);
    if (quotedName === undefined) return undefined;
    this.match(SPACE);
    if (this.one(":") !== undefined) return JSON.parse(quotedName) as string;
    this.at = start;
    return undefined;
  }

  isAtEnd(): boolean {
    return this.at === this.text.length;
  }
}

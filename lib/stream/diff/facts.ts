// What is known of one guest's state, as text under names: facts[group][name]. Two of these are
// compared without knowing what any of it means.

/** Far more than any guest has; a hostile stream could name new things for ever. */
const FACTS_MAX = 100_000;
const VALUE_LENGTH_MAX = 1000;

/** The name of a fact about bytes that have no names: told of where nothing else differs. */
export const CONTENTS = "contents";

export type Group = ReadonlyMap<string, string>;

export class Facts {
  leftOff = 0;
  private count = 0;
  private readonly groups = new Map<string, Map<string, string>>();

  set(group: string, name: string, value: string): void {
    let rows = this.groups.get(group);
    if (rows?.has(name) !== true && ++this.count > FACTS_MAX) {
      this.leftOff++;
      return;
    }
    if (rows === undefined) {
      rows = new Map();
      this.groups.set(group, rows);
    }
    const isLong = value.length > VALUE_LENGTH_MAX;
    rows.set(name, isLong ? `${value.slice(0, VALUE_LENGTH_MAX)}...` : value);
  }

  setAll(group: string, rows: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(rows)) this.set(group, name, value);
  }

  group(name: string): Group | undefined {
    return this.groups.get(name);
  }

  get names(): string[] {
    return [...this.groups.keys()];
  }
}

/** Bytes as something to compare: how many and a part of their hash. */
export const digestOf = (bytes: Uint8Array): string =>
  digestText(bytes.byteLength, new Bun.CryptoHasher("sha256").update(bytes));

export const digestText = (bytes: number, hasher: Bun.CryptoHasher): string =>
  `${bytes} bytes, sha256 ${hasher.digest("hex").slice(0, 16)}`;

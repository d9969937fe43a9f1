// Expected lines that are kept in a file of test/golden, because they are many or long: sections
// of "== title" and lines. They change only under GOLDEN=update (bun test of the whole test file),
// and then every change is to be read.

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "./source-files.ts";

const isUpdate = process.env.GOLDEN === "update";
const HEAD = "== ";

export interface GoldenFile {
  /** Announces a section, while tests are defined. */
  announce(title: string): void;
  /** The lines of that section must be these. */
  expectLines(title: string, lines: readonly string[]): void;
  /** Defines a test: the file has no section that nobody announced. */
  testNothingElse(): void;
}

/** `name` is relative to test/golden, without its ending. */
export function goldenFile(name: string): GoldenFile {
  const path = join(ROOT, "test/golden", `${name}.txt`);
  const sections = isUpdate ? new Map<string, readonly string[]>() : readSections(path);
  const announced = new Set<string>();
  return {
    announce(title) {
      if (announced.has(title)) throw new Error(`Two rows are called "${title}"`);
      announced.add(title);
    },
    expectLines(title, lines) {
      if (isUpdate) {
        sections.set(title, lines);
        writeSections(path, sections);
      }
      expect(lines).toEqual([...(sections.get(title) ?? [`${name}.txt has no "${title}"`])]);
    },
    testNothingElse() {
      test(`${name}.txt has a section for each row and no other`, () => {
        expect([...sections.keys()]).toEqual([...announced]);
      });
    },
  };
}

function readSections(path: string): Map<string, readonly string[]> {
  const sections = new Map<string, readonly string[]>();
  if (!existsSync(path)) return sections;
  for (const text of readFileSync(path, "utf8").split(`\n${HEAD}`)) {
    const [title = "", ...lines] = text.replace(/\n$/, "").split("\n");
    sections.set(title.startsWith(HEAD) ? title.slice(HEAD.length) : title, lines);
  }
  return sections;
}

function writeSections(path: string, sections: ReadonlyMap<string, readonly string[]>): void {
  mkdirSync(dirname(path), { recursive: true });
  const blocks = [...sections].map(([title, lines]) => [`${HEAD}${title}`, ...lines].join("\n"));
  writeFileSync(path, `${blocks.join("\n")}\n`);
}

// What a run of the tests really did, from the JUnit report that bun test leaves. Its exit status
// alone is not enough: a test that calls process.exit(0) ends the run with 0, and then there is no
// report.

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /**
   * A line for each failure, each file without a result, and each test that must not be skipped.
   */
  readonly problems: readonly string[];
  /** A line for each test that was skipped for a reason we accept. */
  readonly notes: readonly string[];
}

interface Wanted {
  /** Every test file, as the report names it: a file without a result has failed. */
  readonly files: readonly string[];
  readonly acceptedSkips: readonly RegExp[];
}

const TEST_CASE = /<testcase ([^>]*?)(?:\/>|>([^]*?)<\/testcase>)/g;

/** `report` is undefined where the run left none. */
export function verdictOf(report: string | undefined, { files, acceptedSkips }: Wanted): Verdict {
  const problems: string[] = [];
  const notes: string[] = [];
  const filesSeen = new Set<string>();
  let passed = 0;
  let skipped = 0;
  for (const [, attributes = "", content = ""] of (report ?? "").matchAll(TEST_CASE)) {
    const file = attribute(attributes, "file");
    const names = ["classname", "name"].map((name) => attribute(attributes, name));
    const title = `${file}: ${names.join(" > ")}`;
    filesSeen.add(file);
    if (/<(failure|error)\b/.test(content)) problems.push(`failed: ${title}`);
    else if (!content.includes("<skipped")) passed++;
    else if (acceptedSkips.some((pattern) => pattern.test(title))) skipped = notes.push(title);
    else problems.push(`must not be skipped here: ${title}`);
  }
  for (const file of files) {
    if (!filesSeen.has(file)) problems.push(`has no result: ${file}`);
  }
  return { passed, failed: problems.length, skipped, problems, notes };
}

/** The last line of a run. */
export const summaryLine = ({ passed, failed, skipped }: Verdict): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;

const ENTITIES: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  amp: "&",
};

function attribute(attributes: string, name: string): string {
  const value = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return value
    .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, entity: string) => ENTITIES[entity] ?? "");
}

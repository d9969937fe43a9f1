// Finds real captures for tests, uncompressed.
//
// The captures are too large for the repository. They are looked for in the folder "captures" of
// $AGENT_TEST_STREAMS, or of ../shared/streams beside the repository. A test that needs one and
// does not find it counts as skipped and says why:
// `test.skipIf(path === undefined)(captureTitle(title, path), ...)`.

import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { renameSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const REPOSITORY = resolve(import.meta.dir, "../..");

/** The folder that was looked at, for the reason of a skipped test. */
export const CAPTURES_FOLDER = join(
  resolve(REPOSITORY, process.env.AGENT_TEST_STREAMS ?? "../shared/streams"),
  "captures",
);

/** The path of an uncompressed copy of one capture; undefined where there is no such capture. */
export function capturePath(name: string): string | undefined {
  const plain = join(CAPTURES_FOLDER, name);
  const packed = `${plain}.zst`;
  const source = [plain, packed].find((candidate) => existsSync(candidate));
  if (source === undefined) return undefined;

  // The name holds the size and time of the source, so that a newer capture replaces its copy.
  const { size, mtimeMs } = statSync(source);
  const cache = join(tmpdir(), `agent-captures-${process.getuid?.() ?? 0}`);
  const copy = join(cache, `${Math.floor(mtimeMs)}-${size}-${name}`);
  if (existsSync(copy)) return copy;

  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const partial = `${copy}.${process.pid}.partial`; // Renamed when whole: test runs may overlap.
  if (source === plain) copyFileSync(source, partial);
  else writeFileSync(partial, Bun.zstdDecompressSync(readFileSync(source)));
  renameSync(partial, copy);
  return copy;
}

/** A test's title, with the reason where it is skipped. */
export const captureTitle = (title: string, path: string | undefined): string =>
  path === undefined ? `${title} (skipped: no such capture in ${CAPTURES_FOLDER})` : title;

// The compiled binary, for tests that need the product itself: built once, shared by all test
// files.

import { closeSync, existsSync, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT, sourceFiles } from "./source-files.ts";

const BINARY = join(ROOT, "dist/agent");
const LOCK = join(ROOT, "dist/build.lock");
/** A build takes two seconds; a lock that is older was left by a test run that died. */
const LOCK_AGE_MS_MAX = 60_000;

/** The path of dist/agent, built from the sources as they are now. */
export function builtBinary(): string {
  if (isKnownFresh || isFresh()) return known();
  mkdirSync(join(ROOT, "dist"), { recursive: true });
  while (!takeLock()) Bun.sleepSync(100);
  try {
    if (!isFresh()) {
      const { exitCode, stderr } = Bun.spawnSync([process.execPath, "build.ts"], { cwd: ROOT });
      if (exitCode !== 0) throw new Error(`Cannot build for the tests:\n${stderr}`);
    }
  } finally {
    rmSync(LOCK, { force: true });
  }
  return known();
}

/** Looking through the sources takes longer than most tests: once a test file is enough. */
let isKnownFresh = false;
function known(): string {
  isKnownFresh = true;
  return BINARY;
}

function isFresh(): boolean {
  if (!existsSync(BINARY)) return false;
  const builtMs = statSync(BINARY).mtimeMs;
  const inputs = [
    ...sourceFiles("agent", "lib", "build.ts").map(({ path }) => path),
    "package.json",
  ];
  return inputs.every((path) => statSync(join(ROOT, path)).mtimeMs < builtMs);
}

function takeLock(): boolean {
  try {
    closeSync(openSync(LOCK, "wx"));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const age = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (age > LOCK_AGE_MS_MAX) rmSync(LOCK, { force: true });
    return false;
  }
}

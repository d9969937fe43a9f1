// The echo server as a binary, and links to it under the names of bad ones.

import { existsSync, linkSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT, sourceFiles } from "./source-files.ts";

const BINARY = join(ROOT, "dist/echo-server");

/** The path of the compiled echo server, as its sources are now. */
export function echoBinary(): string {
  const inputs = sourceFiles("lib", "test/helpers").map(({ path }) => join(ROOT, path));
  const builtMs = statSync(BINARY, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (inputs.every((path) => statSync(path).mtimeMs < builtMs)) return BINARY;
  mkdirSync(join(ROOT, "dist"), { recursive: true });
  const source = join(ROOT, "test/helpers/programs/echo-server.ts");
  const flags = ["--compile", "--bytecode", "--format=esm", "--outfile", BINARY];
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "build", ...flags, source]);
  if (exitCode !== 0) throw new Error(`Cannot build the echo server:\n${stderr}`);
  return BINARY;
}

/** The same bytes under another name, by which it is a bad program. */
export function badEcho(folder: string, behaviour: string): string {
  const path = join(folder, `echo-${behaviour}`);
  if (!existsSync(path)) linkSync(echoBinary(), path);
  return path;
}

// Executes itself once with two of its descriptors kept; a third one that was left open for exec is
// reported as a stranger.

import { writeSync } from "node:fs";
import {
  cleanEnvironment,
  createMemfd,
  descriptorLimit,
  descriptorTarget,
  keepOnExec,
  keepOnlyOnExec,
  openDescriptorNumbers,
  replaceProgram,
} from "../../../lib/sys/index.ts";

const say = (answer: unknown): void => void writeSync(1, `${JSON.stringify(answer)}\n`);

if (process.argv[2] === "second") {
  const memoryFiles = openDescriptorNumbers()
    .map(descriptorTarget)
    .filter((target) => target.startsWith("/memfd:"));
  say({
    memoryFiles: memoryFiles.toSorted(),
    isLimited: descriptorLimit().soft <= descriptorLimit().hard,
  });
} else {
  const kept = [createMemfd("kept"), createMemfd("kept-too")];
  keepOnExec(createMemfd("stranger"));
  const strangers = keepOnlyOnExec(new Set(kept.map(({ number }) => number)));
  say({ strangers: strangers.map(descriptorTarget) });
  const argv = [process.execPath, import.meta.path, "second"];
  replaceProgram(process.execPath, { argv, environment: cleanEnvironment(process.env) });
}

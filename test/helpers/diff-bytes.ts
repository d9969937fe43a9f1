// Compares streams within the test's own process.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  compareSides,
  type DiffReport,
  readSideA,
  readSideB,
} from "../../lib/stream/diff/index.ts";
import { storedPath } from "./squash-bytes.ts";
import { encode, type StreamPlan } from "./stream-plan.ts";
import { temporaryFolder } from "./temporary.ts";

const OPTIONS = { format: undefined, at: undefined, onSpooled: () => undefined };

export async function diffPaths(a: string, b: string): Promise<DiffReport> {
  using left = storedPath(a, { name: "A" });
  using right = storedPath(b, { name: "B" });
  const sides = [await readSideA(left, OPTIONS), await readSideB(right, OPTIONS)] as const;
  return compareSides(...sides, { onCompared: () => undefined });
}

export async function diffBytes(a: Uint8Array, b: Uint8Array): Promise<DiffReport> {
  using folder = temporaryFolder();
  const [left, right] = [join(folder.path, "a"), join(folder.path, "b")];
  writeFileSync(left, a);
  writeFileSync(right, b);
  return await diffPaths(left, right);
}

export const diffPlans = (a: StreamPlan, b: StreamPlan): Promise<DiffReport> =>
  diffBytes(encode(a).bytes, encode(b).bytes);

/** `vcpu 0 rip: 0x0 -> 0x10` */
export const differenceLines = ({ state }: DiffReport): string[] =>
  state.map(({ group, name, a, b }) => `${group} ${name}: ${a ?? "none"} -> ${b ?? "none"}`);

// A probe tries one thing we rely on, for real. It returns what it found, and throws when it does
// not hold.

import { RefusedError, SystemError } from "../base/index.ts";

export type ProbeGroup = "runtime" | "kernel" | "process" | "stream";

export interface Probe {
  readonly group: ProbeGroup;
  /** snake_case: a word of the JSON document. */
  readonly name: string;
  /** Returns a few words for the report; throws when the probe fails. */
  run(): string | Promise<string>;
}

export interface ProbeResult {
  readonly group: ProbeGroup;
  readonly name: string;
  readonly passed: boolean;
  /** What was found, or the message of the failure. */
  readonly detail: string;
}

/** Runs the probes one after the other; a failing one does not keep the next from running. */
export async function runProbes(probes: readonly Probe[]): Promise<ProbeResult[]> {
  const results: ProbeResult[] = [];
  // oxlint-disable no-await-in-loop -- they share the process: signals, limits, descriptors.
  for (const probe of probes) results.push(await runProbe(probe));
  return results;
}

async function runProbe({ group, name, run }: Probe): Promise<ProbeResult> {
  try {
    return { group, name, passed: true, detail: await run() };
  } catch (error) {
    // Whatever it is, it is the finding: a check must tell all it can, our own mistakes included.
    const detail = error instanceof Error ? error.message : String(error);
    return { group, name, passed: false, detail };
  }
}

/** For a behaviour that is not as wanted. */
export function expect(what: string, { wanted, found }: { wanted: unknown; found: unknown }): void {
  if (Object.is(wanted, found)) return;
  throw new RefusedError(`${what}: wanted ${String(wanted)}, found ${String(found)}`);
}

/** The errno name that `attempt` fails with; "none" if it succeeds. */
export function failureOf(attempt: () => unknown): string {
  try {
    attempt();
    return "none";
  } catch (error) {
    if (error instanceof SystemError) return error.failure.code;
    if (error instanceof Error && "code" in error) return String(error.code); // Of node:fs.
    throw error;
  }
}

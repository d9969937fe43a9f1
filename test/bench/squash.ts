// What `agent squash` takes against cp of the bytes that come out, alone and with the disk waited
// for, which squash always does; and its memory and that of `agent diff`. The stream is a live one
// of five passes.

import { rmSync } from "node:fs";
import { PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import { writeBigStream } from "./big-stream.ts";
import { NO_INPUT, type Pairs, type Runner } from "./runner.ts";

const PASSES = 5;
/** What the passes behind the first one add: 1/4, 1/8, 1/16 and 1/32 of the memory. */
const PASSES_SHARE = 1 + 15 / 32;
const STEP_BYTES = 4 * 1024 * 1024;
const MEMORY_KIB_MAX = 48 * 1024;
const PFN_BYTES = 10;

export interface SquashBench {
  readonly runner: Runner;
  readonly agent: string;
  readonly place: (name: string) => string;
  /** Of the whole stream. */
  readonly streamBytes: number;
  readonly pairs: number;
}

export interface SquashPairs {
  readonly what: string;
  readonly pairs: Pairs;
  readonly wanted: { readonly least: number };
}

export interface SquashMemory {
  readonly what: string;
  readonly ownKib: number;
  readonly mostKib: number;
}

export interface SquashFigures {
  readonly throughput: readonly SquashPairs[];
  readonly memory: readonly SquashMemory[];
}

export function squashFigures(bench: SquashBench): SquashFigures {
  const { runner, agent, place, streamBytes, pairs } = bench;
  const [live, reference] = [place("live"), place("squashed")];
  const [ours, theirs] = [place("out-ours"), place("out-theirs")];
  const steps = Math.max(1, Math.floor(streamBytes / PASSES_SHARE / STEP_BYTES));
  const memoryBytes = steps * STEP_BYTES;
  writeBigStream(live, { memoryBytes, contents: "written", passes: PASSES });
  const squash = [agent, "squash", "--quiet", live, "--to"];
  const { exitCode, stderr } = Bun.spawnSync([...squash, reference]);
  if (exitCode !== 0) throw new Error(`Cannot squash ${live}: ${stderr}`);
  const against = (what: string, script: string): SquashPairs => ({
    what: `throughput of squash, a live stream of ${PASSES} passes, against ${what}`,
    // Each writes over its own output of the time before.
    pairs: runner.pairs(pairs, {
      ours: [...squash, ours],
      peer: ["sh", "-c", script, reference, theirs],
      input: NO_INPUT,
    }),
    wanted: { least: 0.7 },
  });
  const mostKib = MEMORY_KIB_MAX + ((memoryBytes / PAGE_BYTES) * PFN_BYTES) / 1024;
  const memory = (what: string, command: readonly string[]): SquashMemory => ({
    what: `peak memory of ${what}, a live stream, against 48 MiB and ten bytes a pfn`,
    ownKib: runner.memory([...command], NO_INPUT).ownKib,
    mostKib,
  });
  const found = {
    throughput: [
      against("cp of what comes out", 'cp "$0" "$1"'),
      against("cp and sync of what comes out", 'cp "$0" "$1" && sync "$1"'),
    ],
    memory: [memory("squash", [...squash, ours]), memory("diff", [agent, "diff", live, reference])],
  };
  for (const path of [live, reference, ours, theirs]) rmSync(path, { force: true });
  return found;
}

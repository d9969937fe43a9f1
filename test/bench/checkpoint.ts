// What `agent checkpoint receive` takes, with every commit on the disk, against dd of the same
// bytes from the same kind of pipe that syncs as often; its memory; what restoring takes against
// cp; and how long it is until a receiver that was killed has its folder again.

import { rmSync } from "node:fs";
import { PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import { writeRemusStream } from "./big-stream.ts";
import { NO_INPUT, type Pairs, type Runner } from "./runner.ts";

const CHECKPOINTS = 100;
/** 8 MiB each: a busy guest at five checkpoints a second writes 40 MiB a second. */
const CHANGED_PAGES = 2048;
const MEMORY_KIB_MAX = 64 * 1024;
const PFN_BYTES = 10;

export interface CheckpointBench {
  readonly runner: Runner;
  readonly agent: string;
  readonly place: (name: string) => string;
  /** Of the guest, a multiple of 4 MiB. */
  readonly memoryBytes: number;
  readonly pairs: number;
}

export interface CheckpointPairs {
  readonly what: string;
  readonly pairs: Pairs;
  readonly kind: "throughput" | "time";
  readonly wanted: { readonly least: number } | { readonly most: number };
}

export interface CheckpointMemory {
  readonly what: string;
  readonly ownKib: number;
  readonly mostKib: number;
}

export interface CheckpointFigures {
  readonly pairs: readonly CheckpointPairs[];
  readonly memory: CheckpointMemory;
}

const RECEIVE = 'rm -rf "$1"; "$0" checkpoint receive --to "$1" --no-banner --quiet';
const DD = `rm -f "$0"; : >"$0"; file=$0
flags="iflag=fullblock,count_bytes oflag=append conv=fsync,notrunc status=none"
for bytes in "$@"; do dd bs=1M count="$bytes" $flags of="$file"; done`;

export function checkpointFigures(bench: CheckpointBench): CheckpointFigures {
  const { runner, agent, place, memoryBytes, pairs } = bench;
  const [stream, folder, out] = [place("remus"), place("points"), place("remus-out")];
  const changedPages = Math.min(CHANGED_PAGES, memoryBytes / PAGE_BYTES / 4);
  const ends = writeRemusStream(stream, { memoryBytes, checkpoints: CHECKPOINTS, changedPages });
  const sizes = ends.map((end, index) => String(end - (ends[index - 1] ?? 0)));
  const input = { feed: "write", path: stream } as const;
  const received: CheckpointPairs = {
    what: "throughput of checkpoint receive, a pipe, against dd conv=fsync for each checkpoint",
    kind: "throughput",
    pairs: runner.pairs(Math.ceil(pairs / 2), {
      ours: ["sh", "-c", RECEIVE, agent, folder],
      peer: ["sh", "-c", DD, out, ...sizes],
      input,
    }),
    wanted: { least: 0.7 },
  };
  rmSync(out, { force: true });
  rmSync(folder, { recursive: true, force: true });
  const receive = [agent, "checkpoint", "receive", "--to", folder, "--no-banner", "--quiet"];
  const { ownKib } = runner.memory(receive, input);
  rmSync(folder, { recursive: true, force: true });
  runOnce([...receive, "--keep", String(CHECKPOINTS)], stream);
  rmSync(stream);
  const found = [received, ...restorePairs(bench, folder), recoveryPairs(bench, folder)];
  rmSync(folder, { recursive: true });
  const mostKib = MEMORY_KIB_MAX + ((memoryBytes / PAGE_BYTES) * PFN_BYTES) / 1024;
  const what = "peak memory of checkpoint receive, a pipe, against 64 MiB and ten bytes a pfn";
  return { pairs: found, memory: { what, ownKib, mostKib } };
}

function restorePairs({ runner, agent, place, pairs }: CheckpointBench, folder: string) {
  const [image, reference] = [place("point"), place("point-reference")];
  const restore = [agent, "checkpoint", "restore", folder, "--quiet", "--to"];
  runOnce([...restore, reference], undefined);
  const against = (name: string, script: string): CheckpointPairs => ({
    what: `throughput of checkpoint restore, the last point, against ${name}`,
    kind: "throughput",
    // Each writes over its own output of the time before.
    pairs: runner.pairs(pairs, {
      ours: [...restore, image],
      peer: ["sh", "-c", script, reference, `${image}-copy`],
      input: NO_INPUT,
    }),
    wanted: { least: 0.7 },
  });
  const found = [
    against("cp of its size", 'cp "$0" "$1"'),
    against("cp and sync of its size", 'cp "$0" "$1" && sync "$1"'),
  ];
  for (const path of [image, `${image}-copy`, reference]) rmSync(path);
  return found;
}

/** No stream comes: what is left is the start, and the folder made ready. */
const RECOVER = '"$0" checkpoint receive --to "$1" --quiet 2>/dev/null; test $? = 3';

const recoveryPairs = (bench: CheckpointBench, folder: string): CheckpointPairs => ({
  what: `time of recovery on start, ${CHECKPOINTS} checkpoints, against a second`,
  kind: "time",
  pairs: bench.runner.pairs(Math.ceil(bench.pairs / 3), {
    ours: ["sh", "-c", RECOVER, bench.agent, folder],
    peer: ["sleep", "1"],
    input: NO_INPUT,
  }),
  wanted: { most: 1 },
});

function runOnce(command: readonly string[], input: string | undefined): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], {
    stdin: input === undefined ? "ignore" : Bun.file(input),
  });
  if (exitCode === 0) return;
  throw new Error(`Cannot measure ${command.join(" ")}: it ended with ${exitCode}: ${stderr}`);
}

// What `agent unpack` takes against zstd -d of the same stream, both into a pipe as for xl restore.
// The contents are those of a program, so that they compress as a guest's memory does.

import { readFileSync, rmSync } from "node:fs";
import { writeBigStream } from "./big-stream.ts";
import { NO_INPUT, type Pairs, type Runner } from "./runner.ts";

const WANTED = { least: 0.8 } as const;

export interface PackBench {
  readonly runner: Runner;
  readonly agent: string;
  readonly place: (name: string) => string;
  readonly memoryBytes: number;
  readonly pairs: number;
}

export interface PackFigure {
  readonly what: string;
  readonly pairs: Pairs;
  readonly wanted: typeof WANTED;
}

export function packFigure({ runner, agent, place, memoryBytes, pairs }: PackBench): PackFigure {
  const [stream, packed, pressed] = [place("guest"), place("guest.pak"), place("guest.zst")];
  writeBigStream(stream, { memoryBytes, contents: { program: readFileSync(agent) } });
  must([agent, "pack", "--quiet", stream, "--to", packed]);
  must(["zstd", "-q", "-3", stream, "-o", pressed]);
  const found = runner.pairs(pairs, {
    ours: ["sh", "-c", '"$0" unpack -q "$1" --to - | cat >/dev/null', agent, packed],
    peer: ["sh", "-c", 'zstd -dcq "$0" | cat >/dev/null', pressed],
    input: NO_INPUT,
  });
  for (const path of [stream, packed, pressed]) rmSync(path, { force: true });
  return {
    what: "throughput of unpack into a pipe, against zstd -d",
    pairs: found,
    wanted: WANTED,
  };
}

function must(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command]);
  if (exitCode !== 0) throw new Error(`Cannot run ${command.join(" ")}: ${stderr}`);
}

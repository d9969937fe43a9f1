// Runs programs under run-pairs.c, which measures them from outside, and makes ratios of it. A
// ratio of two programs that ran in turns, a moment apart, holds on a busy machine too: both were
// slowed alike. The median of many such ratios is what a bench reports.

import { join } from "node:path";

export type Feed = "none" | "write" | "splice";

export interface Input {
  /** What fills the pipe that is standard input; none: it is /dev/null. */
  readonly feed: Feed;
  /** The file that the pipe is filled with. */
  readonly path: string;
}
export const NO_INPUT: Input = { feed: "none", path: "/dev/null" };

export interface Pairs {
  readonly oursMs: number;
  readonly peerMs: number;
  /** Time of ours over time of the peer, one for each pair, in order of size. */
  readonly ratios: readonly number[];
  readonly ratio: number;
}

export interface Memory {
  /** The most memory that was its own at once: see peakOwnKib. */
  readonly ownKib: number;
}

export class Runner {
  private readonly runPairs: string;
  private readonly environment: Record<string, string>;

  /** Compiles what it needs into `folder`. */
  constructor(folder: string, environment: Record<string, string>) {
    this.runPairs = compileC("run-pairs", folder);
    this.environment = environment;
  }

  /** Each command `count` times, in turns, after one run of each that does not count. */
  pairs(
    count: number,
    {
      ours,
      peer,
      input,
    }: { readonly ours: string[]; readonly peer: string[]; readonly input: Input },
  ): Pairs {
    const words = ["time", String(count + 1), input.feed, input.path, "--", ...ours, "--", ...peer];
    const rows = this.run(words).split("\n").slice(2);
    const times: [number[], number[]] = [[], []];
    for (const row of rows.filter((line) => line !== "")) {
      const [index, nanoseconds, status] = row.split(" ").map(Number);
      const command = index === 0 ? ours : peer;
      requireSuccess(command, status);
      times[index === 0 ? 0 : 1].push(nanoseconds! / 1e6);
    }
    const [oursMs, peerMs] = times;
    const ratios = oursMs.map((ms, index) => ms / peerMs[index]!).sort((a, b) => a - b);
    return { oursMs: median(oursMs), peerMs: median(peerMs), ratios, ratio: median(ratios) };
  }

  memory(command: string[], input: Input): Memory {
    const text = this.run(["memory", input.feed, input.path, "--", ...command]);
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s*([0-9]+)`, "m").exec(text)?.[1]);
    requireSuccess(command, field("Status"));
    return { ownKib: peakOwnKib(field) };
  }

  private run(words: string[]): string {
    const { exitCode, stdout, stderr } = Bun.spawnSync([this.runPairs, ...words], {
      env: this.environment,
    });
    if (exitCode === 0) return stdout.toString();
    throw new Error(`Cannot run ${words.join(" ")}: status ${exitCode}\n${stdout}${stderr}`);
  }
}

/**
 * The peak of a process's own memory, from what the kernel knows as it exits. VmHWM is the peak of
 * all that was resident, and of that the mapped file pages (RssFile: mostly the program itself) are
 * shared and can be dropped at any time: they do not count. The kernel keeps no peak without them,
 * so those mapped at the end are taken off. File pages that were mapped only for a while still
 * count: the figure can be too large, never too small.
 */
const peakOwnKib = (field: (name: string) => number): number => field("VmHWM") - field("RssFile");

function requireSuccess(command: readonly string[], status: number | undefined): void {
  if (status !== 0) throw new Error(`Cannot measure ${command.join(" ")}: it ended with ${status}`);
}

/** Compiles test/bench/NAME.c into `folder`; returns the program. */
export function compileC(name: string, folder: string): string {
  const program = join(folder, name);
  const source = join(import.meta.dir, `${name}.c`);
  const { exitCode, stderr } = Bun.spawnSync(["cc", "-O2", "-Wall", "-o", program, source]);
  if (exitCode === 0) return program;
  throw new Error(`Cannot compile ${source}:\n${stderr}`);
}

/** Compiles a program that prints one word, with the flags of build.ts: what a runtime costs. */
export async function compileHello(folder: string): Promise<string> {
  const source = join(folder, "hello.ts");
  await Bun.write(source, 'console.log("hello");\n');
  const outfile = join(folder, "hello");
  const result = await Bun.build({
    entrypoints: [source],
    target: "bun",
    format: "esm",
    splitting: true,
    minify: { whitespace: true, syntax: true, identifiers: false },
    sourcemap: "linked",
    bytecode: true,
    compile: {
      outfile,
      autoloadDotenv: false,
      autoloadBunfig: false,
      execArgv: ["--disallow-code-generation-from-strings=strict"],
    },
  });
  if (result.success) return outfile;
  throw new Error(`Cannot compile ${source}:\n${result.logs.join("\n")}`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

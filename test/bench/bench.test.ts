// The bench runs, tiny: so that it cannot rot. What it measures full size is no matter of a test.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../helpers/source-files.ts";
import type { Figure } from "./figures.ts";

const OPERATIONS = 6;
const times = (count: number, ...names: string[]): string[] =>
  Array.from({ length: count }, () => names).flat();
const RATE = [...times(OPERATIONS, "rate of store serve"), "rate of an epoll echo in Bun"];
const [CPU, P99] = ["CPU of store serve", "p99 of store serve"];
const STORE = [
  ...times(2, ...RATE),
  ...times(2 * OPERATIONS, CPU, CPU, P99),
  "time of filling store serve",
  "memory of store serve",
  ...times(OPERATIONS, P99),
];
const DEVICE = [
  "time of repair",
  "throughput of device save",
  "time that a guest's rings stand",
  "throughput of a guest",
];
const SNAPSHOT = [
  "stall of a writer in snapshot create",
  "time of snapshot create",
  "time that guests stand in snapshot create",
];
const LIVE_UPDATE = [
  "longest silence by promote",
  "longest silence by promote",
  "longest silence in place",
  "memory of store serve",
];
const COMPILER = Bun.which("cc");
const why = COMPILER === null ? " (skipped: no C compiler here)" : "";

test.skipIf(COMPILER === null)(
  `bun run bench --quick gives every figure${why}`,
  () => {
    const bench = join(ROOT, "test/bench/bench.ts");
    const command = [process.execPath, bench, "--quick", "--json"];
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: ROOT });
    expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
    const found = JSON.parse(stdout.toString()) as Figure[];
    expect(found.map(({ what }) => what.split(",")[0])).toEqual([
      "throughput of verify",
      "throughput of verify",
      "throughput of verify",
      "peak memory of verify",
      "peak memory of verify",
      "peak memory of verify",
      "time of agent --version",
      "time of verify",
      "throughput of verify",
      "throughput of convert",
      "throughput of convert",
      "throughput of relay",
      "throughput of relay",
      "time of a save with the save helper",
      "peak memory of relay",
      "throughput of extract",
      "throughput of extract",
      "throughput of assemble",
      "throughput of assemble",
      "throughput of extract --memory --as elf",
      "throughput of extract --memory --as elf",
      "peak memory of extract",
      "peak memory of assemble",
      "peak memory of extract --memory",
      "throughput of squash",
      "throughput of squash",
      "peak memory of squash",
      "peak memory of diff",
      "throughput of inspect --contents",
      "throughput of inspect",
      "peak memory of inspect",
      "peak memory of inspect --contents",
      "throughput of unpack into a pipe",
      "throughput of checkpoint receive",
      "throughput of checkpoint restore",
      "throughput of checkpoint restore",
      "time of recovery on start",
      "peak memory of checkpoint receive",
      ...STORE,
      ...DEVICE,
      ...SNAPSHOT,
      ...LIVE_UPDATE,
    ]);
    expect(found.filter(({ ratio }) => ratio !== null && !(ratio > 0))).toEqual([]);
  },
  120_000,
);

// bun run soak [--cases N] [--seed S] [--fuzzer NAME]: the fuzzers for long, a million cases unless
// told otherwise. Ends with one line of counts, and with status 1 where a case failed or memory
// grew. A failure is had again by: SEED=... FUZZER=... bun test test/fuzz

import { parseArgs } from "node:util";
import { plural } from "../../lib/base/index.ts";
import { ROOT } from "../helpers/source-files.ts";
import { type Fuzzer, FUZZERS } from "./fuzzers.ts";
import { FuzzFailure, runCase } from "./run-cases.ts";
import { endStoreDaemons } from "./store-fuzzers.ts";
import { seedOfCase } from "./random.ts";

const CASES_DEFAULT = 1_000_000;
const FAILURES_SHOWN_MAX = 20;
const PROGRESS_MS = 1000;
/** By then what is compiled and cached once is there. */
const WARM_UP = 0.2;
/** Above this the heap's own ups and downs are not the reason. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: String(CASES_DEFAULT) },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    fuzzer: { type: "string" },
  },
});
const seed = Number(values.seed);
const wanted = FUZZERS.filter(({ name }) => values.fuzzer === undefined || name === values.fuzzer);
const cases = Number(values.cases);
if (wanted.length === 0 || !Number.isSafeInteger(cases) || !Number.isSafeInteger(seed)) {
  console.error(`usage: soak [--cases N] [--seed S] [--fuzzer NAME], NAME one of ${names()}`);
  process.exit(2);
}

const startedMs = performance.now();
let done = 0;
let failures = 0;
let shownMs = 0;
let warmBytes = 0;

/** Turn by turn, so that memory is seen to be stable over all of them. */
const counts = new Map(wanted.map((fuzzer) => [fuzzer.name, 0]));
while (done < cases) for (const fuzzer of wanted) runTurn(fuzzer);
endStoreDaemons();

Bun.gc(true);
const grownBytes = process.memoryUsage.rss() - (warmBytes || process.memoryUsage.rss());
const hasGrown = grownBytes > GROWTH_BYTES_MAX;
if (hasGrown) console.error(`\nmemory grew by ${grownBytes} bytes behind the warm-up`);
console.error("");
const perFuzzer = [...counts].map(([name, count]) => `${name} ${count}`).join(", ");
console.log(
  `soak: ${plural(done, "case")}, ${failures} failed (${perFuzzer}), seed ${seed}, ` +
    `commit ${commit()}, ${Math.round((performance.now() - startedMs) / 1000)} s, ` +
    `memory ${Math.round(grownBytes / 1024 / 1024)} MiB above the warm-up`,
);
process.exitCode = failures > 0 || hasGrown ? 1 : 0;

// ---- Parts --------------------------------------------------------------------------------------

function names(): string {
  return FUZZERS.map(({ name }) => name).join(", ");
}

/** As many cases as the fuzzer has shares; as one fuzzer alone, a hundred. */
function runTurn(fuzzer: Fuzzer): void {
  const turn = wanted.length === 1 ? 100 : fuzzer.share;
  const count = Math.min(turn, cases - done);
  for (let left = count; left > 0; left--) {
    runOne(fuzzer, seedOfCase(seed, done));
    done++;
  }
  counts.set(fuzzer.name, (counts.get(fuzzer.name) ?? 0) + count);
  if (warmBytes === 0 && done > cases * WARM_UP) {
    Bun.gc(true);
    warmBytes = process.memoryUsage.rss();
  }
  const nowMs = performance.now();
  if (!process.stderr.isTTY || nowMs - shownMs < PROGRESS_MS) return;
  shownMs = nowMs;
  const rate = Math.round((done / (nowMs - startedMs)) * 1000);
  const percent = ((done / cases) * 100).toFixed(1);
  process.stderr.write(`\r${percent}% ${done} cases, ${failures} failed, ${rate} a second `);
}

function runOne(fuzzer: Fuzzer, caseSeed: number): void {
  try {
    runCase(fuzzer, caseSeed);
  } catch (error) {
    if (!(error instanceof FuzzFailure)) throw error;
    failures++;
    if (failures <= FAILURES_SHOWN_MAX) console.error(`\n${error.message}`);
  }
}

function commit(): string {
  const { stdout, exitCode } = Bun.spawnSync(["git", "describe", "--always", "--dirty"], {
    cwd: ROOT,
  });
  return exitCode === 0 ? stdout.toString().trim() : "unknown";
}

// What `agent inspect` takes: with page contents against a C program that reads the same mapping
// once, without against verify; and its memory. An eighth of the pages are zero, all others differ,
// which is what the table of hashes takes most memory for.

import { closeSync, openSync, writeSync } from "node:fs";
import { LIBXC, PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import type { InspectReport } from "../../lib/stream/inspect/index.ts";
import { compileC, NO_INPUT, type Pairs, type Runner } from "./runner.ts";

export interface InspectBench {
  readonly runner: Runner;
  readonly agent: string;
  /** A stream of `memoryBytes` with page contents, which are written over. */
  readonly stream: string;
  readonly folder: string;
  readonly memoryBytes: number;
  readonly pairs: number;
}

export interface InspectPairs {
  readonly what: string;
  readonly pairs: Pairs;
  readonly wanted: { readonly least: number } | null;
}

export interface InspectMemory {
  readonly what: string;
  readonly ownKib: number;
  readonly mostKib: number;
}

const ZERO_EACH = 8;
const MEMORY_KIB_MAX = 48 * 1024;
/** Two for the pfn, ten for the hash of its contents. */
const PFN_BYTES = 2;
const HASH_BYTES = 10;

export function inspectPairs(bench: InspectBench): InspectPairs[] {
  const { runner, agent, stream, folder, pairs } = bench;
  makeDistinct(agent, stream);
  const reader = compileC("read-mapping", folder);
  const against = (ours: string[], peer: string[]): Pairs =>
    runner.pairs(pairs, { ours: [agent, "inspect", ...ours, stream], peer, input: NO_INPUT });
  return [
    {
      what: "throughput of inspect --contents, a file in the page cache, against one read in C",
      pairs: against(["--contents"], [reader, stream]),
      wanted: { least: 0.5 },
    },
    {
      what: "throughput of inspect, a file in the page cache, against agent verify",
      pairs: against([], [agent, "verify", stream]),
      wanted: null,
    },
  ];
}

export function inspectMemory(bench: InspectBench): InspectMemory[] {
  const { runner, agent, stream, memoryBytes } = bench;
  const pages = memoryBytes / PAGE_BYTES;
  const measure = (what: string, words: string[], bytesPerPage: number): InspectMemory => ({
    what: `peak memory of ${what}, a file, against 48 MiB and ${bytesPerPage} bytes a page`,
    ownKib: runner.memory([agent, ...words, stream], NO_INPUT).ownKib,
    mostKib: MEMORY_KIB_MAX + (pages * bytesPerPage) / 1024,
  });
  return [
    measure("inspect", ["inspect"], PFN_BYTES),
    measure("inspect --contents", ["inspect", "--contents"], PFN_BYTES + HASH_BYTES),
  ];
}

/** Writes each page's number at its start, and zeros over every eighth page. */
function makeDistinct(agent: string, stream: string): void {
  const { stdout } = Bun.spawnSync([agent, "inspect", "--json", stream]);
  const { record_runs: runs } = JSON.parse(stdout.toString()) as InspectReport;
  const batches = runs.find(({ name }) => name === LIBXC.pageData.name)!;
  const batchBytes = 8 + batches.bytes / batches.count;
  const pagesPerBatch = Math.floor((batchBytes - 16) / (PAGE_BYTES + 8));
  const number = new Uint32Array(2);
  const zeros = new Uint8Array(PAGE_BYTES);
  const fd = openSync(stream, "r+");
  for (let page = 0; page < batches.count * pagesPerBatch; page++) {
    const batchAt = batches.offset + Math.floor(page / pagesPerBatch) * batchBytes;
    const at = batchAt + 16 + pagesPerBatch * 8 + (page % pagesPerBatch) * PAGE_BYTES;
    number[0] = page + 1;
    const bytes = page % ZERO_EACH === 0 ? zeros : new Uint8Array(number.buffer);
    writeSync(fd, bytes, 0, bytes.byteLength, at);
  }
  closeSync(fd);
}

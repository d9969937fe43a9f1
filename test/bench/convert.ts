// What `agent convert` takes against cp of the bytes that come out: alone, and with the disk waited
// for, which convert always does.

import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import { batch, GOLDEN_HVM, hvmStream, u64 } from "../helpers/legacy-recipes.ts";
import type { Pairs, Runner } from "./runner.ts";
import { NO_INPUT } from "./runner.ts";

const BATCH_PFNS = 1024;

export interface ConvertBench {
  readonly runner: Runner;
  readonly agent: string;
  readonly place: (name: string) => string;
  readonly memoryBytes: number;
  readonly pairs: number;
}

export interface ConvertPairs {
  readonly what: string;
  readonly pairs: Pairs;
  readonly wanted: { readonly least: number };
}

export function convertPairs(bench: ConvertBench): ConvertPairs[] {
  const { runner, agent, place, memoryBytes, pairs } = bench;
  const [legacy, reference] = [place("legacy"), place("converted")];
  const [ours, theirs] = [place("out-ours"), place("out-theirs")];
  writeLegacy(legacy, memoryBytes);
  const convert = [agent, "convert", "--quiet", legacy, "--to"];
  const { exitCode, stderr } = Bun.spawnSync([...convert, reference]);
  if (exitCode !== 0) throw new Error(`Cannot convert ${legacy}: ${stderr}`);
  const against = (what: string, script: string): ConvertPairs => ({
    what: `throughput of convert, 64-bit legacy HVM to libxl, against ${what}`,
    // Each writes over its own output of the time before.
    pairs: runner.pairs(pairs, {
      ours: [...convert, ours],
      peer: ["sh", "-c", script, reference, theirs],
      input: NO_INPUT,
    }),
    wanted: { least: 0.8 },
  });
  const found = [
    against("cp of what comes out", 'cp "$0" "$1"'),
    against("cp and sync of what comes out", 'cp "$0" "$1" && sync "$1"'),
  ];
  for (const path of [legacy, reference, ours, theirs]) rmSync(path);
  return found;
}

/** A 64-bit toolstack's stream of an HVM guest, every page with contents. */
function writeLegacy(path: string, memoryBytes: number): void {
  const pages = memoryBytes / PAGE_BYTES;
  const contents = new Uint8Array(BATCH_PFNS * PAGE_BYTES).map((_, index) => index * 7);
  const fd = openSync(path, "w");
  const put = (bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.byteLength;) done += writeSync(fd, bytes.subarray(done));
  };
  put(u64(pages));
  for (let first = 0; first < pages; first += BATCH_PFNS) {
    const pfns = Array.from({ length: BATCH_PFNS }, (_, index) => first + index);
    put(batch(8, pfns, contents));
  }
  put(hvmStream({ ...GOLDEN_HVM, width: 8, chunks: [] }).subarray(8)); // From the end of the body.
  closeSync(fd);
}

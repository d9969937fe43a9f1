// A long Remus stream of a guest that keeps writing, made once: for faults that strike in the
// middle of things.

import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOMAIN_PV, LIBXC } from "../../lib/stream/libxc/index.ts";
import { LIBXL } from "../../lib/stream/libxl/index.ts";
import { CONFIG_JSON_MASK, STREAM_V2_MASK } from "../../lib/stream/xl/index.ts";
import { randomNumbers } from "./pieces.ts";
import { entriesOf, variedBatch } from "./random-streams.ts";
import { encode, type PlanRecord } from "./stream-plan.ts";
import {
  domainHeader,
  guestConfig,
  imageHeader,
  libxcRecord,
  libxlHeader,
  libxlRecord,
  p2mFrames,
  pvInfo,
  sharedInfo,
  staticDataEnd,
  vcpuRecords,
  xlRecords,
} from "./stream-records.ts";

export interface LongRemus {
  readonly pages: number;
  readonly checkpoints: number;
  /** Pages that each checkpoint but the first brings. */
  readonly changed: number;
}

const NOTAB = 0;
const BATCH = 1024;

function batches(pfns: readonly number[], seed: number): PlanRecord[] {
  const records: PlanRecord[] = [];
  for (let at = 0; at < pfns.length; at += BATCH) {
    records.push(variedBatch(entriesOf(pfns.slice(at, at + BATCH), NOTAB), seed * 1000 + at));
  }
  return records;
}

/** Every guest writes some pages again and again, and others now and then. */
function changedPfns({ pages, changed }: LongRemus, random: (limit: number) => number): number[] {
  const hot = Math.floor(pages / 8);
  const pfns = Array.from({ length: changed }, () =>
    random(2) === 0 ? random(hot) : random(pages),
  );
  return [...new Set(pfns)].sort((left, right) => left - right);
}

function bytesOf(spec: LongRemus): Uint8Array {
  const random = randomNumbers(7);
  const all = Array.from({ length: spec.pages }, (_, pfn) => pfn);
  const records = [
    ...xlRecords(guestConfig("pv"), CONFIG_JSON_MASK | STREAM_V2_MASK),
    libxlHeader(0),
    libxlRecord(LIBXL.libxcContext),
    imageHeader(3),
    domainHeader(DOMAIN_PV, { major: 4, minor: 20 }),
    pvInfo(8),
    staticDataEnd(),
    p2mFrames(8, spec.pages),
  ];
  for (let round = 1; round <= spec.checkpoints; round++) {
    records.push(...batches(round === 1 ? all : changedPfns(spec, random), round));
    records.push(sharedInfo(), ...vcpuRecords(0, 8));
    records.push(libxcRecord(LIBXC.checkpoint), libxlRecord(LIBXL.checkpointEnd));
  }
  return encode({ records }).bytes;
}

/** The path of a file that holds it; kept for other test files of this run, and the next ones. */
export function longRemus(spec: LongRemus): string {
  const cache = join(tmpdir(), `agent-captures-${process.getuid?.() ?? 0}`);
  const name = `remus-${spec.pages}-${spec.checkpoints}-${spec.changed}`;
  const path = join(cache, name);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const partial = `${path}.${process.pid}.partial`; // Renamed when whole: test runs may overlap.
  writeFileSync(partial, bytesOf(spec));
  renameSync(partial, path);
  return path;
}

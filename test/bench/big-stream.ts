// Makes large save files for measuring: an xl save file of a PV guest as `xl save` writes it, whose
// libxl stream begins at an odd offset, with batches of 1024 pages that all carry contents.

import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "../../lib/base/index.ts";
import { DOMAIN_PV, LIBXC, PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import { LIBXL } from "../../lib/stream/libxl/index.ts";
import { CONFIG_JSON_MASK, STREAM_V2_MASK } from "../../lib/stream/xl/index.ts";
import { bare, encode, type PlanRecord } from "../helpers/stream-plan.ts";
import {
  cpuidPolicy,
  domainHeader,
  imageHeader,
  libxcRecord,
  libxlHeader,
  libxlRecord,
  msrPolicy,
  p2mFrames,
  pvInfo,
  sharedInfo,
  staticDataEnd,
  tscInfo,
  vcpuRecords,
  xlRecords,
} from "../helpers/stream-records.ts";

/** Where the libxl stream of a real save file began: nothing in it stands on an even address. */
const LIBXL_OFFSET = 923;
const BATCH_PAGES = 1024; // MAX_BATCH_SIZE of libxc's saver.
const WIDTH = 8;
/** What a live guest dirties comes in runs: one in four of these, then one in eight, and so on. */
const DIRTY_RUN_PAGES = 8;

export interface BigStreamSpec {
  /** Size of the guest's memory, a multiple of 4 MiB. */
  readonly memoryBytes: number;
  /**
   * written: every byte is in the file. holes: the contents of pages are holes in it. Of a program:
   * its bytes, no page twice, and two pages of five are zero, much as in a guest.
   */
  readonly contents: "written" | "holes" | { readonly program: Uint8Array };
  /** A live migration: passes over the memory, each over half as much as the one before. */
  readonly passes?: number;
}

/** Writes the stream to a new file; returns its size. */
export function writeBigStream(
  path: string,
  { memoryBytes, contents, passes = 1 }: BigStreamSpec,
): number {
  const pages = memoryBytes / PAGE_BYTES;
  assert(pages % BATCH_PAGES === 0, "the guest's memory is a multiple of 4 MiB");
  const fd = openSync(path, "wx", 0o600);
  let position = 0;
  const put = (bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.byteLength;) {
      done += writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
    }
    position += bytes.byteLength;
  };
  try {
    put(encode({ records: recordsBefore(pages) }).bytes);
    const page = contents === "written" ? noise(BATCH_PAGES * PAGE_BYTES) : undefined;
    for (const pfns of batches(pages, passes)) {
      put(batchHead(pfns));
      if (typeof contents === "object") put(programPages(contents.program, pfns));
      else if (page === undefined) position += pfns.length * PAGE_BYTES;
      else put(page.subarray(0, pfns.length * PAGE_BYTES));
    }
    put(encode({ records: recordsBehind() }).bytes);
    ftruncateSync(fd, position);
    fsyncSync(fd); // Or the disk is still busy with it while we measure.
  } finally {
    closeSync(fd);
  }
  return position;
}

export interface RemusSpec {
  readonly memoryBytes: number;
  readonly checkpoints: number;
  /** Pages that each checkpoint but the first brings. */
  readonly changedPages: number;
}

/**
 * Writes a checkpointed stream that ends in order to a new file; returns where each of its
 * checkpoints ends.
 */
export function writeRemusStream(path: string, spec: RemusSpec): number[] {
  const { memoryBytes, checkpoints, changedPages } = spec;
  const pages = memoryBytes / PAGE_BYTES;
  const fd = openSync(path, "wx", 0o600);
  const ends: number[] = [];
  let position = 0;
  const put = (bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.byteLength;) {
      done += writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
    }
    position += bytes.byteLength;
  };
  const contents = noise(BATCH_PAGES * PAGE_BYTES);
  try {
    put(encode({ records: recordsBefore(pages) }).bytes);
    for (let round = 0; round < checkpoints; round++) {
      const lists = round === 0 ? batches(pages, 1) : changes(pages, changedPages, round);
      for (const pfns of lists) {
        put(batchHead(pfns));
        put(contents.subarray(0, pfns.length * PAGE_BYTES));
      }
      put(encode({ records: recordsOfRound() }).bytes);
      ends.push(position);
    }
    put(encode({ records: [libxcRecord(LIBXC.end), libxlRecord(LIBXL.end)] }).bytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return ends;
}

/** Short runs, others in each round, all over what a guest works with: a quarter of its memory. */
function* changes(all: number, changed: number, round: number): Generator<number[]> {
  const pages = all / 4;
  const stride = Math.max(DIRTY_RUN_PAGES, Math.floor((pages * DIRTY_RUN_PAGES) / changed));
  const start = (round * 7 * DIRTY_RUN_PAGES) % stride;
  let pfns: number[] = [];
  for (let first = start; first + DIRTY_RUN_PAGES <= pages; first += stride) {
    for (let pfn = first; pfn < first + DIRTY_RUN_PAGES; pfn++) pfns.push(pfn);
    if (pfns.length < BATCH_PAGES) continue;
    yield pfns;
    pfns = [];
  }
  if (pfns.length > 0) yield pfns;
}

const recordsOfRound = (): PlanRecord[] => [
  tscInfo(),
  sharedInfo(),
  ...vcpuRecords(0, WIDTH),
  libxcRecord(LIBXC.checkpoint),
  libxlRecord(LIBXL.checkpointEnd),
];

function recordsBefore(pages: number): PlanRecord[] {
  const flags = CONFIG_JSON_MASK | STREAM_V2_MASK;
  const config = (note: string) => ({ c_info: { type: "pv", name: "bench", note } });
  const shortest = encode({ records: xlRecords(config(""), flags) }).bytes.byteLength;
  return [
    ...xlRecords(config("x".repeat(LIBXL_OFFSET - shortest)), flags),
    libxlHeader(0),
    libxlRecord(LIBXL.libxcContext),
    imageHeader(3),
    domainHeader(DOMAIN_PV, { major: 4, minor: 20 }),
    pvInfo(WIDTH),
    cpuidPolicy(),
    msrPolicy(),
    staticDataEnd(),
    p2mFrames(WIDTH, pages),
  ];
}

/** The pfns of each batch: all once, then in short runs what a guest writes to meanwhile. */
function* batches(pages: number, passes: number): Generator<number[]> {
  for (let pass = 1; pass <= passes; pass++) {
    const stride = pass === 1 ? DIRTY_RUN_PAGES : DIRTY_RUN_PAGES * 2 ** pass;
    let pfns: number[] = [];
    for (let first = 0; first < pages; first += stride) {
      for (let pfn = first; pfn < first + DIRTY_RUN_PAGES; pfn++) pfns.push(pfn);
      if (pfns.length < BATCH_PAGES) continue;
      yield pfns;
      pfns = [];
    }
    if (pfns.length > 0) yield pfns;
  }
}

/** Header and pfn list of a PAGE_DATA record, up to the contents. */
function batchHead(pfns: readonly number[]): Uint8Array {
  const head = new Uint32Array(4 + pfns.length * 2);
  const bodyBytes = 8 + pfns.length * (8 + PAGE_BYTES);
  head.set([LIBXC.pageData.type, bodyBytes, pfns.length, 0]);
  for (const [index, pfn] of pfns.entries()) head[4 + index * 2] = pfn;
  return new Uint8Array(head.buffer);
}

const recordsBehind = (): PlanRecord[] => [
  tscInfo(),
  sharedInfo(),
  ...vcpuRecords(0, WIDTH),
  libxcRecord(LIBXC.end),
  libxlRecord(LIBXL.end),
  bare("libxl", "nothing"),
];

const ZERO_OF_FIVE = 2;

/** Pages of the program, each stamped with its pfn; those of zeros are left so. */
function programPages(program: Uint8Array, pfns: readonly number[]): Uint8Array {
  const pages = new Uint8Array(pfns.length * PAGE_BYTES);
  const view = new DataView(pages.buffer);
  for (const [index, pfn] of pfns.entries()) {
    if (pfn % 5 < ZERO_OF_FIVE) continue;
    const from = (pfn * PAGE_BYTES) % (program.byteLength - PAGE_BYTES);
    pages.set(program.subarray(from, from + PAGE_BYTES), index * PAGE_BYTES);
    view.setUint32(index * PAGE_BYTES, pfn, true);
  }
  return pages;
}

/** Bytes that no file system or memory would store as fewer. */
function noise(bytes: number): Uint8Array {
  const words = new Uint32Array(bytes / 4);
  let state = 1;
  for (let word = 0; word < words.length; word++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[word] = state;
  }
  return new Uint8Array(words.buffer);
}

export interface BenchFolder extends Disposable {
  readonly path: string;
}

const FOLDER = /^agent-bench-(\d+)-/;

/**
 * A folder in $TMPDIR, removed when disposed of; those of benches that were killed go first. Throws
 * where so many bytes find no room.
 */
export function benchFolder(bytesWanted: number): BenchFolder {
  for (const name of readdirSync(tmpdir())) {
    const pid = FOLDER.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  const { bavail, bsize } = statfsSync(tmpdir());
  const free = Math.floor((bavail * bsize) / 2 ** 20);
  const wanted = Math.ceil((bytesWanted * 1.1) / 2 ** 20);
  if (free < wanted) {
    throw new Error(`Cannot measure in "${tmpdir()}": wanted ${wanted} MiB free, found ${free}`);
  }
  const path = mkdtempSync(join(tmpdir(), `agent-bench-${process.pid}-`));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

// Random live and checkpointed streams: pages sent again and again with other contents and types,
// placeholders for pages that come later, batches of any size, and rounds of state.

import { DOMAIN_HVM, DOMAIN_PV, LIBXC, PAGE_DATA_HEAD } from "../../lib/stream/libxc/index.ts";
import { LIBXL } from "../../lib/stream/libxl/index.ts";
import { CONFIG_JSON_MASK, STREAM_V2_MASK } from "../../lib/stream/xl/index.ts";
import { type PlanRecord, row, type StreamPlan, words } from "./stream-plan.ts";
import {
  checkpointState,
  cpuidPolicy,
  domainHeader,
  emulatorContext,
  guestConfig,
  hvmContext,
  hvmParams,
  imageHeader,
  libxcRecord,
  libxlHeader,
  libxlRecord,
  msrPolicy,
  pvInfo,
  p2mFrames,
  sharedInfo,
  staticDataEnd,
  tscInfo,
  unknownRecord,
  vcpuRecords,
  verifyMode,
  xenstoreData,
  xlRecords,
} from "./stream-records.ts";

type Random = (limit: number) => number;

export interface Entry {
  readonly pfn: number;
  readonly type: number;
}

const HAS_DATA = [0, 1, 2, 3, 4, 9, 10, 11, 12];
const PV_TYPES = [0, 0, 0, 0, 1, 2, 9, 0xc, 0xe, 0xf, 0xf, 0xd];
const HVM_TYPES = [0, 0, 0, 0, 0, 0xe, 0xf, 0xf];

/** A batch whose pages differ from each other and from those of any other seed. */
export function variedBatch(entries: readonly Entry[], seed: number): PlanRecord {
  const list = new Uint8Array(entries.length * 8);
  const view = new DataView(list.buffer);
  for (const [index, { pfn, type }] of entries.entries()) {
    view.setBigUint64(index * 8, BigInt(pfn) + (BigInt(type) << 60n), true);
  }
  const pages = entries
    .filter(({ type }) => HAS_DATA.includes(type))
    .map(({ pfn }, index) => {
      const page = new Uint8Array(4096);
      page.set(words(8, [seed, index, pfn % 2 ** 31]));
      return page;
    });
  const head = row(PAGE_DATA_HEAD, { count: entries.length, reserved: 0 });
  return libxcRecord(LIBXC.pageData, head, list, ...pages);
}

export interface RandomStreamOptions {
  readonly guest: "pv" | "hvm";
  /** 0 for a plain stream. */
  readonly checkpoints: number;
  readonly isColo: boolean;
  readonly version: 2 | 3;
  readonly framing: "xl" | "libxl" | "libxc";
}

const PV_PFNS = 3000;

function pfnOf(random: Random, guest: "pv" | "hvm"): number {
  if (guest === "pv") return random(PV_PFNS);
  return [0, 2 ** 20, 2 ** 32 - 50][random(3)]! + random(1000);
}

function batches(random: Random, guest: "pv" | "hvm", count: number): PlanRecord[] {
  const types = guest === "pv" ? PV_TYPES : HVM_TYPES;
  return Array.from({ length: count }, () => {
    const size = [1 + random(40), 1 + random(400), 1000 + random(100)][random(3)]!;
    const first = pfnOf(random, guest);
    const isRun = random(3) > 0;
    const entries = Array.from({ length: size }, (_, index) => {
      const pfn = isRun && first + index < PV_PFNS ? first + index : pfnOf(random, guest);
      return { pfn, type: types[random(types.length)]! };
    });
    return variedBatch(entries, random(2 ** 31));
  });
}

/** One byte of a body becomes another, so that states of different rounds differ. */
function touched(record: PlanRecord, random: Random, at: number): PlanRecord {
  if (record.body.byteLength <= at) return record;
  record.body = record.body.slice();
  record.body[at] = random(256);
  return record;
}

function state(random: Random, guest: "pv" | "hvm"): PlanRecord[] {
  if (guest === "hvm") return [touched(tscInfo(), random, 8), hvmContext(), hvmParams()];
  const vcpus = [0, 1, 2].filter((id) => id === 0 || random(4) > 0); // Some are down.
  const records = vcpus.flatMap((id) => vcpuRecords(id, 8));
  return [tscInfo(), sharedInfo(), ...records].map((record) => touched(record, random, 9));
}

const tail = (random: Random, guest: "pv" | "hvm"): PlanRecord[] =>
  guest === "pv" ? [] : [...(random(2) === 0 ? [xenstoreData()] : []), emulatorContext()];

export function randomStream(random: Random, options: RandomStreamOptions): StreamPlan {
  const { guest, checkpoints, isColo, version, framing } = options;
  const isPv = guest === "pv";
  const records: PlanRecord[] = [
    imageHeader(version),
    domainHeader(isPv ? DOMAIN_PV : DOMAIN_HVM, { major: 4, minor: 17 }),
    ...(isPv ? [pvInfo(8)] : []),
    ...(version === 3 ? [cpuidPolicy(), msrPolicy(), staticDataEnd()] : []),
    ...(isPv ? [p2mFrames(8, PV_PFNS)] : []),
  ];
  for (let round = 0; round < Math.max(1, checkpoints); round++) {
    if (round > 0 && isColo) records.push(checkpointState(0));
    records.push(...batches(random, guest, round === 0 ? 6 : random(4)));
    if (checkpoints === 0 && random(4) === 0) {
      records.push(verifyMode(), ...batches(random, guest, 2));
    }
    if (round === 0 && random(3) === 0) {
      records.push(unknownRecord(0x8000_0007, new Uint8Array(random(30))));
    }
    records.push(...state(random, guest));
    if (checkpoints === 0) records.push(libxcRecord(LIBXC.end));
    else records.push(libxcRecord(LIBXC.checkpoint));
    if (framing !== "libxc") records.push(...tail(random, guest));
    if (checkpoints > 0) records.push(libxlRecord(LIBXL.checkpointEnd));
    else if (framing !== "libxc") records.push(libxlRecord(LIBXL.end));
  }
  if (framing === "libxc") return { records };
  const libxl = [libxlHeader(0), libxlRecord(LIBXL.libxcContext), ...records];
  if (framing === "libxl") return { records: libxl };
  const header = xlRecords(guestConfig(guest), CONFIG_JSON_MASK | STREAM_V2_MASK);
  return { records: [...header, ...libxl] };
}

/** Entries as a run of pfns of one type. */
export const entriesOf = (pfns: readonly number[], type: number): Entry[] =>
  pfns.map((pfn) => ({ pfn, type }));

// The project's own streams: whole valid ones of every kind as plans (lists of records), so that
// tests mean something without captures. VALID_PLANS names them all; each must verify as good
// without a warning. How a plan is edited and encoded stands in stream-plan.ts.

import { DOMAIN_HVM, DOMAIN_PV, LIBXC } from "../../lib/stream/libxc/index.ts";
import { LEGACY_MASK, LIBXL } from "../../lib/stream/libxl/index.ts";
import { CONFIG_JSON_MASK, STREAM_V2_MASK } from "../../lib/stream/xl/index.ts";
import { legacyHvmRecords, legacyPvRecords } from "./legacy-builder.ts";
import type { PlanRecord, StreamPlan } from "./stream-plan.ts";
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
  p2mFrames,
  type PageEntry,
  pageData,
  pvInfo,
  sharedInfo,
  staticDataEnd,
  tscInfo,
  vcpuRecords,
  verifyMode,
  xenstoreData,
  xlRecords,
} from "./stream-records.ts";
import { suspendOldRecords, suspendRecords } from "./suspend-builder.ts";

export interface GuestSpec {
  readonly guest: "pv" | "hvm" | "pvh";
  /** Word width of a PV guest in bytes. */
  readonly width: 4 | 8;
  readonly version: 2 | 3;
  /** Converted from a legacy stream: no policies and no TSC, and the header says so. */
  readonly isConverted: boolean;
  readonly pages: number;
  readonly vcpus: number;
}

export const PV64: GuestSpec = {
  guest: "pv",
  width: 8,
  version: 3,
  isConverted: false,
  pages: 24,
  vcpus: 2,
};
export const PV32: GuestSpec = { ...PV64, width: 4 };
export const HVM: GuestSpec = { ...PV64, guest: "hvm" };
export const PVH: GuestSpec = { ...PV64, guest: "pvh" };

// ---- libxc ------------------------------------------------------------------------------------

const NOTAB = 0;
const [L1TAB, L2TAB_PINNED, BROKEN, XALLOC, XTAB] = [1, 0xa, 0xd, 0xe, 0xf] as const;

/** Types that a guest of the kind has, few of them with contents: they make a stream large. */
function pageTypes(isPv: boolean): readonly number[] {
  const tables = isPv ? [L1TAB, L2TAB_PINNED] : [];
  return [NOTAB, ...tables, XALLOC, XTAB, BROKEN];
}

/** Batches of at most 16 pages that cover all pfns; the last types are without contents. */
function memory({ guest, pages }: GuestSpec): PlanRecord[] {
  const types = pageTypes(guest === "pv");
  const entries: PageEntry[] = Array.from({ length: pages }, (_, pfn) => {
    return { pfn, type: types[pfn] ?? XTAB };
  });
  const batches: PlanRecord[] = [];
  for (let at = 0; at < entries.length; at += 16)
    batches.push(pageData(entries.slice(at, at + 16)));
  return batches;
}

/** Headers and static data, once a stream. */
function imageStart(spec: GuestSpec): PlanRecord[] {
  const isPv = spec.guest === "pv";
  const xen = spec.isConverted ? { major: 0, minor: 1 } : { major: 4, minor: 20 };
  return [
    imageHeader(spec.version),
    domainHeader(isPv ? DOMAIN_PV : DOMAIN_HVM, xen),
    ...(isPv ? [pvInfo(spec.width)] : []),
    ...(spec.version === 3 && !spec.isConverted ? [cpuidPolicy(), msrPolicy()] : []),
    ...(spec.version === 3 ? [staticDataEnd()] : []),
    ...(isPv ? [p2mFrames(spec.width, spec.pages)] : []),
  ];
}

/** What comes behind the memory, in every checkpoint. */
function guestState(spec: GuestSpec): PlanRecord[] {
  const tsc = spec.isConverted ? [] : [tscInfo()];
  if (spec.guest !== "pv") return [...tsc, hvmContext(), hvmParams()];
  const vcpus = Array.from({ length: spec.vcpus }, (_, id) => vcpuRecords(id, spec.width));
  return [...tsc, sharedInfo(), ...vcpus.flat()];
}

export const libxcRecords = (spec: GuestSpec): PlanRecord[] => [
  ...imageStart(spec),
  ...memory(spec),
  ...guestState(spec),
  libxcRecord(LIBXC.end),
];

// ---- libxl ------------------------------------------------------------------------------------

const emulatorRecords = ({ guest }: GuestSpec): PlanRecord[] =>
  guest === "hvm" ? [xenstoreData(), emulatorContext()] : [];

export const libxlRecords = (spec: GuestSpec): PlanRecord[] => [
  libxlHeader(spec.isConverted ? LEGACY_MASK : 0),
  libxlRecord(LIBXL.libxcContext),
  ...libxcRecords(spec),
  ...emulatorRecords(spec),
  libxlRecord(LIBXL.end),
];

export interface CheckpointSpec {
  readonly checkpoints: number;
  /** COLO: a CHECKPOINT_STATE before each round but the first. */
  readonly isColo: boolean;
}

/** Rounds of memory, state and CHECKPOINT, each with libxl's tail. No END: the channel breaks. */
export function checkpointedRecords(
  spec: GuestSpec,
  { checkpoints, isColo }: CheckpointSpec,
): PlanRecord[] {
  const rounds = Array.from({ length: checkpoints }, (_, round) => [
    ...(isColo && round > 0 ? [checkpointState(0)] : []),
    ...(round === 0 ? memory(spec) : [pageData([{ pfn: round, type: NOTAB }])]),
    ...guestState(spec),
    libxcRecord(LIBXC.checkpoint),
    ...emulatorRecords(spec),
    libxlRecord(LIBXL.checkpointEnd),
  ]);
  return [libxlHeader(0), libxlRecord(LIBXL.libxcContext), ...imageStart(spec), ...rounds.flat()];
}

// ---- Whole streams ----------------------------------------------------------------------------

const withXl = (guest: GuestSpec["guest"], records: readonly PlanRecord[]): StreamPlan => ({
  records: [...xlRecords(guestConfig(guest), CONFIG_JSON_MASK | STREAM_V2_MASK), ...records],
});

/** What `xl save` writes. */
export const xlPlan = (spec: GuestSpec): StreamPlan => withXl(spec.guest, libxlRecords(spec));

/** What Remus or COLO sends. */
export const checkpointedPlan = (spec: GuestSpec, checkpoints: CheckpointSpec): StreamPlan =>
  withXl(spec.guest, checkpointedRecords(spec, checkpoints));

const planOf = (records: PlanRecord[]): StreamPlan => ({ records });

/** The saver was asked to send everything again, to be compared. */
function verifyModePlan(): StreamPlan {
  const plan = xlPlan(PV64);
  const index = plan.records.findIndex(({ name }) => name === LIBXC.tscInfo.name);
  plan.records.splice(index, 0, verifyMode(), ...memory(PV64));
  return plan;
}

/** A checkpointed stream that ended in order, which savers do not do but readers accept. */
function remusWithEnd(): StreamPlan {
  const plan = checkpointedPlan(PV64, { checkpoints: 1, isColo: false });
  plan.records.push(...guestState(PV64), libxcRecord(LIBXC.end), libxlRecord(LIBXL.end));
  return plan;
}

const xlLegacy = (guest: "pv" | "hvm", records: readonly PlanRecord[]): StreamPlan => ({
  records: [...xlRecords(guestConfig(guest), CONFIG_JSON_MASK), ...records],
});

const PLAIN = { qemu: "DeviceModelRecord0002" } as const;

/** One valid stream of every kind, by name. */
export const VALID_PLANS: Readonly<Record<string, () => StreamPlan>> = {
  "xl, PV 64": () => xlPlan(PV64),
  "xl, PV 32": () => xlPlan(PV32),
  "xl, HVM": () => xlPlan(HVM),
  "xl, PVH": () => xlPlan(PVH),
  "xl, PV 64 with VERIFY": verifyModePlan,
  "libxl, PV 64": () => planOf(libxlRecords(PV64)),
  "libxl, HVM": () => planOf(libxlRecords(HVM)),
  "libxl, converted PV": () => planOf(libxlRecords({ ...PV64, isConverted: true })),
  "libxl, converted HVM": () => planOf(libxlRecords({ ...HVM, isConverted: true })),
  "libxc version 2, PV 64": () => planOf(libxcRecords({ ...PV64, version: 2 })),
  "libxc version 2, PV 32": () => planOf(libxcRecords({ ...PV32, version: 2 })),
  "libxc version 2, HVM": () => planOf(libxcRecords({ ...HVM, version: 2 })),
  "libxc version 3, PV 64": () => planOf(libxcRecords(PV64)),
  "libxc version 3, HVM": () => planOf(libxcRecords(HVM)),
  "Remus, PV": () => checkpointedPlan(PV64, { checkpoints: 3, isColo: false }),
  "Remus, HVM": () => checkpointedPlan(HVM, { checkpoints: 2, isColo: false }),
  "Remus, PV, with an END": remusWithEnd,
  "COLO, PV": () => checkpointedPlan(PV64, { checkpoints: 2, isColo: true }),
  "COLO, HVM": () => checkpointedPlan(HVM, { checkpoints: 3, isColo: true }),
  "suspend image, PV": () => planOf(suspendRecords("libxc", libxcRecords(PV64))),
  "suspend image, HVM": () => planOf(suspendRecords("libxc", libxcRecords(HVM))),
  "suspend image, libxl": () => planOf(suspendRecords("libxl", libxlRecords(PV64))),
  "suspend image, legacy": () => planOf(suspendRecords("legacy", legacyHvmRecords(8, PLAIN))),
  "old suspend image, PV": () => planOf(suspendOldRecords(libxcRecords(PV64), false)),
  "old suspend image, HVM": () => planOf(suspendOldRecords(libxcRecords(HVM), true)),
  "old suspend image, legacy": () => planOf(suspendOldRecords(legacyHvmRecords(8, PLAIN), false)),
  "legacy PV, tool 64, guest 64": () => planOf(legacyPvRecords({ width: 8, guestWidth: 8 })),
  "legacy PV, tool 64, guest 32": () => planOf(legacyPvRecords({ width: 8, guestWidth: 4 })),
  "legacy PV, tool 32, guest 64": () => planOf(legacyPvRecords({ width: 4, guestWidth: 8 })),
  "legacy PV, tool 32, guest 32": () => planOf(legacyPvRecords({ width: 4, guestWidth: 4 })),
  "legacy HVM, tool 64": () => planOf(legacyHvmRecords(8, PLAIN)),
  "legacy HVM, tool 32": () => planOf(legacyHvmRecords(4, PLAIN)),
  "legacy HVM without QEMU": () => planOf(legacyHvmRecords(8, { qemu: undefined })),
  "legacy HVM, QEMU to the end": () =>
    planOf(legacyHvmRecords(8, { qemu: "QemuDeviceModelRecord" })),
  "legacy HVM, Remus QEMU": () => planOf(legacyHvmRecords(8, { qemu: "RemusDeviceModelState" })),
  "xl, legacy PV": () => xlLegacy("pv", legacyPvRecords({ width: 8, guestWidth: 8 })),
  "xl, legacy HVM": () => xlLegacy("hvm", legacyHvmRecords(8, PLAIN)),
};

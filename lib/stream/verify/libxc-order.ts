// What a libxc image must contain, and in which order (docs/specs/libxc-migration-stream, "Layout";
// what libxc enforces: tools/libs/guest/xg_sr_restore*.c). Independent records may come in any
// order: what is not in this file is free.

import type { Place } from "../../bytes/index.ts";
import { DOMAIN_HVM, DOMAIN_PV, LIBXC, type LibxcRecordLayout } from "../libxc/index.ts";
import type { StreamRecord } from "../walk/index.ts";
import type { FindingLog } from "./finding-log.ts";

/** What came so far. Static and guest-wide records count once, the others once a checkpoint. */
export interface ImageState {
  version: number;
  domainType: number;
  /** xen_major 0: a converted legacy stream, which lacks some records by nature. */
  isConverted: boolean;
  guestWidth: number | undefined;
  tableLevels: number | undefined;
  pfnLast: number | undefined;
  checkpoints: number;
  readonly seen: Set<string>;
  readonly seenThisRound: Set<string>;
  /** vcpus with a context, in this round. */
  readonly vcpus: Set<number>;
  /** Order problems already reported: one of a kind is enough. */
  readonly reported: Set<string>;
}

export const newImage = (): ImageState => ({
  version: 3,
  domainType: 0,
  isConverted: false,
  guestWidth: undefined,
  tableLevels: undefined,
  pfnLast: undefined,
  checkpoints: 0,
  seen: new Set(),
  seenThisRound: new Set(),
  vcpus: new Set(),
  reported: new Set(),
});

interface OrderRule {
  readonly record: string;
  /** Must have come before it. */
  readonly needs: string;
  readonly severity: "error" | "warn";
  readonly guest: number | undefined;
  /** Image versions it holds for. */
  readonly since: 2 | 3;
}

const [PAGES, P2M, PV_INFO] = [LIBXC.pageData.name, LIBXC.p2mFrames.name, LIBXC.pvInfo.name];
const SDE = LIBXC.staticDataEnd.name;
// Pages need the P2M frames, because they tell libxc the last pfn: until then it is 0.
// prettier-ignore: one rule a line.
const ORDER: readonly OrderRule[] = [
  { record: PAGES, needs: SDE, severity: "error", guest: undefined, since: 3 },
  { record: P2M, needs: SDE, severity: "error", guest: DOMAIN_PV, since: 3 },
  { record: P2M, needs: PV_INFO, severity: "error", guest: DOMAIN_PV, since: 2 },
  { record: PAGES, needs: P2M, severity: "error", guest: DOMAIN_PV, since: 2 },
  { record: LIBXC.sharedInfo.name, needs: PV_INFO, severity: "error", guest: DOMAIN_PV, since: 2 },
  { record: LIBXC.vcpuBasic.name, needs: PAGES, severity: "warn", guest: DOMAIN_PV, since: 2 },
];

/** Before a record's body is looked at. */
export function checkOrder(
  image: ImageState,
  {
    record,
    layout,
    log,
  }: {
    readonly record: StreamRecord;
    readonly layout: LibxcRecordLayout;
    readonly log: FindingLog;
  },
): void {
  const { name } = layout;
  // A guest has thousands of batches: behind the first one there is nothing more to say of them.
  if (name === PAGES && image.seenThisRound.has(PAGES)) return;
  for (const rule of ORDER) {
    if (rule.record !== name || image.seen.has(rule.needs)) continue;
    if (rule.since > image.version || (rule.guest ?? image.domainType) !== image.domainType)
      continue;
    if (once(image, `${name} before ${rule.needs}`)) {
      const expected = `${rule.needs} before ${name}`;
      log[rule.severity](record, { field: "order", expected, found: "none so far" });
    }
  }
  if (layout.isStatic && image.seen.has(SDE) && once(image, `static ${name}`)) {
    log.warn(record, { field: "order", expected: `${name} before ${SDE}`, found: "behind it" });
  }
  if (image.seen.has(name) && REPEATED[name] !== undefined) {
    log[REPEATED[name]](record, { field: "type", expected: `one ${name}`, found: "another one" });
  }
  const wanted =
    layout.guest === "pv" ? DOMAIN_PV : layout.guest === "hvm" ? DOMAIN_HVM : undefined;
  if (wanted !== undefined && wanted !== image.domainType) {
    const found = `${name}, which libxc refuses there`;
    const kind = image.domainType === DOMAIN_PV ? "a PV" : "an HVM";
    log.error(record, { field: "type", expected: `records of ${kind} guest`, found });
  }
  if (layout.since > image.version) {
    const found = `${name}, which version 3 brought`;
    log.warnStrict(record, {
      field: "type",
      expected: `records of version ${image.version}`,
      found,
    });
  }
  image.seen.add(name);
  image.seenThisRound.add(name);
}

/** Records that come once, and how bad a second one is. */
const REPEATED: Readonly<Record<string, "error" | "warn">> = {
  [PV_INFO]: "error",
  [SDE]: "error",
  [P2M]: "warn",
  [LIBXC.cpuidPolicy.name]: "warn",
  [LIBXC.msrPolicy.name]: "warn",
};

function once(image: ImageState, key: string): boolean {
  if (image.reported.has(key)) return false;
  image.reported.add(key);
  return true;
}

interface Requirement {
  readonly name: string;
  readonly severity: "error" | "warn";
  readonly guest: number | undefined;
  readonly since: 2 | 3;
  /** Needed again in every checkpoint. */
  readonly everyRound: boolean;
}

// prettier-ignore: one requirement a line.
const REQUIRED: readonly Requirement[] = [
  { name: SDE, severity: "error", guest: undefined, since: 3, everyRound: false },
  { name: PV_INFO, severity: "error", guest: DOMAIN_PV, since: 2, everyRound: false },
  { name: P2M, severity: "error", guest: DOMAIN_PV, since: 2, everyRound: false },
  { name: PAGES, severity: "error", guest: undefined, since: 2, everyRound: false },
  { name: LIBXC.sharedInfo.name, severity: "error", guest: DOMAIN_PV, since: 2, everyRound: true },
  { name: LIBXC.vcpuBasic.name, severity: "error", guest: DOMAIN_PV, since: 2, everyRound: true },
  { name: LIBXC.hvmContext.name, severity: "error", guest: DOMAIN_HVM, since: 2, everyRound: true },
  { name: LIBXC.hvmParams.name, severity: "error", guest: DOMAIN_HVM, since: 2, everyRound: false },
  { name: LIBXC.tscInfo.name, severity: "warn", guest: undefined, since: 2, everyRound: false },
  { name: LIBXC.cpuidPolicy.name, severity: "warn", guest: undefined, since: 3, everyRound: false },
  { name: LIBXC.msrPolicy.name, severity: "warn", guest: undefined, since: 3, everyRound: false },
];
const LACKED_BY_CONVERTED: readonly string[] = [
  LIBXC.cpuidPolicy.name,
  LIBXC.msrPolicy.name,
  LIBXC.tscInfo.name,
];

/** At END or CHECKPOINT: what should have come and has not. */
export function checkComplete(image: ImageState, place: Place, log: FindingLog): void {
  for (const { name, severity, guest, since, everyRound } of REQUIRED) {
    if (since > image.version || (guest ?? image.domainType) !== image.domainType) continue;
    if (image.isConverted && LACKED_BY_CONVERTED.includes(name)) continue;
    if (image.seen.has(name) && (!everyRound || image.seenThisRound.has(name))) continue;
    // In a later checkpoint libxc would apply the record of an earlier one again.
    const level = image.seen.has(name) ? "warn" : severity;
    log[level](place, { field: "order", expected: `${name} before this record`, found: "none" });
  }
}

// Which records make up the state at the end: the second walk, up to the end that counts.
//
//   record                           of it counts
//   headers, PV info, policies,
//     P2M frames                     all: they stand once
//   PAGE_DATA                        the last entry of each pfn; none behind a VERIFY
//   TSC, shared info, vcpus,
//     HVM context and params         those of the last round that has the type; of these the last
//                                    one, or the last one for each vcpu
//   emulator records                 those behind the last round
//   VERIFY, CHECKPOINT,
//     CHECKPOINT_END and _STATE      none
//   optional, of unknown type        none: nobody knows which round they belong to
//
// A vcpu that is down has no records in a round. libxc would bring up what an earlier round said of
// it; the guest that was running at the checkpoint has it down, and so has what counts here.

import { hex, plural } from "../../base/index.ts";
import { type Finding, read, sizeOf, StreamError } from "../../bytes/index.ts";
import {
  DOMAIN_HEADER,
  IMAGE_HEADER,
  isOptionalType,
  LIBXC,
  libxcRecordOf,
  VCPU_HEAD,
} from "../libxc/index.ts";
import { LIBXL, libxlRecordOf } from "../libxl/index.ts";
import type { HeaderEvent, PfnList, Piece, StreamRecord, Visitor, Want } from "../walk/index.ts";
import { type PageEntry, PageReader, refusal } from "./page-reader.ts";

/** What becomes of a record. */
export type Fate =
  /** It stands in the result as it is. */
  | "keep"
  /** Only the last version counts: whether this is it, `isChosen` tells. */
  | "latest"
  | "pages"
  | "drop"
  /** Libxl's records behind a round: those of the last round count. */
  | "tail";

const VCPU_TYPES: ReadonlySet<number> = new Set([
  LIBXC.vcpuBasic.type,
  LIBXC.vcpuExtended.type,
  LIBXC.vcpuXsave.type,
  LIBXC.vcpuMsrs.type,
]);

const FATES = new Map<number, Fate>([
  [LIBXC.end.type, "keep"],
  [LIBXC.pvInfo.type, "keep"],
  [LIBXC.p2mFrames.type, "keep"],
  [LIBXC.staticDataEnd.type, "keep"],
  [LIBXC.cpuidPolicy.type, "keep"],
  [LIBXC.msrPolicy.type, "keep"],
  [LIBXC.pageData.type, "pages"],
  [LIBXC.tscInfo.type, "latest"],
  [LIBXC.sharedInfo.type, "latest"],
  [LIBXC.hvmContext.type, "latest"],
  [LIBXC.hvmParams.type, "latest"],
  ...[...VCPU_TYPES].map((type) => [type, "latest"] as const),
  [LIBXC.verify.type, "drop"],
  [LIBXC.checkpoint.type, "drop"],
]);

/** Xen's largest domain has 8192 vcpus (MAX_VIRT_CPUS, PV); a stream may claim 2^32 of them. */
const VCPUS_MAX = 8192;

/** What becomes of a record; throws for one that no reader takes. */
export function fateOf(record: StreamRecord): Fate {
  if (record.layer === "libxc") {
    const fate = FATES.get(record.type);
    if (fate !== undefined) return isEmptyVcpu(record) ? "drop" : fate;
    if (isOptionalType(record.type)) return "drop";
    const known = libxcRecordOf(record.type);
    throw refusal(record, {
      field: "type",
      fileOffset: record.fileOffset,
      expected: "a record that libxc restores",
      found: known?.name ?? hex(record.type),
    });
  }
  if (record.layer !== "libxl") return "keep";
  switch (record.type) {
    case LIBXL.end.type:
    case LIBXL.libxcContext.type:
      return "keep";
    case LIBXL.emulatorContext.type:
    case LIBXL.emulatorXenstoreData.type:
      return "tail";
    case LIBXL.checkpointEnd.type:
    case LIBXL.checkpointState.type:
      return "drop";
    default:
      throw refusal(record, {
        field: "type",
        fileOffset: record.fileOffset,
        expected: `a type from 0x0 to ${hex(LIBXL.checkpointState.type)}`,
        found: libxlRecordOf(record.type)?.name ?? hex(record.type),
      });
  }
}

/** Whether a record is of one vcpu: its head says of which. */
export const isVcpuRecord = ({ layer, type }: StreamRecord): boolean =>
  layer === "libxc" && VCPU_TYPES.has(type);

/** Savers of Xen 4.6 to 4.8 wrote records without contents, which restore passes over. */
const isEmptyVcpu = ({ type, bodyBytes }: StreamRecord): boolean =>
  VCPU_TYPES.has(type) && bodyBytes <= sizeOf(VCPU_HEAD);

/** The records of one type that count so far. */
interface Latest {
  round: number;
  /** Record numbers by vcpu; by 0 for what a guest has once. */
  readonly byVcpu: Map<number, number>;
}

export interface Image {
  readonly version: number;
  readonly domainType: number;
  /** "4.20"; undefined for a converted stream. */
  readonly xen: string | undefined;
}

/** A visitor that chooses, and hands every entry that restore would look at to `onEntry`. */
export class Chooser implements Visitor {
  /** undefined before the image's headers. */
  image: Image | undefined;
  readonly reader: PageReader;
  /** Records of unknown type that restore would pass over. */
  optionalRecords = 0;
  /** The device model's records behind the last round. */
  tailRecords = 0;
  /** Complete rounds: checkpoints met. */
  private round = 0;
  private hasTailEnded = false;
  private version = 0;
  private readonly latest = new Map<number, Latest>();
  private chosen: Set<number> | undefined;

  constructor(onEntry: (entry: PageEntry) => void) {
    this.reader = new PageReader(onEntry);
  }

  header({ record }: HeaderEvent, { view, at }: Piece): void {
    if (record === "image_header") this.version = read(IMAGE_HEADER, view, at).version;
    if (record !== "domain_header") return;
    const { type, xen_major: major, xen_minor: minor } = read(DOMAIN_HEADER, view, at);
    const xen = major === 0 ? undefined : `${major}.${minor}`;
    this.image = { version: this.version, domainType: type, xen };
  }

  record(record: StreamRecord): Want {
    this.reader.begin(record);
    const fate = fateOf(record);
    if (record.layer === "libxc" && isOptionalType(record.type)) this.optionalRecords++;
    if (fate === "pages") return "head";
    if (fate === "tail") this.noteTail();
    if (fate !== "latest") return "nothing";
    if (VCPU_TYPES.has(record.type)) return "head"; // Which vcpu it is of.
    this.note(record, 0);
    return "nothing";
  }

  body(record: StreamRecord, { view, at }: Piece): void {
    if (!VCPU_TYPES.has(record.type)) return; // The head of a batch.
    this.note(record, read(VCPU_HEAD, view, at).vcpu_id);
  }

  private noteTail(): void {
    if (this.hasTailEnded) this.tailRecords = 0;
    this.hasTailEnded = false;
    this.tailRecords++;
  }

  private note(record: StreamRecord, vcpu: number): void {
    const { round } = this;
    let latest = this.latest.get(record.type);
    if (latest === undefined || latest.round < round) {
      latest = { round, byVcpu: new Map() };
      this.latest.set(record.type, latest);
    }
    latest.byVcpu.set(vcpu, record.recordNumber);
    if (latest.byVcpu.size <= VCPUS_MAX) return;
    throw refusal(record, {
      field: "vcpu_id",
      fileOffset: record.bodyOffset,
      expected: `at most ${plural(VCPUS_MAX, "vcpu")}`,
      found: "another one",
    });
  }

  pfns(record: StreamRecord, list: PfnList): void {
    this.reader.pfns(record, list);
  }
  pages(): void {}
  recordEnd(record: StreamRecord): void {
    this.reader.end(record);
  }
  checkpoint(): void {
    if (this.hasTailEnded) this.tailRecords = 0; // This round had none.
    this.hasTailEnded = true;
    this.round++;
  }
  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
  }

  /** Behind the walk: whether a record with the fate "latest" is among the last versions. */
  isChosen({ recordNumber }: StreamRecord): boolean {
    this.chosen ??= new Set(
      [...this.latest.values()].flatMap(({ byVcpu }) => [...byVcpu.values()]),
    );
    return this.chosen.has(recordNumber);
  }

  /** Behind the walk: whether a round is the one that counts. */
  isLastRound(checkpointsBefore: number): boolean {
    return this.round === 0 || checkpointsBefore === this.round - 1;
  }
}

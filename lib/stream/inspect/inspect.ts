// inspect: a visitor that gathers what is in a stream, and the report of it. Each part of the
// report has its own file; here is only who gets what.

import { check, type Finding, read, type Source } from "../../bytes/index.ts";
import type { Compression, Format } from "../detect.ts";
import { DOMAIN_HEADER, DOMAIN_HVM, DOMAIN_PV, IMAGE_HEADER, PAGE_BYTES } from "../libxc/index.ts";
import { FindingLog, reportFinding } from "../verify/index.ts";
import {
  type Checkpoint,
  type HeaderEvent,
  type LegacyGuest,
  type PfnList,
  type Piece,
  type StreamRecord,
  type Visitor,
  walk,
  type WalkEnd,
  type Want,
} from "../walk/index.ts";
import { CONFIG_JSON_MASK, SAVE_HEADER } from "../xl/index.ts";
import { Batch } from "./batch.ts";
import { configFacts } from "./config.ts";
import { ContentsScan } from "./contents.ts";
import { GuestState } from "./guest-state.ts";
import { Headers } from "./headers.ts";
import { BATCH_RECORDS, Iterations } from "./iterations.ts";
import { Memory } from "./memory.ts";
import { type OnPage, type PageRange, PageVersions } from "./page-versions.ts";
import { CELL_DUPLICATE_MASK, CELL_ZERO_MASK } from "./pfn-map.ts";
import { type OnDetailPiece, RecordDetailReader } from "./record-detail.ts";
import { Records } from "./records.ts";
import type { InspectReport } from "./report.ts";

const FINDINGS_KEPT = 20;

export interface InspectOptions {
  /** undefined: found by the first bytes. */
  readonly format: Format | undefined;
  readonly compression: Compression | undefined;
  /** Read page contents, and count zero and duplicate pages. */
  readonly contents: boolean;
  /** Number of a record that is wanted in full. */
  readonly record: number | undefined;
  /** Pages that are wanted with all their versions. */
  readonly pages: PageRange | undefined;
  readonly onProgress: (position: number) => void;
  /** Told of each version of a wanted page, and of each piece of the wanted record. */
  readonly onPage: OnPage;
  readonly onDetailPiece: OnDetailPiece;
}

/** Walks `source` to its end and gathers what is in it. Throws SystemError and Bug only. */
export function inspectStream(source: Source, options: InspectOptions): InspectReport {
  const visitor = new Inspector(options);
  const end = walk(source, visitor, options);
  return visitor.report(end, source.name);
}

class Inspector implements Visitor {
  private readonly options: InspectOptions;
  private readonly log = new FindingLog(FINDINGS_KEPT);
  private readonly headers = new Headers();
  private readonly records = new Records();
  private readonly memory = new Memory();
  private readonly iterations: Iterations;
  private readonly batch = new Batch();
  private readonly contents: ContentsScan | undefined;
  private readonly state: GuestState;
  private readonly detail: RecordDetailReader | undefined;
  private readonly versions: PageVersions | undefined;
  private readonly guest = { type: 0, version: 0, xen: "", isConverted: false, pageShift: 0 };
  private isDetail = false;

  constructor(options: InspectOptions) {
    const { contents, record, pages, onPage, onDetailPiece } = options;
    this.options = options;
    this.iterations = new Iterations({ hasContents: contents });
    this.contents = contents ? new ContentsScan() : undefined;
    this.state = new GuestState((finding) => this.log.add(finding));
    if (record !== undefined) this.detail = new RecordDetailReader(record, onDetailPiece);
    if (pages !== undefined) this.versions = new PageVersions(pages, onPage);
  }

  header(header: HeaderEvent, piece: Piece): void {
    const { layout, ...place } = header;
    for (const finding of check(layout, piece.view, piece.at, place)) {
      // An error stops the walk there, which tells it.
      if (finding.severity === "warning") this.log.add(finding);
    }
    this.headers.add(header, piece);
    const { view, at } = piece;
    if (header.record === "save_header") {
      const { mandatory_flags: flags } = read(SAVE_HEADER, view, at);
      this.state.configIsJson = (flags & CONFIG_JSON_MASK) !== 0;
    } else if (header.record === "image_header") {
      this.guest.version = read(IMAGE_HEADER, view, at).version;
    } else if (header.record === "domain_header") {
      const domain = read(DOMAIN_HEADER, view, at);
      this.guest.type = domain.type;
      this.guest.pageShift = domain.page_shift;
      this.guest.isConverted = domain.xen_major === 0;
      this.guest.xen = domain.xen_major === 0 ? "" : `${domain.xen_major}.${domain.xen_minor}`;
    }
  }

  record(record: StreamRecord): Want {
    this.records.add(record);
    this.iterations.record(record);
    this.isDetail = this.detail?.number === record.recordNumber;
    if (this.isDetail) this.detail?.begin(record);
    if (BATCH_RECORDS.includes(record.record)) {
      this.batch.begin();
      return this.contents === undefined && this.versions === undefined ? "head" : "body";
    }
    const want = this.state.record(record);
    return this.isDetail ? "body" : want;
  }

  body(record: StreamRecord, piece: Piece): void {
    if (this.isDetail) this.detail?.body(piece);
    this.state.body(record, piece);
  }

  pfns(record: StreamRecord, list: PfnList): void {
    const part = this.memory.add(record, list);
    this.iterations.batch(record, part, list.firstIndex === 0);
    if (this.isDetail) this.detail?.pfns(list);
    if (this.contents !== undefined || this.versions !== undefined) this.batch.add(record, list);
    this.versions?.entries(record, list, this.iterations.number);
  }

  pages(record: StreamRecord, piece: Piece): void {
    const { bytes, at: start, length } = piece;
    const { batch, contents, versions, memory, iterations } = this;
    const iteration = iterations.number;
    for (let done = 0; done + PAGE_BYTES <= length; done += PAGE_BYTES) {
      const pfn = batch.pfnAt(piece.bodyAt + done);
      if (pfn === undefined) return;
      const at = start + done;
      const likeness = contents?.look(bytes, at) ?? "new";
      if (likeness !== "new") {
        memory.map.mark(pfn, likeness === "zero" ? CELL_ZERO_MASK : CELL_DUPLICATE_MASK);
        iterations.contents(likeness);
      }
      const fileOffset = record.bodyOffset + piece.bodyAt + done;
      versions?.contents(record, { pfn, iteration, fileOffset }, { bytes, at });
    }
  }

  recordEnd(record: StreamRecord): void {
    this.state.recordEnd();
    if (this.isDetail) this.detail?.setRows(parsedRows(record, this.state));
    this.isDetail = false;
  }

  legacyGuest(guest: LegacyGuest): void {
    this.state.setLegacyGuest(guest);
  }

  checkpoint({ number }: Checkpoint): void {
    this.iterations.checkpointEnd(number);
  }

  problem(finding: Finding): void {
    this.log.add(finding);
  }

  report(end: WalkEnd, input: string): InspectReport {
    const { state, log, records, headers, contents, versions, options } = this;
    const { stopped, trailing } = end;
    if (stopped !== undefined) log.add(stopped);
    return {
      input,
      format: end.format ?? null,
      compression: options.compression ?? null,
      kind: end.kind,
      end_offset: end.position,
      records: end.records,
      complete: stopped === undefined,
      stopped: stopped === undefined ? null : reportStop(stopped, end.isTruncated),
      errors: log.errors,
      warnings: log.warnings,
      problems: log.findings.map(reportFinding),
      trailing:
        trailing === undefined
          ? null
          : { offset: trailing.fileOffset, bytes: trailing.bytes, what: trailing.what },
      checkpoints: {
        complete: end.checkpoints,
        last_end_offset: end.lastCheckpointEnd ?? null,
        failover: end.outcome === undefined ? null : end.outcome === "failover",
      },
      guest: this.reportGuest(),
      headers: headers.list,
      record_types: records.typeRows,
      record_types_left_off: records.typesLeftOff,
      record_runs: records.runs,
      record_runs_left_off: records.runsLeftOff,
      memory: this.memory.report({ hasContents: contents !== undefined }),
      iterations: this.iterations.report(),
      contents: contents?.report() ?? null,
      tsc: state.tsc,
      vcpus: [...state.pvVcpus.list, ...state.hvm.vcpuList],
      vcpus_left_off: state.pvVcpus.leftOff + state.hvm.vcpusLeftOff,
      hvm_params: state.hvm.paramList,
      hvm_context: state.hvm.context,
      emulators: state.emulators.list,
      xenstore: state.xenstore.list,
      xenstore_left_off: state.xenstore.leftOff,
      cpuid: state.cpuid,
      msrs: state.msrs,
      config: state.config,
      suspend_image: state.suspendImage,
      record: this.detail?.report() ?? null,
      pages:
        options.pages === undefined || versions === undefined
          ? null
          : {
              first_pfn: options.pages.first,
              last_pfn: options.pages.last,
              versions: versions.versions,
              left_off: versions.leftOff,
            },
    };
  }

  private reportGuest(): InspectReport["guest"] {
    const { guest, state } = this;
    const facts = configFacts(state.config);
    const { type, version, xen, isConverted, pageShift } = guest;
    const vcpus = state.pvVcpus.list.length + state.hvm.vcpuList.length;
    const ofImage = type === DOMAIN_PV ? "pv" : type === DOMAIN_HVM ? "hvm" : null;
    const isLegacy = state.legacyGuest !== null;
    return {
      name: facts.name,
      type: ofImage ?? state.legacyGuest,
      config_type: facts.type,
      xen: xen === "" ? null : xen,
      libxc_version: version === 0 ? null : version,
      converted: isConverted,
      bits: state.pvWidth === null ? null : state.pvWidth * 8,
      page_table_levels: state.pvTableLevels,
      page_bytes: pageShift > 0 && pageShift < 32 ? 2 ** pageShift : isLegacy ? PAGE_BYTES : null,
      last_pfn: state.lastPfn,
      vcpus: vcpus === 0 ? null : vcpus,
    };
  }
}

/** The report with one more error: what was wrong with the compressed data around the stream. */
export function withDamage(report: InspectReport, finding: Finding): InspectReport {
  const problems = [...report.problems, reportFinding(finding)];
  return { ...report, complete: false, errors: report.errors + 1, problems };
}

const reportStop = (finding: Finding, truncated: boolean): InspectReport["stopped"] => ({
  offset: finding.fileOffset,
  truncated,
  layer: finding.layer,
  record: finding.record,
  record_number: finding.recordNumber,
  field: finding.field,
  expected: finding.expected,
  found: finding.found,
});

/** What the parser of this record's body found, as rows. */
function parsedRows({ record }: StreamRecord, state: GuestState): Record<string, string>[] {
  if (record === "HVM_CONTEXT") {
    return (state.hvm.context?.entries ?? []).map((entry) => ({
      entry: entry.name,
      instance: String(entry.instance),
      offset: `0x${entry.offset.toString(16)}`,
      bytes: String(entry.bytes),
      ...entry.fields,
    }));
  }
  if (!["EMULATOR_CONTEXT", "QEMU", "QEMU_XEN"].includes(record)) return [];
  return (state.emulators.list.at(-1)?.sections ?? []).map((section) => ({
    section: section.name,
    instance: String(section.instance_id),
    version: String(section.version_id),
    offset: `0x${section.offset.toString(16)}`,
    bytes: String(section.bytes),
  }));
}

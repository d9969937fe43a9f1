// verify: a visitor that checks everything the walk announces, and the report of what it found.

import * as v from "valibot";
import { check, type Finding, offsetOf, read, type Source } from "../../bytes/index.ts";
import type { Compression, Format } from "../detect.ts";
import { DOMAIN_HVM, DOMAIN_PV, LIBXC } from "../libxc/index.ts";
import { parseQemuStream, type QemuParser } from "../qemu/index.ts";
import {
  type Checkpoint,
  type HeaderEvent,
  type PfnList,
  type Piece,
  type StreamRecord,
  type Visitor,
  walk,
  type WalkEnd,
  type Want,
} from "../walk/index.ts";
import { XAPI_HEADER, xapiRecordOf } from "../xapi/index.ts";
import { CONFIG_JSON_MASK, SAVE_HEADER } from "../xl/index.ts";
import { checkBackChannel, isBackChannel } from "./colo-back.ts";
import { FindingLog } from "./finding-log.ts";
import { LegacyChecker } from "./legacy.ts";
import { LibxcChecker } from "./libxc.ts";
import { LibxlChecker } from "./libxl.ts";
import { findingMark, type VerifyMark, VerifyMarkSchema } from "./mark.ts";
import type { VerifyReport } from "./report.ts";
import { checkXlConfig, type XlConfig } from "./xl-config.ts";

const MAGIC_FIELDS: readonly string[] = ["marker", "id", "ident", "byteorder"];

export interface VerifyOptions {
  /** undefined: found by the first bytes. */
  readonly format: Format | undefined;
  readonly compression: Compression | undefined;
  /** Keep at most so many findings; all are counted. */
  readonly limit: number;
  readonly onProgress: (position: number) => void;
  /** Told of every header and record before it is checked: for listings. */
  readonly listener: VerifyListener;
  /** See WalkOptions. */
  readonly tailsElsewhere?: boolean;
  readonly from?: VerifyMark | undefined;
  readonly onSeam?: ((mark: () => VerifyMark) => void) | undefined;
}

export interface VerifyListener {
  readonly header?: Visitor["header"];
  readonly record?: (record: StreamRecord) => void;
  readonly body?: Visitor["body"];
  readonly checkpoint?: Visitor["checkpoint"];
  /** Told of each problem at once, the unlisted ones too. */
  readonly finding?: (finding: Finding) => void;
}

/** Walks `source` to its end and checks everything. Throws SystemError and Bug only. */
export function verifyStream(source: Source, options: VerifyOptions): VerifyReport {
  const { from, onSeam } = options;
  if (options.format === undefined && from === undefined && isBackChannel(source)) {
    return verifyBackChannel(source, options);
  }
  const visitor = new Verifier(options);
  if (from !== undefined) visitor.restore(from);
  const end = walk(source, visitor, {
    format: options.format,
    onProgress: options.onProgress,
    tailsElsewhere: options.tailsElsewhere ?? false,
    from: from?.walk,
    onSeam: onSeam && ((walkMark) => onSeam(() => visitor.mark(walkMark()))),
  });
  return visitor.report(end, { input: source.name, compression: options.compression });
}

/** COLO's other direction: no stream of a guest, and none of what is in one. */
function verifyBackChannel(source: Source, options: VerifyOptions): VerifyReport {
  const log = new FindingLog(options.limit, options.listener.finding);
  const facts = checkBackChannel(source, log);
  return {
    input: source.name,
    verdict: log.errors > 0 ? "bad" : "good",
    format: "colo-back",
    compression: options.compression ?? null,
    kind: "colo",
    end_offset: source.position,
    records: facts.records,
    guest: { name: null, type: null, xen: null, libxc_version: null },
    pages: { sent: facts.pfns, with_data: 0, distinct: facts.distinct ?? null },
    checkpoints: { complete: facts.lists, last_end_offset: null, failover: null },
    trailing: null,
    errors: log.errors,
    warnings: log.warnings,
    strict_warnings: log.strictWarnings,
    findings: log.findings.map(reportFinding),
  };
}

class Verifier implements Visitor {
  private readonly log: FindingLog;
  private readonly listener: VerifyListener;
  private readonly libxc: LibxcChecker;
  private readonly libxl: LibxlChecker;
  private readonly legacy: LegacyChecker;
  private config: XlConfig = { type: undefined, name: undefined };
  private configIsJson = false;
  private qemu: QemuParser | undefined;
  /** A suspend image has the guest's memory in one of its records. */
  private hasImage = false;
  /** Of the last header. */
  private readonly headerFindings: Finding[] = [];

  constructor({ limit, listener }: VerifyOptions) {
    this.log = new FindingLog(limit, listener.finding);
    this.listener = listener;
    this.libxc = new LibxcChecker(this.log);
    this.legacy = new LegacyChecker(this.log);
    const facts = this;
    this.libxl = new LibxlChecker(this.log, {
      get configType() {
        return facts.config.type;
      },
      get isPv() {
        return facts.libxc.image.domainType === DOMAIN_PV;
      },
    });
  }

  /** Between two records. */
  mark(walkMark: VerifyMark["walk"]): VerifyMark {
    const { log, config, configIsJson, libxc, libxl } = this;
    return {
      walk: walkMark,
      log: { ...log.state, findings: log.findings.map(findingMark) },
      config: { type: config.type ?? null, name: config.name ?? null },
      configIsJson,
      libxc: v.parse(VerifyMarkSchema.entries.libxc, libxc.state),
      libxl: libxl.state,
    };
  }

  restore({ log, config, configIsJson, libxc, libxl }: VerifyMark): void {
    this.log.restore(log);
    this.config = { type: config.type ?? undefined, name: config.name ?? undefined };
    this.configIsJson = configIsJson;
    this.libxc.restore(libxc);
    this.libxl.restore(libxl);
  }

  header(header: HeaderEvent, piece: Piece): void {
    this.listener.header?.(header, piece);
    const { layout, ...place } = header;
    this.headerFindings.length = 0;
    for (const finding of check(layout, piece.view, piece.at, place)) {
      this.log.add(finding);
      this.headerFindings.push(finding);
      // Behind a wrong magic number nothing means what the layout says.
      if (MAGIC_FIELDS.includes(finding.field)) break;
    }
    if (header.layer === "libxc") this.libxc.header(header, piece);
    if (header.layer === "xl") {
      const { mandatory_flags: flags } = read(SAVE_HEADER, piece.view, piece.at);
      this.configIsJson = (flags & CONFIG_JSON_MASK) !== 0;
    }
    if (header.record === "domain_header") this.checkGuestType(header);
  }

  /** The first error in a header is reported when the header is announced, and ends the walk. */
  private addStop(stop: Finding): void {
    const known = this.headerFindings.find(
      ({ severity, field, fileOffset }) =>
        severity === "error" && field === stop.field && fileOffset === stop.fileOffset,
    );
    this.log.addStop(stop, known);
  }

  /** The type in the config and the one in the image must be the same. */
  private checkGuestType(header: HeaderEvent): void {
    const { type } = this.config;
    if (type === undefined) return;
    const wanted = type === "pv" ? DOMAIN_PV : DOMAIN_HVM;
    if (this.libxc.image.domainType === wanted) return;
    this.log.error(header, {
      field: "type",
      expected: `${wanted}, for the config says "${type}"`,
      found: this.libxc.image.domainType,
    });
  }

  record(record: StreamRecord): Want {
    this.listener.record?.(record);
    switch (record.layer) {
      case "libxc":
        return this.libxc.record(record);
      case "libxl":
        return this.libxl.record(record);
      case "legacy":
        return this.legacy.record(record);
      case "xapi":
        return this.xapiRecord(record);
      default:
        return "body"; // The xl config.
    }
  }

  private xapiRecord(record: StreamRecord): Want {
    const content = xapiRecordOf(record.type)?.content;
    if (content === "libxc" || content === "libxl" || content === "legacy") this.hasImage = true;
    if (content === "end" && !this.hasImage) {
      // xenopsd calls such an image "well formed, but useless".
      const expected = "a LIBXC record before this record";
      this.log.error(record, { field: "order", expected, found: "none" });
    }
    if (content === "end" && record.bodyBytes > 0) {
      const fileOffset = record.fileOffset + offsetOf(XAPI_HEADER, "length");
      const found = record.bodyBytes;
      this.log.warn(record, { field: "length", fileOffset, expected: "0", found });
    }
    if (content !== "qemu") return "nothing";
    this.qemu = parseQemuStream(
      { fileOffset: record.bodyOffset, recordNumber: record.recordNumber },
      {
        configuration: () => undefined,
        section: () => undefined,
        finding: (finding) => this.log.add(finding),
      },
    );
    return "body";
  }

  body(record: StreamRecord, piece: Piece): void {
    this.listener.body?.(record, piece);
    switch (record.layer) {
      case "libxc":
        return this.libxc.body(piece);
      case "libxl":
        return this.libxl.body(record, piece);
      case "legacy":
        return this.legacy.body(record, piece);
      case "xl":
        this.config = checkXlConfig({ record, piece, log: this.log }, this.configIsJson);
        return;
      default:
        this.qemu?.feed(piece.bytes.subarray(piece.at, piece.at + piece.length));
    }
  }

  pfns(record: StreamRecord, list: PfnList): void {
    if (record.layer === "legacy") this.legacy.pfns(record, list);
    else this.libxc.pages.pfns(list);
  }

  pages(): void {} // Never asked for: contents say nothing about the stream.

  recordEnd(record: StreamRecord): void {
    if (record.layer === "libxc") {
      this.libxc.recordEnd(record);
      if (record.type === LIBXC.checkpoint.type) this.libxl.checkpointBegins();
    } else if (record.layer === "libxl") this.libxl.recordEnd(record);
    else if (record.layer === "legacy") this.legacy.recordEnd();
    this.qemu?.finish();
    this.qemu = undefined;
  }

  checkpoint(checkpoint: Checkpoint): void {
    this.listener.checkpoint?.(checkpoint); // The walk counts them.
  }

  problem(finding: Finding): void {
    this.log.add(finding);
  }

  report(
    end: WalkEnd,
    {
      input,
      compression,
    }: { readonly input: string; readonly compression: Compression | undefined },
  ): VerifyReport {
    if (end.stopped !== undefined) this.addStop(end.stopped);
    const { log, libxc, legacy, config } = this;
    const pages = legacy.pagesSent > 0 ? legacy : libxc.pages;
    const domainType = libxc.image.domainType;
    const recognised = end.format !== undefined;
    return {
      input,
      verdict: !recognised ? "unrecognised" : log.errors > 0 ? "bad" : "good",
      format: end.format ?? null,
      compression: compression ?? null,
      kind: end.kind,
      end_offset: end.position,
      records: end.records,
      guest: {
        name: config.name ?? null,
        type: domainType === DOMAIN_PV ? "pv" : domainType === DOMAIN_HVM ? "hvm" : null,
        xen: libxc.xenVersion ?? null,
        libxc_version: domainType === 0 ? null : libxc.image.version,
      },
      pages: {
        sent: pages.pagesSent,
        with_data: pages.pagesWithData,
        distinct: pages.seen.isFull ? null : pages.seen.count,
      },
      checkpoints: {
        complete: end.checkpoints,
        last_end_offset: end.lastCheckpointEnd ?? null,
        failover: end.outcome === undefined ? null : end.outcome === "failover",
      },
      trailing:
        end.trailing === undefined
          ? null
          : {
              offset: end.trailing.fileOffset,
              bytes: end.trailing.bytes,
              what: end.trailing.what,
            },
      errors: log.errors,
      warnings: log.warnings,
      strict_warnings: log.strictWarnings,
      findings: log.findings.map(reportFinding),
    };
  }
}

/**
 * The report with one more error, such as what was wrong with the compressed data around the
 * stream.
 */
export function withError(report: VerifyReport, finding: Finding): VerifyReport {
  const verdict = report.verdict === "good" ? "bad" : report.verdict;
  const findings = [...report.findings, reportFinding(finding)];
  return { ...report, verdict, errors: report.errors + 1, findings };
}

export const reportFinding = (finding: Finding) => ({
  severity: finding.severity,
  strict: finding.strict,
  layer: finding.layer,
  record: finding.record,
  record_number: finding.recordNumber,
  field: finding.field,
  offset: finding.fileOffset,
  expected: finding.expected,
  found: finding.found,
});

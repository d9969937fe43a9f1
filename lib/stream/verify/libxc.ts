// Checks of a libxc image: hands each record to the checks of order, size, body and pages.

import { offsetOf, read, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import { type HvmContextParser, parseHvmContext } from "../hvm-context/index.ts";
import {
  DOMAIN_HEADER,
  DOMAIN_HVM,
  IMAGE_HEADER,
  isOptionalType,
  LIBXC,
  type LibxcRecordLayout,
  libxcRecordOf,
  PAGE_DATA_HEAD,
} from "../libxc/index.ts";
import type { HeaderEvent, Piece, StreamRecord, Want } from "../walk/index.ts";
import type { FindingLog } from "./finding-log.ts";
import { type BodyContext, checkHead, checkRows, checkSize } from "./libxc-bodies.ts";
import { checkComplete, checkOrder, type ImageState, newImage } from "./libxc-order.ts";
import { HVM_PFN_MAX, PageChecker, type PagesState } from "./pages.ts";

/**
 * Records of page contents, and records that this reader knows no limit for, come in many pieces.
 */
const PIECEWISE: readonly LibxcRecordLayout[] = [LIBXC.hvmContext, LIBXC.p2mFrames];

export interface LibxcState {
  readonly xenVersion: string | null;
  readonly image: {
    readonly version: number;
    readonly domainType: number;
    readonly isConverted: boolean;
    readonly guestWidth: number | null;
    readonly tableLevels: number | null;
    readonly pfnLast: number | null;
    readonly checkpoints: number;
    readonly seen: readonly string[];
    readonly seenThisRound: readonly string[];
    readonly vcpus: readonly number[];
    readonly reported: readonly string[];
  };
  readonly pages: PagesState;
}

export class LibxcChecker {
  image: ImageState = newImage();
  pages: PageChecker;
  /** "4.20", or undefined for a converted legacy stream. */
  xenVersion: string | undefined;
  private readonly log: FindingLog;
  private context: BodyContext | undefined;
  private hvmContext: HvmContextParser | undefined;

  constructor(log: FindingLog) {
    this.log = log;
    this.pages = new PageChecker(log);
  }

  /** Between two records. */
  get state(): LibxcState {
    const { image, pages, xenVersion } = this;
    return {
      xenVersion: xenVersion ?? null,
      image: {
        version: image.version,
        domainType: image.domainType,
        isConverted: image.isConverted,
        guestWidth: image.guestWidth ?? null,
        tableLevels: image.tableLevels ?? null,
        pfnLast: image.pfnLast ?? null,
        checkpoints: image.checkpoints,
        seen: [...image.seen],
        seenThisRound: [...image.seenThisRound],
        vcpus: [...image.vcpus],
        reported: [...image.reported],
      },
      pages: pages.state,
    };
  }

  restore({ xenVersion, image, pages }: LibxcState): void {
    this.xenVersion = xenVersion ?? undefined;
    this.image = {
      ...image,
      guestWidth: image.guestWidth ?? undefined,
      tableLevels: image.tableLevels ?? undefined,
      pfnLast: image.pfnLast ?? undefined,
      seen: new Set(image.seen),
      seenThisRound: new Set(image.seenThisRound),
      vcpus: new Set(image.vcpus),
      reported: new Set(image.reported),
    };
    this.pages.restore(pages);
  }

  header({ record }: HeaderEvent, { view, at }: Piece): void {
    if (record === "image_header") {
      this.image = newImage();
      this.image.version = read(IMAGE_HEADER, view, at).version;
      return;
    }
    const header = read(DOMAIN_HEADER, view, at);
    this.image.domainType = header.type;
    this.image.isConverted = header.xen_major === 0;
    if (header.xen_major > 0) this.xenVersion = `${header.xen_major}.${header.xen_minor}`;
    this.pages.tableLevelMax = header.type === DOMAIN_HVM ? 0 : 4;
    this.pages.pfnMax = HVM_PFN_MAX;
  }

  record(record: StreamRecord): Want {
    const layout = libxcRecordOf(record.type);
    this.context = undefined;
    if (layout === undefined) {
      this.unknown(record);
      return "nothing";
    }
    const context = { record, layout, image: this.image, log: this.log };
    checkOrder(this.image, context);
    if (layout === LIBXC.toolstack || layout === LIBXC.dirtyPfnList) {
      const found = `${layout.name}, which libxc refuses here`;
      this.log.error(record, { field: "type", expected: "a record for the restoring side", found });
    }
    if (!checkSize(context)) return "nothing";
    this.context = context;
    if (layout === LIBXC.pageData) return "head";
    if (layout === LIBXC.hvmContext) {
      this.hvmContext = parseHvmContext(
        { fileOffset: record.bodyOffset, recordNumber: record.recordNumber },
        { entry: () => undefined, finding: (finding) => this.log.add(finding) },
      );
    }
    if (record.bodyBytes <= WHOLE_BODY_BYTES || PIECEWISE.includes(layout)) return "body";
    this.log.error(record, {
      field: "body_length",
      fileOffset: record.fileOffset + 4,
      expected: `at most ${WHOLE_BODY_BYTES} for ${layout.name}`,
      found: record.bodyBytes,
    });
    return "head";
  }

  private unknown(record: StreamRecord): void {
    const expected = "a known record type";
    if (!isOptionalType(record.type)) {
      this.log.error(record, { field: "type", expected, found: record.record });
    } else if (this.image.checkpoints > 0) {
      // While it buffers, libxc finds unknown records only when it replays them, and then refuses
      // all.
      const found = `${record.record}: libxc refuses even optional ones behind a checkpoint`;
      this.log.error(record, { field: "type", expected, found });
    } else {
      const found = `${record.record} (optional, passed over)`;
      this.log.warnStrict(record, { field: "type", expected, found });
    }
  }

  body(piece: Piece): void {
    const { context } = this;
    if (context === undefined) return;
    if (context.layout === LIBXC.pageData && isGoodPageHead(piece)) return;
    if (piece.bodyAt === 0) checkHead(context, piece);
    if (context.layout === LIBXC.p2mFrames) this.pages.pfnMax = this.image.pfnLast ?? HVM_PFN_MAX;
    if (context.layout === LIBXC.pvInfo) this.pages.tableLevelMax = this.image.tableLevels ?? 4;
    checkRows(context, piece);
    this.hvmContext?.feed(piece.bytes.subarray(piece.at, piece.at + piece.length));
  }

  recordEnd(record: StreamRecord): void {
    this.hvmContext?.finish();
    this.hvmContext = undefined;
    if (record.type === LIBXC.pageData.type) this.pages.recordEnd(record);
    const isCheckpoint = record.type === LIBXC.checkpoint.type;
    if (!isCheckpoint && record.type !== LIBXC.end.type) return;
    checkComplete(this.image, record, this.log);
    if (this.image.checkpoints === 0 && !this.image.isConverted && this.pages.pagesSent > 0) {
      const isPv = this.image.domainType !== DOMAIN_HVM;
      this.pages.checkCoverage(record, isPv ? this.image.pfnLast : undefined);
    }
    this.image.seenThisRound.clear();
    this.image.vcpus.clear();
    if (isCheckpoint) this.image.checkpoints++;
  }
}

const COUNT_AT = offsetOf(PAGE_DATA_HEAD, "count");
const RESERVED_AT = offsetOf(PAGE_DATA_HEAD, "reserved");

/** What checkHead says nothing about; without its walk of the table, for each of many batches. */
const isGoodPageHead = ({ view, at }: Piece): boolean =>
  PAGE_DATA_HEAD.count.accepts(view.getUint32(at + COUNT_AT, true)) &&
  PAGE_DATA_HEAD.reserved.accepts(view.getUint32(at + RESERVED_AT, true));

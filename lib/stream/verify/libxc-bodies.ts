// Checks of the bodies of libxc records: sizes against the layout table, every row of the records
// that are tables, and the few rules between fields that no table can say.

import { hex, plural } from "../../base/index.ts";
import { check, hasRules, read, sizeOf } from "../../bytes/index.ts";
import {
  HVM_PARAMS_HEAD,
  LIBXC,
  type LibxcRecordLayout,
  P2M_FRAMES_HEAD,
  PAGE_BYTES,
  PV_INFO,
  VCPU_BASIC_BYTES,
  VCPU_HEAD,
  VCPU_XSAVE_BYTES_MIN,
} from "../libxc/index.ts";
import type { Piece, StreamRecord } from "../walk/index.ts";
import type { FindingLog } from "./finding-log.ts";
import type { ImageState } from "./libxc-order.ts";

/** HVM_NR_PARAMS of current Xen (xen/include/public/hvm/params.h). */
const HVM_PARAMS_COUNT = 39;
/** MAX_VIRT_CPUS of x86 Xen: no PV guest has more, and no set here grows beyond it. */
const VCPUS_MAX = 8192;

export interface BodyContext {
  readonly record: StreamRecord;
  readonly layout: LibxcRecordLayout;
  readonly image: ImageState;
  readonly log: FindingLog;
}

/** body_length against the layout table. False where the body is too short to be looked at. */
export function checkSize({ record, layout, log }: BodyContext): boolean {
  const { tail } = layout;
  if (tail.kind === "pages") return true; // The walk and the page checker look at these.
  const headBytes = sizeOf(layout.head);
  const field = "body_length";
  const fileOffset = record.fileOffset + 4;
  if (record.bodyBytes < headBytes) {
    log.error(record, {
      field,
      fileOffset,
      expected: `at least ${headBytes}`,
      found: record.bodyBytes,
    });
    return false;
  }
  const tailBytes = record.bodyBytes - headBytes;
  const found = record.bodyBytes;
  switch (tail.kind) {
    case "none":
      if (tailBytes > 0 && tail.longer === "error") {
        log.error(record, { field, fileOffset, expected: String(headBytes), found });
      } else if (tailBytes > 0) {
        log.warnStrict(record, { field, fileOffset, expected: String(headBytes), found });
      }
      return true;
    case "bytes":
      if (tailBytes < tail.min || tailBytes > tail.max) {
        const [least, most] = [headBytes + tail.min, headBytes + tail.max];
        const expected = least === most ? String(least) : `${least} to ${most}`;
        log.error(record, { field, fileOffset, expected, found });
      }
      return true;
    case "rows": {
      const rowBytes = sizeOf(tail.row);
      if (tailBytes % rowBytes !== 0 || tailBytes / rowBytes < tail.min) {
        const least = tail.min === 0 ? "" : `at least ${headBytes + tail.min * rowBytes}: `;
        const head = headBytes === 0 ? "" : `${headBytes} and `;
        const expected = `${least}${head}a multiple of ${rowBytes}`;
        log.error(record, { field, fileOffset, expected, found });
      }
      return true;
    }
  }
}

/** The head's fields, at the start of the first piece. */
export function checkHead(context: BodyContext, piece: Piece): void {
  const { record, layout, log } = context;
  const place = { ...record, fileOffset: record.bodyOffset };
  for (const finding of check(layout.head, piece.view, piece.at, place)) {
    log.add({ ...finding, layer: record.layer, record: record.record });
  }
  if (layout === LIBXC.pvInfo) checkPvInfo(context, piece);
  else if (layout === LIBXC.p2mFrames) checkP2mHead(context, piece);
  else if (layout === LIBXC.hvmParams) checkParamCount(context, piece);
  else if (layout.head === VCPU_HEAD) checkVcpu(context, piece);
}

function checkPvInfo({ record, image, log }: BodyContext, piece: Piece): void {
  const { guest_width: width, pt_levels: levels } = read(PV_INFO, piece.view, piece.at);
  image.guestWidth = width;
  image.tableLevels = levels;
  const isPair = (width === 4 && levels === 3) || (width === 8 && levels === 4);
  if (isPair || ![4, 8].includes(width) || ![3, 4].includes(levels)) return;
  const expected = "3 levels for width 4, 4 levels for width 8";
  const found = `${levels} levels for width ${width}`;
  log.error(record, { field: "pt_levels", fileOffset: record.bodyOffset + 1, expected, found });
}

/** Frames of the p2m list that pfns 0..end need: one for every 4096 / width pfns. */
function checkP2mHead({ record, image, log }: BodyContext, piece: Piece): void {
  const { start_pfn: start, end_pfn: end } = read(P2M_FRAMES_HEAD, piece.view, piece.at);
  image.pfnLast = end;
  const fileOffset = record.bodyOffset;
  if (start > end) {
    log.error(record, {
      field: "start_pfn",
      fileOffset,
      expected: `at most ${hex(end)}`,
      found: hex(start),
    });
    return;
  }
  if (start !== 0) {
    log.warn(record, { field: "start_pfn", fileOffset, expected: "0", found: hex(start) });
  }
  const perFrame = PAGE_BYTES / (image.guestWidth === 4 ? 4 : 8);
  const frames = Math.floor(end / perFrame) - Math.floor(start / perFrame) + 1;
  const wanted = sizeOf(P2M_FRAMES_HEAD) + frames * 8;
  if (record.bodyBytes === wanted) return;
  log.error(record, {
    field: "body_length",
    fileOffset: record.fileOffset + 4,
    expected: `${wanted} for pfns ${hex(start)} to ${hex(end)}`,
    found: record.bodyBytes,
  });
}

function checkParamCount({ record, log }: BodyContext, piece: Piece): void {
  const { count } = read(HVM_PARAMS_HEAD, piece.view, piece.at);
  const fileOffset = record.bodyOffset;
  if (count === 0) {
    log.warn(record, { field: "count", fileOffset, expected: "at least 1", found: 0 });
  }
  const wanted = sizeOf(HVM_PARAMS_HEAD) + count * 16;
  if (record.bodyBytes === wanted) return;
  log.error(record, {
    field: "body_length",
    fileOffset: record.fileOffset + 4,
    expected: `${wanted} for ${plural(count, "parameter")}`,
    found: record.bodyBytes,
  });
}

function checkVcpu({ record, layout, image, log }: BodyContext, piece: Piece): void {
  const { vcpu_id: vcpu } = read(VCPU_HEAD, piece.view, piece.at);
  const blobBytes = record.bodyBytes - sizeOf(VCPU_HEAD);
  const field = "body_length";
  const fileOffset = record.fileOffset + 4;
  if (blobBytes === 0) {
    // Savers of Xen 4.6 to 4.8 wrote such records; libxc passes over them.
    log.warn(record, { field, fileOffset, expected: "a vcpu context", found: "an empty record" });
    return;
  }
  if (vcpu >= VCPUS_MAX) {
    const expected = `a vcpu below ${VCPUS_MAX}`;
    log.error(record, { field: "vcpu_id", fileOffset: record.bodyOffset, expected, found: vcpu });
  } else if (layout === LIBXC.vcpuBasic) {
    image.vcpus.add(vcpu);
    const wanted = VCPU_BASIC_BYTES[image.guestWidth ?? 0];
    if (wanted === undefined || blobBytes === wanted) return;
    const expected = `${8 + wanted} for a ${image.guestWidth === 4 ? 32 : 64}-bit guest`;
    log.error(record, { field, fileOffset, expected, found: record.bodyBytes });
  } else if (!image.vcpus.has(vcpu)) {
    const expected = `${LIBXC.vcpuBasic.name} of vcpu ${vcpu} first`;
    log.warn(record, { field: "vcpu_id", fileOffset: record.bodyOffset, expected, found: "none" });
  }
  if (layout === LIBXC.vcpuXsave && blobBytes < VCPU_XSAVE_BYTES_MIN) {
    const expected = `at least ${8 + VCPU_XSAVE_BYTES_MIN}`;
    log.error(record, { field, fileOffset, expected, found: record.bodyBytes });
  }
}

/** The rows of a record that is a table, in a piece that begins with a whole row. */
export function checkRows(context: BodyContext, piece: Piece): void {
  const { record, layout, log } = context;
  if (layout.tail.kind !== "rows") return;
  const headBytes = piece.bodyAt === 0 ? sizeOf(layout.head) : 0;
  const rowBytes = sizeOf(layout.tail.row);
  const rows = Math.floor((piece.length - headBytes) / rowBytes);
  const firstRow = (piece.bodyAt + headBytes - sizeOf(layout.head)) / rowBytes;
  // A P2M frame list has a row for every 2 MiB of the guest: rows without rules cost nothing.
  const isRuled = hasRules(layout.tail.row);
  const most = firstWordMax(context);
  for (let row = 0; row < rows; row++) {
    const at = piece.at + headBytes + row * rowBytes;
    const isFirstGood =
      most === undefined ||
      piece.view.getUint32(at + 4, true) * 2 ** 32 + piece.view.getUint32(at, true) <= most;
    if (!isRuled && isFirstGood) continue;
    const number = firstRow + row;
    const fileOffset = record.bodyOffset + piece.bodyAt + headBytes + row * rowBytes;
    for (const finding of check(layout.tail.row, piece.view, at, { ...record, fileOffset })) {
      log.add({ ...finding, field: `[${number}].${finding.field}` });
    }
    if (!isFirstGood) {
      checkFirstWord(context, { number, fileOffset, value: piece.view.getBigUint64(at, true) });
    }
  }
}

/** The most that the u64 at the start of a row may be; undefined where that is all the same. */
function firstWordMax({ layout, image }: BodyContext): number | undefined {
  if (layout === LIBXC.p2mFrames) return image.pfnLast ?? 0;
  return layout === LIBXC.hvmParams ? HVM_PARAMS_COUNT - 1 : undefined;
}

function checkFirstWord(
  { record, layout, log, image }: BodyContext,
  row: { readonly number: number; readonly fileOffset: number; readonly value: bigint },
): void {
  const { number, fileOffset, value } = row;
  if (layout === LIBXC.p2mFrames) {
    const expected = `at most the last pfn, ${hex(image.pfnLast ?? 0)}`;
    log.error(record, { field: `pfn[${number}]`, fileOffset, expected, found: hex(value) });
  } else {
    const expected = `a parameter below ${HVM_PARAMS_COUNT}`;
    log.warn(record, { field: `[${number}].index`, fileOffset, expected, found: hex(value) });
  }
}

// Checks of libxl records (tools/libs/light/libxl_stream_read.c,
// libxl__restore_emulator_xenstore_data).

import { check, sizeOf, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import {
  CHECKPOINT_STATE_BYTES,
  EMULATOR_HEAD_BYTES,
  LIBXL,
  type LibxlRecordLayout,
  libxlRecordOf,
} from "../libxl/index.ts";
import { parseQemuStream, type QemuParser } from "../qemu/index.ts";
import type { Piece, StreamRecord, Want } from "../walk/index.ts";
import type { FindingLog } from "./finding-log.ts";

/** What libxl checks need to know of the rest of the stream. */
export interface GuestFacts {
  /** From the xl config; undefined where there is none. */
  readonly configType: string | undefined;
  readonly isPv: boolean;
}

export interface LibxlState {
  readonly hasContext: boolean;
  readonly inCheckpoints: boolean;
  readonly inTail: boolean;
  readonly emulatorContexts: number;
}

export class LibxlChecker {
  private readonly log: FindingLog;
  private readonly guest: GuestFacts;
  private layout: LibxlRecordLayout | undefined;
  private qemu: QemuParser | undefined;
  private hasContext = false;
  private inCheckpoints = false;
  /** Between a libxc CHECKPOINT and its CHECKPOINT_END. */
  private inTail = false;
  /** Emulator contexts since the last checkpoint. */
  private emulatorContexts = 0;

  constructor(log: FindingLog, guest: GuestFacts) {
    this.log = log;
    this.guest = guest;
  }

  /** Between two records. */
  get state(): LibxlState {
    const { hasContext, inCheckpoints, inTail, emulatorContexts } = this;
    return { hasContext, inCheckpoints, inTail, emulatorContexts };
  }

  restore(state: LibxlState): void {
    this.hasContext = state.hasContext;
    this.inCheckpoints = state.inCheckpoints;
    this.inTail = state.inTail;
    this.emulatorContexts = state.emulatorContexts;
  }

  record(record: StreamRecord): Want {
    const { log } = this;
    const layout = libxlRecordOf(record.type);
    this.layout = layout;
    if (layout === undefined) {
      // libxl honours no optional records: it refuses every type that it does not know.
      log.error(record, {
        field: "type",
        expected: "a type from 0x0 to 0x5",
        found: record.record,
      });
      return "nothing";
    }
    this.checkOrder(record, layout);
    const field = "body_length";
    const fileOffset = record.fileOffset + 4;
    const found = record.bodyBytes;
    const headBytes = sizeOf(layout.head);
    if (record.bodyBytes < headBytes) {
      log.error(record, { field, fileOffset, expected: `at least ${headBytes}`, found });
      return "nothing";
    }
    if (layout.tail === "none" && found > headBytes) {
      log.warnStrict(record, { field, fileOffset, expected: String(headBytes), found });
    }
    if (layout === LIBXL.checkpointState && !CHECKPOINT_STATE_BYTES.includes(found)) {
      log.warn(record, { field, fileOffset, expected: CHECKPOINT_STATE_BYTES.join(" or "), found });
    }
    if (layout === LIBXL.emulatorContext) return this.startQemu(record);
    if (layout !== LIBXL.emulatorXenstoreData) return "head";
    if (record.bodyBytes <= WHOLE_BODY_BYTES) return "body";
    log.warn(record, { field, fileOffset, expected: `at most ${WHOLE_BODY_BYTES}`, found });
    return "head";
  }

  private startQemu(record: StreamRecord): Want {
    this.emulatorContexts++;
    if (record.bodyBytes === EMULATOR_HEAD_BYTES) {
      const expected = "the device model's state";
      this.log.error(record, { field: "body", expected, found: "nothing behind the sub-header" });
      return "head";
    }
    this.qemu = parseQemuStream(
      { fileOffset: record.bodyOffset + EMULATOR_HEAD_BYTES, recordNumber: record.recordNumber },
      {
        configuration: () => undefined,
        section: () => undefined,
        finding: (finding) => this.log.add(finding),
      },
    );
    return "body";
  }

  private checkOrder(record: StreamRecord, layout: LibxlRecordLayout): void {
    const { log, guest } = this;
    const context = LIBXL.libxcContext;
    if (layout === context) this.hasContext = true;
    else if (!this.hasContext) {
      const found = `${layout.name} before it`;
      log.error(record, { field: "order", expected: `${context.name} first`, found });
      this.hasContext = true; // One finding is enough.
    }
    const isEmulator = layout === LIBXL.emulatorContext || layout === LIBXL.emulatorXenstoreData;
    if (isEmulator && (guest.isPv || guest.configType === "pvh")) {
      const kind = guest.isPv ? "a PV" : "a PVH";
      const expected = `no emulator records for ${kind} guest`;
      log.error(record, { field: "type", expected, found: layout.name });
    }
    if (layout === LIBXL.emulatorContext && this.emulatorContexts > 0) {
      const expected = `one ${layout.name} for one state of the guest`;
      log.warn(record, { field: "type", expected, found: "another one: the last one wins" });
    }
    if (layout === LIBXL.checkpointState && (this.inTail || !this.inCheckpoints)) {
      const expected = "CHECKPOINT_STATE only between two checkpoints";
      const found = this.inTail ? "one within a checkpoint" : "one before the first checkpoint";
      log.error(record, { field: "type", expected, found });
    }
    const isOver = layout === LIBXL.checkpointEnd || (layout === LIBXL.end && !this.inCheckpoints);
    if (!isOver) return;
    if (guest.configType === "hvm" && this.emulatorContexts === 0) {
      const expected = `${LIBXL.emulatorContext.name} before this record`;
      log.error(record, { field: "order", expected, found: "none, for an HVM guest" });
    }
    this.emulatorContexts = 0;
  }

  body(record: StreamRecord, piece: Piece): void {
    const { layout, log } = this;
    if (layout === undefined) return;
    if (piece.bodyAt === 0) {
      const place = { ...record, fileOffset: record.bodyOffset };
      for (const finding of check(layout.head, piece.view, piece.at, place)) {
        log.add({ ...finding, layer: record.layer, record: record.record });
      }
    }
    const skip = piece.bodyAt === 0 ? Math.min(EMULATOR_HEAD_BYTES, piece.length) : 0;
    const rest = piece.bytes.subarray(piece.at + skip, piece.at + piece.length);
    this.qemu?.feed(rest);
    if (layout === LIBXL.emulatorXenstoreData && piece.length === record.bodyBytes) {
      checkXenstorePairs(record, rest, log);
    }
  }

  recordEnd(record: StreamRecord): void {
    this.qemu?.finish();
    this.qemu = undefined;
    if (record.type !== LIBXL.checkpointEnd.type) return;
    this.inCheckpoints = true;
    this.inTail = false;
  }

  /** libxc met a CHECKPOINT: the records up to CHECKPOINT_END belong to it. */
  checkpointBegins(): void {
    this.inTail = true;
  }
}

/** `key NUL value NUL`, any number of times; keys relative to the device model's directory. */
function checkXenstorePairs(record: StreamRecord, data: Uint8Array, log: FindingLog): void {
  if (data.byteLength === 0) return;
  const start = record.bodyOffset + EMULATOR_HEAD_BYTES;
  const field = "data";
  let index = 0;
  let at = 0;
  while (at < data.byteLength) {
    const end = data.indexOf(0, at);
    const what = index % 2 === 0 ? "key" : "value";
    const fileOffset = start + at;
    if (end === -1) {
      log.error(record, {
        field,
        fileOffset,
        expected: `a NUL behind the ${what}`,
        found: "the end",
      });
      return;
    }
    if (what === "key" && end === at) {
      log.error(record, { field, fileOffset, expected: "a key", found: "an empty string" });
      return;
    }
    if (what === "key" && data[at] === 0x2f) {
      const found = printable(data.subarray(at, Math.min(end, at + 60)));
      log.error(record, { field, fileOffset, expected: "a relative key", found });
      return;
    }
    at = end + 1;
    index++;
  }
  if (index % 2 === 0) return;
  const expected = "a value behind every key";
  log.error(record, { field, fileOffset: start + at, expected, found: "the end behind a key" });
}

/** Bytes of a name, in quotes, anything unprintable as "?". */
const printable = (bytes: Uint8Array): string =>
  `"${String.fromCharCode(...bytes).replace(/[^ -~]/g, "?")}"`;

// The visitor that takes a stream apart, over a source that loses no byte. What it cannot put
// better is kept as it stood: putting the folder together again gives the same bytes for every
// stream, odd ones too.
//
// Between two events of the walk the source holds what was taken. At a header or record that is its
// header, with what stood before it and belongs to nothing (a signature, a legacy stream's extended
// info) in front; at the end of a record it is the padding.

import { assert } from "../../base/index.ts";
import { read, type Sink, sizeOf, type Source } from "../../bytes/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import type {
  HeaderEvent,
  PfnList,
  Piece,
  StreamRecord,
  Visitor,
  WalkEnd,
  Want,
} from "../walk/index.ts";
import { CONFIG_HEAD, CONFIG_JSON_MASK, SAVE_MAGIC } from "../xl/index.ts";
import { type BodyPlan, bodyPlanFor, type RecordLayer } from "./bodies.ts";
import { fieldsOf } from "./fields.ts";
import type { FolderWriter } from "./folder-writer.ts";
import {
  BATCH_PFNS_MAX,
  type BytesPlace,
  type HeaderLine,
  HEX_BYTES_MAX,
  type SaveHeaderLine,
} from "./manifest.ts";
import { OpenRecord } from "./open-record.ts";
import { pfnText } from "./pfn-text.ts";
import { sameBytes } from "./record-head.ts";
import { SplitSource } from "./split-source.ts";

/** Skipped bytes that belong to no record. */
const LOOSE_NAME = "loose.bin";
const REST_STEP_BYTES = 64 * 1024 * 1024;

/** The xl header waits for the config behind it: both are one line. */
interface HeldHeader {
  readonly bytes: Uint8Array;
  readonly line: SaveHeaderLine;
}

export class Extractor implements Visitor {
  readonly source: SplitSource;
  /** Pages in the page log, and bytes of the stream that have found their place. */
  pagesKept = 0;
  bytes = 0;
  private readonly writer: FolderWriter;
  private readonly inner: Source;
  private held: HeldHeader | undefined;
  private current: OpenRecord | undefined;
  /** Bytes before the next header or record that belong to neither. */
  private loose: BytesPlace[] = [];

  constructor(writer: FolderWriter, inner: Source) {
    this.writer = writer;
    this.inner = inner;
    this.source = new SplitSource(inner, {
      sink: () => this.skippedTo(),
      moved: (bytes) => this.moved(bytes),
    });
  }

  // ---- Where skipped bytes go ----------------------------------------------------------------

  private skippedTo(): Sink {
    const taken = this.takeAll();
    if (this.current !== undefined) {
      this.current.took(taken);
      return this.current.sink();
    }
    this.keepLoose(taken);
    return this.writer.file(LOOSE_NAME).sink;
  }

  private moved(bytes: number): void {
    this.bytes += bytes;
    if (this.current !== undefined) return this.current.moved(bytes);
    const at = this.writer.file(LOOSE_NAME).sink.position - bytes;
    const last = this.loose.at(-1);
    if (last !== undefined && "at" in last && last.at + last.bytes === at) last.bytes += bytes;
    else this.loose.push({ file: LOOSE_NAME, at, bytes });
  }

  private takeAll(): Uint8Array {
    const taken = this.source.taken();
    this.bytes += taken.byteLength;
    return taken;
  }

  private keepLoose(bytes: Uint8Array): void {
    if (bytes.byteLength > 0) this.loose.push(this.writer.keep(bytes, "piece"));
  }

  /** What stood before a header or record, as a line of its own. */
  private endLoose(bytes: Uint8Array): void {
    this.keepLoose(bytes);
    if (this.loose.length > 0) this.writer.line({ raw: this.loose });
    this.loose = [];
  }

  // ---- Headers -------------------------------------------------------------------------------

  header(header: HeaderEvent, piece: Piece): void {
    this.endHeld();
    const taken = this.takeAll();
    const before = taken.subarray(0, taken.byteLength - sizeOf(header.layout));
    const fields = fieldsOf(header.layout, piece.view, piece.at);
    if (header.layer === "xl") {
      assert(sameBytes(before, SAVE_MAGIC), "the xl magic stands before its header");
      delete fields["optional_data_len"]; // Made anew from what the line says.
      this.held = { bytes: taken, line: { layer: "xl", header: "save_header", fields } };
      return;
    }
    this.endLoose(before);
    assert(
      header.layer === "libxl" || header.layer === "libxc",
      "only xl, libxl, libxc have headers",
    );
    const name = header.record as HeaderLine["header"];
    this.writer.line({ layer: header.layer, header: name, fields });
  }

  private endHeld(): void {
    if (this.held !== undefined) this.writer.line(this.held.line);
    this.held = undefined;
  }

  /** u32 length, the config, and whatever stands behind it. */
  private endConfig({ body }: OpenRecord): void {
    assert(this.held, "the config stands behind the xl header");
    const { line } = this.held;
    this.held = undefined;
    const headBytes = sizeOf(CONFIG_HEAD);
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    const bytes = body.byteLength < headBytes ? -1 : read(CONFIG_HEAD, view, 0).config_len;
    const isJson = (Number(line.fields["mandatory_flags"]) & CONFIG_JSON_MASK) !== 0;
    if (bytes < 1 || bytes > body.byteLength - headBytes) {
      this.writer.line({ ...line, optional_data: this.writer.keep(body, "optional-data") });
      return;
    }
    const text = body.subarray(headBytes, headBytes + bytes);
    const nul = text.at(-1) === 0;
    const rest = body.subarray(headBytes + bytes);
    const name = { base: "config", ending: isJson ? "json" : "txt" };
    const { file } = this.writer.whole(nul ? text.subarray(0, -1) : text, name);
    const more = rest.byteLength === 0 ? {} : { rest: this.writer.keep(rest, "config-rest") };
    this.writer.line({ ...line, config: { file, nul, ...more } });
  }

  // ---- Records -------------------------------------------------------------------------------

  record(record: StreamRecord): Want {
    const taken = this.takeAll();
    const bodyBytes = this.source.position - record.bodyOffset;
    const headBytes = record.bodyOffset - record.fileOffset;
    const headAt = taken.byteLength - bodyBytes - headBytes;
    assert(headAt >= 0, "what was taken of a record's header is still there");
    const isConfig = record.layer === "xl";
    if (!isConfig) this.endHeld();
    this.endLoose(taken.subarray(0, headAt));
    const plan: BodyPlan = isConfig
      ? { kind: "opaque" }
      : bodyPlanFor(record.layer as RecordLayer, record.record, record.bodyBytes);
    const head = taken.subarray(headAt, headAt + headBytes);
    this.current = new OpenRecord({ record, plan, head, writer: this.writer });
    this.current.took(taken.subarray(headAt + headBytes));
    if (isConfig || plan.kind === "table" || plan.kind === "xenstore") return "body";
    if (plan.kind === "fields" || plan.kind === "pages") return "head";
    const isSmall = record.bodyBytes <= HEX_BYTES_MAX && record.isToTheEnd !== true;
    return isSmall ? "body" : "nothing"; // What is passed over goes to a file.
  }

  body(_record: StreamRecord, _piece: Piece): void {
    this.current?.took(this.takeAll());
  }

  pfns(record: StreamRecord, list: PfnList): void {
    const { current } = this;
    assert(current, "pfns belong to a record");
    current.took(this.takeAll());
    if (list.firstIndex > 0 || list.batchCount > BATCH_PFNS_MAX) return; // It stays bytes.
    if (!current.hasPlainPageHead) return;
    const isLegacy = record.layer === "legacy";
    const text = pfnText(list, isLegacy);
    const contents = record.bodyBytes - current.body.byteLength;
    if (text === undefined || text.dataPages * PAGE_BYTES !== contents) return;
    const width = isLegacy ? ({ width: list.wordsPerPfn === 1 ? 4 : 8 } as const) : {};
    current.hasPages({ first: this.pagesKept, pfns: text.runs, ...width });
    this.pagesKept += text.dataPages;
  }

  pages(): void {} // Never asked for: they go to the log unseen.

  recordEnd(): void {
    const { current } = this;
    assert(current, "a record ends that began");
    this.current = undefined;
    if (current.record.layer === "xl") {
      this.takeAll();
      this.endConfig(current);
    } else this.writer.line(current.line(this.takeAll()));
  }

  checkpoint(): void {} // Its records say it.

  problem(): void {} // It is kept as it stands.

  // ---- The end -------------------------------------------------------------------------------

  /** Keeps what the walk could not read, and what stands behind the end. */
  finish({ stopped, trailing }: WalkEnd, takesRest: boolean): void {
    if (stopped !== undefined) this.finishCut();
    else this.endHeld();
    this.endLoose(this.takeAll());
    const isCut = stopped !== undefined;
    if (takesRest) this.keepRest(isCut ? "unread.bin" : "trailing.bin", trailing?.what);
    assert(this.bytes === this.source.position, "every byte of the stream has found its place");
  }

  private finishCut(): void {
    const { current, held } = this;
    const raw: BytesPlace[] = [];
    if (held !== undefined) raw.push({ hex: held.bytes.toHex() });
    if (current !== undefined) {
      current.took(this.takeAll());
      raw.push(...current.pieces());
    }
    this.current = undefined;
    if (raw.length > 0) this.writer.line({ raw, what: "a record that is cut short" });
  }

  private keepRest(name: string, what: string | undefined): void {
    if (this.inner.peek(1) === 0) return;
    const file = this.writer.file(name);
    for (let got = -1; got !== 0;) {
      got = this.inner.move(REST_STEP_BYTES, file.sink);
      this.bytes += got;
    }
    this.writer.line({ raw: [{ file: name }], ...(what === undefined ? {} : { what }) });
  }
}

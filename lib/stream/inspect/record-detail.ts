// One record in full: its head and rows by the layout table, what its parser found, and its bytes.

import { hex } from "../../base/index.ts";
import { type Layout, read, sizeOf, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import { libxcRecordOf, PAGE_BYTES, PAGE_TYPES } from "../libxc/index.ts";
import { libxlRecordOf } from "../libxl/index.ts";
import type { PfnList, Piece, StreamRecord } from "../walk/index.ts";
import { CONFIG_HEAD } from "../xl/index.ts";
import { entryAt } from "./batch.ts";
import type { RecordDetail } from "./report-state.ts";

const ROWS_KEPT = 4096;
/** What of a body is in the report. */
export const RECORD_KEPT_BYTES = WHOLE_BODY_BYTES;
const NO_TABLE = { head: {}, row: undefined } as const;

/** A piece of the body of the record that was asked for; valid only during the call. */
export type OnDetailPiece = (record: StreamRecord, piece: Piece) => void;

type Row = Record<string, string>;

export class RecordDetailReader {
  readonly number: number;
  private record: StreamRecord | undefined;
  private fields: RecordDetail["fields"] = [];
  private readonly rows: Row[] = [];
  private rowsLeftOff = 0;
  private readonly kept: Uint8Array[] = [];
  private keptBytes = 0;
  private contentsAt: number | undefined;
  private readonly onPiece: OnDetailPiece;

  constructor(number: number, onPiece: OnDetailPiece) {
    this.number = number;
    this.onPiece = onPiece;
  }

  begin(record: StreamRecord): void {
    this.record = record;
  }

  body(piece: Piece): void {
    const { record } = this;
    if (record === undefined) return;
    const { head, row } = tableOf(record);
    const headBytes = sizeOf(head);
    if (piece.bodyAt === 0 && piece.length >= headBytes) {
      this.fields = Object.entries(read(head, piece.view, piece.at)).map(([name, value]) => {
        return { name, value: hex(value) };
      });
    }
    if (row !== undefined) this.addRows(row, piece, piece.bodyAt === 0 ? headBytes : 0);
    this.keep(piece);
  }

  private addRows(row: Layout, { view, at, length }: Piece, headBytes: number): void {
    const rowBytes = sizeOf(row);
    for (let rowAt = headBytes; rowAt + rowBytes <= length; rowAt += rowBytes) {
      const values = Object.entries(read(row, view, at + rowAt));
      this.addRow(() => Object.fromEntries(values.map(([name, value]) => [name, hex(value)])));
    }
  }

  private addRow(make: () => Row): void {
    if (this.rows.length < ROWS_KEPT) this.rows.push(make());
    else this.rowsLeftOff++;
  }

  /** What a parser of the body found: entries of an HVM context, sections of QEMU. */
  setRows(rows: readonly Row[]): void {
    for (const row of rows) this.addRow(() => row);
  }

  private keep(piece: Piece): void {
    if (this.record !== undefined) this.onPiece(this.record, piece);
    const bytes = Math.min(piece.length, RECORD_KEPT_BYTES - this.keptBytes);
    if (bytes <= 0) return;
    this.kept.push(piece.bytes.slice(piece.at, piece.at + bytes));
    this.keptBytes += bytes;
  }

  pfns(list: PfnList): void {
    const { record } = this;
    if (record === undefined) return;
    this.contentsAt ??= list.fileOffset + list.batchCount * list.wordsPerPfn * 4;
    for (let index = 0; index < list.count; index++) {
      const { pfn, type, hasContents } = entryAt(record, list, index);
      const offset = this.contentsAt;
      if (hasContents) this.contentsAt += PAGE_BYTES;
      this.addRow(() => ({
        pfn: hex(pfn),
        type: PAGE_TYPES[type]?.name ?? String(type),
        contents: hasContents ? hex(offset) : "none",
      }));
    }
    const { words, count, wordsPerPfn } = list;
    const bytes = new Uint8Array(words.buffer, words.byteOffset, count * wordsPerPfn * 4);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const bodyAt = list.fileOffset - record.bodyOffset;
    this.keep({ view, bytes, at: 0, length: bytes.byteLength, bodyAt });
  }

  report(): RecordDetail | null {
    const { record } = this;
    if (record === undefined) return null;
    return {
      number: record.recordNumber,
      layer: record.layer,
      name: record.record,
      type: record.type,
      offset: record.fileOffset,
      body_offset: record.bodyOffset,
      body_bytes: record.bodyBytes,
      fields: this.fields,
      rows: this.rows,
      rows_left_off: this.rowsLeftOff,
      body_hex: this.kept.map((bytes) => bytes.toHex()).join(""),
    };
  }
}

function tableOf({ layer, type }: StreamRecord): {
  readonly head: Layout;
  readonly row: Layout | undefined;
} {
  if (layer === "xl") return { head: CONFIG_HEAD, row: undefined };
  if (layer === "libxl") return { head: libxlRecordOf(type)?.head ?? {}, row: undefined };
  const layout = layer === "libxc" ? libxcRecordOf(type) : undefined;
  if (layout === undefined) return NO_TABLE;
  return { head: layout.head, row: layout.tail.kind === "rows" ? layout.tail.row : undefined };
}

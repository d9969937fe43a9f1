// Writes what a walk announces: a visitor that passes a stream on, record by record. Headers and
// heads are decoded and encoded again by the layout tables, so that what a reader understands is
// what is written; bodies move on unseen. A stream comes out as it went in, but for padding, which
// is zero, and the length that a suspend image claims of the stream inside of it, which is 0.
//
// Whoever changes a stream on its way (another version, fewer records) gives an `edit`.

import {
  type Finding,
  type Layout,
  type Place,
  read,
  type Row,
  type Sink,
  sizeOf,
  StreamError,
} from "../../bytes/index.ts";
import { libxcRecordOf } from "../libxc/index.ts";
import { libxlRecordOf } from "../libxl/index.ts";
import type { HeaderEvent, PfnList, Piece, StreamRecord, Visitor, Want } from "../walk/index.ts";
import { XAPI_HEADER, XAPI_OLD_SIGNATURE } from "../xapi/index.ts";
import { CONFIG_HEAD } from "../xl/index.ts";
import { refuseBad, writeFields } from "./fields.ts";
import { beginBody, endRecord } from "./records.ts";

export interface Edit {
  /** The fields to write for a header; most often `fields` as they are. */
  header(header: HeaderEvent, fields: Row<Layout>): Row<Layout>;
  /** Whether the record is passed on at all. */
  keeps(record: StreamRecord): boolean;
}

/** Nothing changes. */
export const UNCHANGED: Edit = { header: (_, fields) => fields, keeps: () => true };

export class Rewriter implements Visitor {
  readonly sink: Sink;
  private readonly edit: Edit;
  private dropped: StreamRecord | undefined;
  /** The older suspend image: its QEMU record has no header of the newer kind. */
  private isOldImage = false;

  constructor(sink: Sink, edit: Edit) {
    this.sink = sink;
    this.edit = edit;
  }

  literal(_place: Place, { bytes, at, length }: Piece): void {
    const literal = bytes.subarray(at, at + length);
    if (Buffer.compare(literal, XAPI_OLD_SIGNATURE) === 0) this.isOldImage = true;
    this.sink.write(literal);
  }

  header(header: HeaderEvent, piece: Piece): void {
    const { layout } = header;
    refuseBad(layout, piece, header);
    writeFields(this.sink, layout, this.edit.header(header, read(layout, piece.view, piece.at)));
  }

  record(record: StreamRecord): Want {
    if (!this.edit.keeps(record)) {
      this.dropped = record;
      return "nothing";
    }
    const { layer, type, bodyBytes } = record;
    if (layer === "libxl" || layer === "libxc") {
      beginBody(this.sink, { type, bodyBytes });
    } else if (layer === "xapi" && !this.isOldImage) {
      writeFields(this.sink, XAPI_HEADER, { type: BigInt(type), length: BigInt(bodyBytes) });
    }
    return "move";
  }

  /** The head alone: what follows it moves. */
  body(record: StreamRecord, { view, bytes, at, length }: Piece): void {
    const head = headOf(record);
    if (head !== undefined && length === sizeOf(head)) {
      refuseBad(head, { view, at }, { ...record, fileOffset: record.bodyOffset });
      writeFields(this.sink, head, read(head, view, at));
    } else {
      this.sink.write(bytes.subarray(at, at + length)); // Cut short, or of a type nobody knows.
    }
  }

  pfns(_record: StreamRecord, { words, count, wordsPerPfn }: PfnList): void {
    const bytes = count * wordsPerPfn * Uint32Array.BYTES_PER_ELEMENT;
    this.sink.write(new Uint8Array(words.buffer, words.byteOffset, bytes));
  }

  pages(): void {} // They move.

  recordEnd(record: StreamRecord): void {
    if (this.dropped === record) this.dropped = undefined;
    else if (record.layer === "libxl" || record.layer === "libxc") {
      endRecord(this.sink, record.bodyBytes);
    }
  }

  checkpoint(): void {}

  /** What a reader takes is passed on; what it refuses cannot be. */
  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
  }
}

function headOf({ layer, type }: StreamRecord): Layout | undefined {
  if (layer === "libxc") return libxcRecordOf(type)?.head;
  if (layer === "libxl") return libxlRecordOf(type)?.head;
  return layer === "xl" ? CONFIG_HEAD : undefined;
}

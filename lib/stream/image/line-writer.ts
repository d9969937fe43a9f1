// The lines of a folder, written as a stream. Lengths, counts and padding are made anew, so that an
// edited part fits; a folder that nobody has touched gives the same bytes.

import { hex } from "../../base/index.ts";
import { type Layout, type Sink, sizeOf, u32 } from "../../bytes/index.ts";
import {
  DOMAIN_HEADER,
  IMAGE_HEADER,
  LIBXC_RECORD_BYTES_MAX,
  PAGE_BYTES,
  PAGE_DATA_HEAD,
} from "../libxc/index.ts";
import { LIBXL_HEADER } from "../libxl/index.ts";
import { CONFIG_HEAD, SAVE_HEADER, SAVE_MAGIC } from "../xl/index.ts";
import { bodyPlan, pairsBytes, typeOf } from "./bodies.ts";
import { rowOf } from "./fields.ts";
import {
  type FileStretch,
  type FolderReader,
  type LinePlace,
  manifestError,
  type Problem,
} from "./folder-reader.ts";
import {
  BATCH_PFNS_MAX,
  type BytesPlace,
  type Fields,
  type HeaderLine,
  JSON_BYTES_MAX,
  type Line,
  type Pages,
  PAGES_NAME,
  type RawLine,
  type RecordLine,
  type SaveHeaderLine,
  TableSchema,
  XenstoreSchema,
} from "./manifest.ts";
import { type EntryCoding, pfnEntries } from "./pfn-text.ts";
import { oldQemuHead, paddingBytes, plainHead, row } from "./record-head.ts";

type Part = Uint8Array | FileStretch;

/** Writes the stream that a folder holds. Throws StreamError where it holds none. */
export function writeStream(
  reader: FolderReader,
  sink: Sink,
  onProgress: (position: number) => void,
): void {
  for (const [line, place] of reader.lines()) {
    using writer = new LineWriter(reader, sink, place);
    writer.write(line);
    onProgress(sink.position);
  }
}

/** Writes one line; closes what it opened. */
class LineWriter implements Disposable {
  private readonly reader: FolderReader;
  private readonly sink: Sink;
  private readonly place: LinePlace;
  private readonly opened: FileStretch[] = [];

  constructor(reader: FolderReader, sink: Sink, place: LinePlace) {
    this.reader = reader;
    this.sink = sink;
    this.place = place;
  }

  write(line: Line): void {
    if ("raw" in line) this.raw(line);
    else if ("record" in line) this.record(line);
    else if (line.header === "save_header") this.saveHeader(line);
    else this.header(line);
  }

  private raw({ raw }: RawLine): void {
    for (const bytes of raw) this.put(this.open(bytes));
  }

  private header({ layer, header, fields }: HeaderLine): void {
    const layout = HEADERS[`${layer} ${header}`];
    if (layout === undefined) {
      throw this.wrong({ field: "header", expected: "a header of the layer", found: header });
    }
    this.put(this.row(layout, fields));
  }

  private saveHeader({ fields, config, optional_data }: SaveHeaderLine): void {
    const parts: Part[] = [];
    if (config !== undefined) {
      const text = this.reader.whole(config.file, JSON_BYTES_MAX);
      const nul = new Uint8Array(config.nul ? 1 : 0);
      const config_len = text.byteLength + nul.byteLength;
      parts.push(row(CONFIG_HEAD, { config_len }), text, nul);
      if (config.rest !== undefined) parts.push(this.open(config.rest));
    } else if (optional_data !== undefined) parts.push(this.open(optional_data));
    const optional_data_len = totalBytes(parts);
    this.checkSize(optional_data_len);
    this.put(SAVE_MAGIC);
    this.put(this.row(SAVE_HEADER, { ...fields, optional_data_len }));
    for (const part of parts) this.put(part);
  }

  // ---- Records -------------------------------------------------------------------------------

  private record(line: RecordLine): void {
    const { layer, record } = line;
    const type = typeOf(layer, record);
    if (type === undefined) {
      throw this.wrong({ field: "record", expected: `a record of ${layer}`, found: record });
    }
    const parts = this.body(line);
    const bodyBytes = totalBytes(parts);
    this.checkSize(bodyBytes);
    const facts = { layer, type, bodyBytes };
    this.put(this.head(line, plainHead(facts), bodyBytes));
    for (const part of parts) this.put(part);
    if (line.padding !== undefined) this.put(Uint8Array.fromHex(line.padding));
    else this.put(new Uint8Array(paddingBytes(facts)));
  }

  private head(line: RecordLine, plain: Uint8Array | undefined, bodyBytes: number): Uint8Array {
    if (line.framing === "old") return oldQemuHead(bodyBytes);
    if (line.head !== undefined) {
      const { bytes = bodyBytes } = line;
      if (bytes === bodyBytes) return Uint8Array.fromHex(line.head);
      const expected = `${bytes} bytes, for its head tells so`;
      throw this.wrong({ field: "body", expected, found: String(bodyBytes) });
    }
    if (plain !== undefined) return plain;
    if (line.pages === undefined) {
      throw this.wrong({ field: "head", expected: "the head of a legacy record", found: "none" });
    }
    const marker = new Uint8Array(4);
    const count = (bodyBytes - this.dataBytes) / (line.pages.width ?? 4);
    u32.set(new DataView(marker.buffer), 0, count);
    return marker;
  }

  /** Page contents of the batch at hand. */
  private dataBytes = 0;

  private body(line: RecordLine): Part[] {
    const { layer, record, fields, data, table, xenstore, pages, body } = line;
    const bodies = [data, table, xenstore, pages, body].filter((one) => one !== undefined);
    if (bodies.length > 1) {
      throw this.wrong({ field: "body", expected: "one kind of body", found: "two" });
    }
    const plan = bodyPlan(layer, record);
    if (pages !== undefined) return this.pages(pages, layer === "legacy");
    if (body !== undefined) return [this.open(body)];
    if (table !== undefined) {
      if (plan.kind === "table") return this.table(table, plan);
      throw this.wrong({ field: "table", expected: "a record of rows", found: record });
    }
    const head = plan.kind === "fields" || plan.kind === "xenstore" ? plan.head : {};
    const isEmpty = fields === undefined && data === undefined && xenstore === undefined;
    if (isEmpty && sizeOf(head) > 0) return [];
    const parts: Part[] = [this.row(head, fields ?? {})];
    if (data !== undefined) parts.push(this.open(data));
    if (xenstore !== undefined) parts.push(pairsBytes(this.pairs(xenstore)));
    return parts;
  }

  private pairs(name: string): readonly (readonly [string, string])[] {
    const pairs = this.reader.json(name, XenstoreSchema);
    const bad = pairs.find((pair) => pair.some((text) => text.includes("\0")));
    if (bad === undefined) return pairs;
    const place = { file: name, number: 0, fileOffset: 0 };
    const expected = "keys and values without a NUL";
    throw manifestError(place, { field: "pair", expected, found: JSON.stringify(bad) });
  }

  private table(
    name: string,
    { head, row: rowLayout, counted }: ReturnType<typeof bodyPlan> & { readonly kind: "table" },
  ): Part[] {
    const { fields, rows } = this.reader.json(name, TableSchema);
    const place = { file: name, number: 0, fileOffset: 0 };
    const counts: Fields = counted ? { count: rows.length } : {};
    return [
      this.rowAt(head, { ...fields, ...counts }, { place, path: "fields" }),
      ...rows.map((one, index) => this.rowAt(rowLayout, one, { place, path: `rows.${index}` })),
    ];
  }

  private pages({ first, pfns, width }: Pages, isLegacy: boolean): Part[] {
    const coding: EntryCoding = isLegacy ? `legacy ${width ?? 4}` : "libxc";
    const entries = pfnEntries(pfns, coding, BATCH_PFNS_MAX);
    if ("wrong" in entries) {
      const { wrong, expected } = entries;
      throw this.wrong({ field: "pages.pfns", expected, found: JSON.stringify(wrong) });
    }
    const { words, dataPages } = entries;
    const list = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    const count = words.length / (coding === "legacy 4" ? 1 : 2);
    const parts: Part[] = isLegacy ? [list] : [row(PAGE_DATA_HEAD, { count, reserved: 0 }), list];
    this.dataBytes = dataPages * PAGE_BYTES;
    if (dataPages > 0) {
      const stretch = { at: first * PAGE_BYTES, bytes: this.dataBytes };
      parts.push(this.reader.stretch(PAGES_NAME, stretch, this.place));
    }
    return parts;
  }

  // ---- Small steps ---------------------------------------------------------------------------

  private open(bytes: BytesPlace): Part {
    const part = this.reader.open(bytes, this.place);
    if (!(part instanceof Uint8Array)) this.opened.push(part);
    return part;
  }

  private row(layout: Layout, fields: Fields): Uint8Array {
    return this.rowAt(layout, fields, { place: this.place, path: "fields" });
  }

  private rowAt(
    layout: Layout,
    fields: Fields,
    { place, path }: { readonly place: LinePlace; readonly path: string },
  ): Uint8Array {
    const made = rowOf(layout, fields);
    if (made instanceof Uint8Array) return made;
    throw manifestError(place, { ...made, field: `${path}.${made.field}` });
  }

  /** What no reader takes is not written either: and no length passes 32 bits. */
  private checkSize(bytes: number): void {
    if (bytes <= LIBXC_RECORD_BYTES_MAX || this.reader.manifest.format === "legacy") return;
    const expected = `at most ${hex(LIBXC_RECORD_BYTES_MAX)}`;
    throw this.wrong({ field: "body", expected, found: hex(bytes) });
  }

  private put(part: Part): void {
    if (part instanceof Uint8Array) return this.sink.write(part);
    const { fd, fileOffset, bytes } = part;
    const got = this.sink.copyFile(fd, { fileOffset, bytes });
    if (got === bytes) return;
    const expected = `${bytes} bytes of ${fd.name}`;
    throw this.wrong({ field: "body", expected, found: `${got}: it was cut short meanwhile` });
  }

  private wrong(problem: Problem): Error {
    return manifestError(this.place, problem);
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.opened) fd[Symbol.dispose]();
  }
}

const HEADERS: Readonly<Record<string, Layout>> = {
  "libxl header": LIBXL_HEADER,
  "libxc image_header": IMAGE_HEADER,
  "libxc domain_header": DOMAIN_HEADER,
};

const totalBytes = (parts: readonly Part[]): number =>
  parts.reduce((sum, part) => sum + (part instanceof Uint8Array ? part.byteLength : part.bytes), 0);

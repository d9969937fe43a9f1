// Reads a folder that a stream was taken apart into. Nobody vouches for it: names, sizes and every
// line are checked, and nothing is opened through a link or outside of the folder.

import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { plural } from "../../base/index.ts";
import { StreamError } from "../../bytes/index.ts";
import {
  borrow,
  type Fd,
  type FileIdentity,
  openInFolder,
  readAt,
  statOf,
} from "../../sys/index.ts";
import {
  type BytesPlace,
  HeaderSchema,
  JSON_BYTES_MAX,
  type Line,
  LINE_BYTES_MAX,
  type Manifest,
  MANIFEST_NAME,
  ManifestSchema,
  RawSchema,
  RecordSchema,
  RECORDS_NAME,
  SaveHeaderSchema,
} from "./manifest.ts";

const READ_BYTES = 256 * 1024;
const NEWLINE = 0x0a;
/** Of what was found instead, in a message. */
const FOUND_TEXT_MAX = 100;

/** Where in the folder something stands, for messages. */
export interface LinePlace {
  readonly file: string;
  /** From 1; 0 for a file without lines. */
  readonly number: number;
  readonly fileOffset: number;
}

export interface Problem {
  readonly field: string;
  readonly expected: string;
  readonly found: string;
}

/** A stretch of an open file. */
export interface FileStretch {
  readonly fd: Fd;
  readonly fileOffset: number;
  readonly bytes: number;
}

export function manifestError(place: LinePlace, problem: Problem): StreamError {
  return new StreamError({
    layer: "manifest",
    record: place.file,
    recordNumber: place.number,
    fileOffset: place.fileOffset,
    severity: "error",
    strict: true,
    ...problem,
  });
}

export class FolderReader implements Disposable {
  readonly path: string;
  readonly manifest: Manifest;
  /** Kept open: the page log. Others are opened as they are met. */
  private readonly kept = new Map<string, Fd>();

  constructor(path: string) {
    this.path = path;
    this.manifest = this.json(MANIFEST_NAME, ManifestSchema);
  }

  /** Every file in the folder: what must not be written over meanwhile. */
  identities(): FileIdentity[] {
    return readdirSync(this.path).flatMap((name) => {
      const stats = lstatSync(join(this.path, name), { throwIfNoEntry: false });
      return stats === undefined ? [] : [stats];
    });
  }

  /** Every line with its place, in order. */
  *lines(): Generator<readonly [Line, LinePlace]> {
    using fd = openInFolder(this.path, RECORDS_NAME);
    let number = 0;
    for (const [text, fileOffset] of linesOf(fd)) {
      const place = { file: RECORDS_NAME, number: ++number, fileOffset };
      yield [parseLine(text, place), place];
    }
  }

  /** A JSON file of the folder, checked. */
  json<S extends v.GenericSchema>(name: string, schema: S): v.InferOutput<S> {
    const place = { file: name, number: 0, fileOffset: 0 };
    const text = new TextDecoder().decode(this.whole(name, JSON_BYTES_MAX));
    return checked(parseJson(text, place), schema, place);
  }

  /** A small file of the folder. */
  whole(name: string, bytesMax: number): Uint8Array {
    using fd = openInFolder(this.path, name);
    const { size } = statOf(fd.number);
    if (size > bytesMax) {
      const place = { file: name, number: 0, fileOffset: 0 };
      const expected = `at most ${plural(bytesMax, "byte")}`;
      throw manifestError(place, { field: "size", expected, found: String(size) });
    }
    return readWhole({ fd, fileOffset: 0, bytes: size });
  }

  /**
   * What a place names: hex, or a stretch of a file that has all of it. Dispose of the file, unless
   * it is one that is kept.
   */
  open(bytes: BytesPlace, place: LinePlace): Uint8Array | FileStretch {
    if ("hex" in bytes) return Uint8Array.fromHex(bytes.hex);
    const fd = openInFolder(this.path, bytes.file);
    const { size } = statOf(fd.number);
    if (!("at" in bytes)) return { fd, fileOffset: 0, bytes: size };
    this.checkStretch({ name: bytes.file, size }, { at: bytes.at, bytes: bytes.bytes }, place);
    return { fd, fileOffset: bytes.at, bytes: bytes.bytes };
  }

  /** A stretch of a file that stays open for the next one. */
  stretch(
    name: string,
    { at, bytes }: { readonly at: number; readonly bytes: number },
    place: LinePlace,
  ): FileStretch {
    let fd = this.kept.get(name);
    if (fd === undefined) {
      fd = openInFolder(this.path, name);
      this.kept.set(name, fd);
    }
    this.checkStretch({ name, size: statOf(fd.number).size }, { at, bytes }, place);
    return { fd, fileOffset: at, bytes };
  }

  private checkStretch(
    { name, size }: { readonly name: string; readonly size: number },
    { at, bytes }: { readonly at: number; readonly bytes: number },
    place: LinePlace,
  ): void {
    if (at + bytes <= size) return;
    const expected = `bytes ${at} to ${at + bytes} of ${name}`;
    throw manifestError(place, { field: name, expected, found: `${plural(size, "byte")} in all` });
  }

  [Symbol.dispose](): void {
    for (const fd of this.kept.values()) fd[Symbol.dispose]();
  }
}

export function readWhole({ fd, fileOffset, bytes }: FileStretch): Uint8Array {
  const all = new Uint8Array(bytes);
  using loan = borrow(READ_BYTES);
  const { address, bytes: buffer } = loan.region;
  for (let done = 0; done < bytes;) {
    const got = readAt(fd, address, Math.min(READ_BYTES, bytes - done), fileOffset + done);
    if (got === 0) return all.subarray(0, done); // Cut short meanwhile.
    all.set(buffer.subarray(0, got), done);
    done += got;
  }
  return all;
}

function* linesOf(fd: Fd): Generator<readonly [string, number]> {
  const decoder = new TextDecoder();
  using loan = borrow(READ_BYTES);
  const { address, bytes: buffer } = loan.region;
  let held = new Uint8Array(0);
  let heldOffset = 0;
  for (let fileOffset = 0; ;) {
    const got = readAt(fd, address, READ_BYTES, fileOffset);
    if (got === 0) break;
    fileOffset += got;
    let start = 0;
    const all = new Uint8Array(held.byteLength + got);
    all.set(held);
    all.set(buffer.subarray(0, got), held.byteLength);
    for (;;) {
      const end = all.indexOf(NEWLINE, start);
      if (end === -1) break;
      if (end > start) yield [decoder.decode(all.subarray(start, end)), heldOffset + start];
      start = end + 1;
    }
    held = all.slice(start);
    heldOffset += start;
    if (held.byteLength > LINE_BYTES_MAX) {
      const place = { file: RECORDS_NAME, number: 0, fileOffset: heldOffset };
      const expected = `at most ${plural(LINE_BYTES_MAX, "byte")}`;
      throw manifestError(place, { field: "line", expected, found: "a longer one" });
    }
  }
  if (held.byteLength > 0) yield [decoder.decode(held), heldOffset];
}

function parseLine(text: string, place: LinePlace): Line {
  const value = parseJson(text, place);
  const keys = typeof value === "object" && value !== null ? value : {};
  if ("raw" in keys) return checked(value, RawSchema, place);
  if (!("header" in keys)) return checked(value, RecordSchema, place);
  const isSaveHeader = keys.header === "save_header";
  return isSaveHeader
    ? checked(value, SaveHeaderSchema, place)
    : checked(value, HeaderSchema, place);
}

function parseJson(text: string, place: LinePlace): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw manifestError(place, { field: "text", expected: "JSON", found: error.message });
  }
}

function checked<S extends v.GenericSchema>(
  value: unknown,
  schema: S,
  place: LinePlace,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue) ?? "value";
  const isOwnWording = issue.message.startsWith("wanted ");
  const expected = isOwnWording ? issue.message.slice("wanted ".length) : issue.expected;
  const found = issue.received.slice(0, FOUND_TEXT_MAX);
  throw manifestError(place, { field: path, expected: expected ?? issue.message, found });
}

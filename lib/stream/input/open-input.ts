// From what an operator names (a path, - or a descriptor's number) to a source. Compressed input is
// expanded by a second process of this program, so that the walk reads it like any pipe and memory
// stays bounded.

import { statSync } from "node:fs";
import { RefusedError, UsageError } from "../../base/index.ts";
import type { Finding, Source } from "../../bytes/index.ts";
import {
  borrow,
  currentOffset,
  duplicate,
  type Fd,
  type FileIdentity,
  type FileKind,
  kindOf,
  moveOffset,
  openForReading,
  readAt,
  sizeBySeeking,
  statOf,
} from "../../sys/index.ts";
import { type Compression, detectCompression } from "../detect.ts";
import { type SelfCommand, startExpander } from "./expander.ts";
import { FileSource } from "./file-source.ts";
import { PipeSource } from "./pipe-source.ts";

const MAGIC_BYTES = 4;

export interface Input {
  readonly source: Source;
  /** Set when the offsets of the source are those of the expanded stream. */
  readonly compression: Compression | undefined;
  /** A file or block device that holds the stream as it is, to be read again and again. */
  readonly file: StoredFile | undefined;
  /**
   * Leaves an inherited descriptor of a file where reading stopped, as reading it would have: what
   * stands there belongs to whoever reads on.
   */
  settle(): void;
  /** Lets go of everything, and tells what was wrong with the compressed data, if anything. */
  close(): Promise<Finding | undefined>;
}

export interface StoredFile {
  /** Belongs to the source. */
  readonly fd: Fd;
  /** Where the stream begins. */
  readonly start: number;
}

export interface InputOptions {
  /** How to start this program again, for expanding. */
  readonly selfCommand: SelfCommand;
  /** Every byte of the bodies is looked at, in small parts: see FileSourceOptions. */
  readonly copiesBodies?: boolean;
}

/** What an operand names, so that it is not written over; nothing where it cannot be looked at. */
export function identityOf(operand: string): FileIdentity[] {
  try {
    if (operand === "-") return [statOf(0)];
    return [/^[0-9]+$/.test(operand) ? statOf(Number(operand)) : statSync(operand)];
  } catch {
    return []; // Opening it says why.
  }
}

/** Throws SystemError, UsageError or RefusedError (a directory). */
export function openInput(operand: string, options: InputOptions): Input {
  const fd = openOperand(operand);
  try {
    return inputOf(fd, options);
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

function openOperand(operand: string): Fd {
  if (operand === "-") return duplicate(0, "standard input");
  if (!/^[0-9]+$/.test(operand)) return openForReading(operand);
  const number = Number(operand);
  if (number <= 0x7fff_ffff) return duplicate(number, `descriptor ${number}`);
  throw new UsageError(
    `Cannot use descriptor ${operand}: wanted a small number; for a file ./${operand}`,
  );
}

function inputOf(fd: Fd, options: InputOptions): Input {
  const stats = statOf(fd.number);
  const kind = kindOf(stats);
  if (kind === "directory") {
    throw new RefusedError(
      `Cannot read "${fd.name}": wanted a file, pipe or socket, found a directory`,
    );
  }
  if (kind !== "file" && kind !== "block") return pipeInput(fd, kind, options);
  const start = currentOffset(fd);
  const bytesTotal = kind === "file" ? stats.size : sizeBySeeking(fd, start);
  const compression = detectCompression(firstBytes(fd, start));
  if (compression !== undefined) return expandedInput(fd, { compression, prefix: "" }, options);
  const copiesBodies = options.copiesBodies === true;
  return plainInput(new FileSource(fd, { bytesTotal, start, copiesBodies }), { fd, start });
}

function firstBytes(fd: Fd, start: number): Uint8Array {
  using loan = borrow(MAGIC_BYTES);
  const got = readAt(fd, loan.region.address, MAGIC_BYTES, start);
  return loan.region.bytes.slice(0, got);
}

function pipeInput(fd: Fd, kind: FileKind, options: InputOptions): Input {
  const source = new PipeSource(fd, { isPipe: kind === "pipe" });
  const got = source.peek(MAGIC_BYTES);
  const first = source.bytes.slice(source.at, source.at + got);
  const compression = detectCompression(first);
  if (compression === undefined) return plainInput(source, undefined);
  const sameInput = duplicate(fd.number, fd.name);
  source[Symbol.dispose]();
  return expandedInput(sameInput, { compression, prefix: first.toHex() }, options);
}

const plainInput = (source: Source, file: StoredFile | undefined): Input => ({
  source,
  compression: undefined,
  file,
  settle() {
    if (file !== undefined) moveOffset(file.fd, source.position);
  },
  close() {
    source[Symbol.dispose]();
    return Promise.resolve(undefined);
  },
});

function expandedInput(
  fd: Fd,
  { compression, prefix }: { readonly compression: Compression; readonly prefix: string },
  { selfCommand }: InputOptions,
): Input {
  const expander = startExpander(fd, { compression, prefix, selfCommand });
  const source = new PipeSource(expander.output, { isPipe: true, isOursToTheEnd: true });
  return {
    source,
    compression,
    file: undefined,
    settle() {},
    close() {
      source[Symbol.dispose]();
      return expander.finish();
    },
  };
}

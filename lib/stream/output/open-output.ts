// From what an operator names (a path, - or a descriptor's number) to a sink. A path becomes a file
// that appears whole at commit() or not at all; pipes and devices are written as they are.

import { statSync } from "node:fs";
import { RefusedError, UsageError } from "../../base/index.ts";
import type { Sink } from "../../bytes/index.ts";
import {
  createNewFile,
  duplicate,
  type Existing,
  type Fd,
  type FileIdentity,
  type FileKind,
  kindOf,
  type NewFile,
  openForWriting,
  statOf,
} from "../../sys/index.ts";
import { FdSink } from "./fd-sink.ts";

export interface Output extends Disposable {
  readonly sink: Sink;
  /** To read back what was flushed; undefined for what is no file, or was there already. */
  readonly newFile: Fd | undefined;
  /** Hands on the last bytes; a file is then there for good. Without it, nothing is left of it. */
  commit(): void;
}

export interface OutputOptions {
  readonly existing: Existing;
  /** What is read meanwhile: writing over one of these is refused. */
  readonly inputs: readonly FileIdentity[];
}

/** Throws SystemError, UsageError or RefusedError, before anything has changed. */
export function openOutput(operand: string, options: OutputOptions): Output {
  if (operand === "-") return openDescriptor(1, "standard output", options);
  const named = /^(?:\/dev\/fd\/|\/proc\/self\/fd\/)?([0-9]+)$/.exec(operand)?.[1];
  if (named !== undefined) {
    const number = Number(named);
    if (number <= 0x7fff_ffff) return openDescriptor(number, `descriptor ${number}`, options);
    throw new UsageError(
      `Cannot use descriptor ${operand}: wanted a small number; for a file ./${operand}`,
    );
  }
  if (operand === "/dev/stdout") return openDescriptor(1, "standard output", options);
  const kind = kindAt(operand);
  if (kind === "file" || kind === "directory") {
    return new FileOutput(createNewFile({ path: operand, ...options }));
  }
  if (kind === "block" && options.existing === "refuse") {
    throw new RefusedError(`Cannot write "${operand}": it is a block device`);
  }
  return openPlain(openForWriting(operand), options);
}

/** What stands there; where that cannot be looked at, making a file says why. */
function kindAt(path: string): FileKind {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats === undefined ? "file" : kindOf(stats);
  } catch (error) {
    if (error instanceof Error && "syscall" in error) return "file";
    throw error;
  }
}

function openDescriptor(number: number, name: string, options: OutputOptions): Output {
  return openPlain(duplicate(number, name), options);
}

/** What is there already and is written from where it stands. */
function openPlain(fd: Fd, { inputs }: OutputOptions): Output {
  try {
    const stats = statOf(fd.number);
    const isInput = inputs.some(({ dev, ino }) => dev === stats.dev && ino === stats.ino);
    if (isInput && (stats.isFile() || stats.isBlockDevice())) {
      throw new RefusedError(`Cannot write "${fd.name}": it is the input`);
    }
    return new PlainOutput(fd, new FdSink(fd, kindOf(stats)));
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

class FileOutput implements Output {
  readonly sink: FdSink;
  private readonly file: NewFile;
  constructor(file: NewFile) {
    this.file = file;
    this.sink = new FdSink(file.fd, "file");
    this.sink.isSyncedLater = true;
  }
  get newFile(): Fd {
    return this.file.fd;
  }
  commit(): void {
    this.sink.flush();
    this.file.commit();
  }
  [Symbol.dispose](): void {
    this.sink[Symbol.dispose]();
    this.file[Symbol.dispose]();
  }
}

class PlainOutput implements Output {
  readonly sink: FdSink;
  readonly newFile = undefined;
  private readonly fd: Fd;
  constructor(fd: Fd, sink: FdSink) {
    this.fd = fd;
    this.sink = sink;
  }
  commit(): void {
    this.sink.flush();
  }
  [Symbol.dispose](): void {
    this.sink[Symbol.dispose]();
    this.fd[Symbol.dispose]();
  }
}

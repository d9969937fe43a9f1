// An input that can be read more than once. A file is one already; of a pipe, a socket or
// compressed data the first walk keeps everything it reads in a file without a name, and not a byte
// behind the stream's end is taken.

import { join } from "node:path";
import type { Finding, Source } from "../../bytes/index.ts";
import { createNewFile, duplicate, type Fd, type FileIdentity, statOf } from "../../sys/index.ts";
import type { Compression } from "../detect.ts";
import { FdSink } from "../output/index.ts";
import { FileSource } from "./file-source.ts";
import type { Input, StoredFile } from "./open-input.ts";
import { SpoolSource } from "./spool-source.ts";

export interface StoredInput {
  /** For messages. */
  readonly name: string;
  readonly compression: Compression | undefined;
  /** It had to be kept in a file of ours. */
  readonly isSpooled: boolean;
  /** What must not be written over. */
  readonly identities: readonly FileIdentity[];
  /** For the first walk, which must go to the stream's end. */
  readonly first: Source;
  /** Behind the first walk, before any other: what was wrong with compressed data, if anything. */
  keep(): Promise<Finding | undefined>;
  /** The stream's bytes, where the offsets of the walk mean the same. */
  readonly file: Fd;
  readonly start: number;
  /** Reads again from the start, up to `end`. */
  pass(end: number): FileSource;
  /** Lets go of everything. */
  close(): Promise<void>;
}

/** Takes `input` over. `spoolFolder`: where a stream that is no file is kept meanwhile. */
export function storeInput(input: Input, spoolFolder: () => string): StoredInput {
  const { file } = input;
  return file === undefined ? spooledInput(input, spoolFolder()) : storedFile(input, file);
}

const passOf = (fd: Fd, start: number, end: number): FileSource =>
  new FileSource(duplicate(fd.number, fd.name), { bytesTotal: end, start });

function storedFile(input: Input, { fd, start }: StoredFile): StoredInput {
  return {
    name: fd.name,
    compression: undefined,
    isSpooled: false,
    identities: [statOf(fd.number)],
    first: input.source,
    keep: () => Promise.resolve(undefined),
    file: fd,
    start,
    pass: (end) => passOf(fd, start, end),
    async close() {
      await input.close();
    },
  };
}

function spooledInput(input: Input, folder: string): StoredInput {
  const path = join(folder, ".agent-spool"); // It never gets this name: it is never committed.
  const spool = createNewFile({ path, existing: "refuse", inputs: [] });
  spool.fd.name = `the copy of ${input.source.name} in ${folder}`; // For messages: a full disk.
  const sink = new FdSink(spool.fd, "file");
  let isRead = false;
  return {
    name: input.source.name,
    compression: input.compression,
    isSpooled: true,
    identities: [],
    first: new SpoolSource(input.source, sink),
    keep() {
      sink.flush();
      isRead = true;
      return input.close();
    },
    file: spool.fd,
    start: 0,
    pass: (end) => passOf(spool.fd, 0, end),
    async close() {
      sink[Symbol.dispose]();
      spool[Symbol.dispose]();
      if (!isRead) await input.close();
    },
  };
}

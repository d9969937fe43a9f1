// The stream of a folder as an input that can be read again and again: put together in a file
// without a name.

import { join } from "node:path";
import { createNewFile, duplicate } from "../../sys/index.ts";
import { FileSource, type StoredInput } from "../input/index.ts";
import { FdSink } from "../output/index.ts";
import { FolderReader } from "./folder-reader.ts";
import { writeStream } from "./line-writer.ts";

/** `spoolFolder`: where the stream is kept meanwhile. Throws StreamError, SystemError. */
export function storeFolder(path: string, spoolFolder: string): StoredInput {
  using reader = new FolderReader(path);
  const spool = createNewFile({
    path: join(spoolFolder, ".agent-spool"), // It never gets this name: it is never committed.
    existing: "refuse",
    inputs: [],
  });
  const { fd } = spool;
  fd.name = `the stream of ${path} in ${spoolFolder}`; // For messages: a full disk.
  const pass = (end: number) =>
    new FileSource(duplicate(fd.number, fd.name), { bytesTotal: end, start: 0 });
  try {
    using sink = new FdSink(fd, "file");
    writeStream(reader, sink, () => undefined);
    sink.flush();
    const first = pass(sink.position);
    return {
      name: path,
      compression: undefined,
      isSpooled: true,
      identities: reader.identities(),
      first,
      keep: () => Promise.resolve(undefined),
      file: fd,
      start: 0,
      pass,
      close() {
        first[Symbol.dispose]();
        spool[Symbol.dispose]();
        return Promise.resolve();
      },
    };
  } catch (error) {
    spool[Symbol.dispose]();
    throw error;
  }
}

// Puts a stream together again from the folder it was taken apart into.

import { verifyStream, type VerifyReport } from "../verify/index.ts";
import { duplicate, type Fd } from "../../sys/index.ts";
import { FileSource } from "../input/index.ts";
import { openOutput } from "../output/index.ts";
import { FolderReader } from "./folder-reader.ts";
import { writeStream } from "./line-writer.ts";

export interface AssembleOptions {
  /** Write also what is no valid stream. */
  readonly allowsDamage: boolean;
  readonly onProgress: (position: number) => void;
}

export interface Assembled {
  readonly bytes: number;
  /** Of the stream that was written; undefined where it went to a pipe and cannot be read back. */
  readonly report: VerifyReport | undefined;
  /** It is there for good. */
  readonly isWritten: boolean;
}

/** More say no more about a part that was edited wrongly. */
const FINDINGS_MAX = 20;

/**
 * Writes the stream of the folder at `path` to `operand`, and checks it before it appears there.
 * Throws StreamError for a folder that holds none, SystemError, RefusedError and UsageError.
 */
export function assembleFolder(path: string, operand: string, options: AssembleOptions): Assembled {
  using reader = new FolderReader(path);
  using output = openOutput(operand, { existing: "replace", inputs: reader.identities() });
  const { sink, newFile } = output;
  writeStream(reader, sink, options.onProgress);
  sink.flush();
  const bytes = sink.position;
  const report = newFile === undefined ? undefined : verifyFile(newFile, bytes);
  const isWritten = options.allowsDamage || report === undefined || report.verdict === "good";
  if (isWritten) output.commit();
  return { bytes, report, isWritten };
}

function verifyFile(file: Fd, bytesTotal: number): VerifyReport {
  using source = new FileSource(duplicate(file.number, file.name), { bytesTotal, start: 0 });
  return verifyStream(source, {
    format: undefined,
    compression: undefined,
    limit: FINDINGS_MAX,
    onProgress: () => undefined,
    listener: {},
  });
}

// Takes a stream apart into a folder; manifest.ts says what is in it.

import { type Finding, type Source, StreamError } from "../../bytes/index.ts";
import { createNewFolder, type NewFolder } from "../../sys/index.ts";
import type { Format } from "../detect.ts";
import { walk, type WalkEnd } from "../walk/index.ts";
import { Extractor } from "./extractor.ts";
import { FolderWriter } from "./folder-writer.ts";
import { type Manifest, MANIFEST_NAME, MANIFEST_VERSION } from "./manifest.ts";

export interface ExtractOptions {
  /** undefined: found by the first bytes. */
  readonly format: Format | undefined;
  /** Take apart what can be read of a stream that is damaged or cut short. */
  readonly allowsDamage: boolean;
  /** What stands behind the end is the input's too: never for a pipe that others read on. */
  readonly takesRest: boolean;
  readonly onProgress: (position: number) => void;
}

export interface Extracted {
  readonly end: WalkEnd;
  /** Page contents in the log. */
  readonly pages: number;
  /** It was read to its end, or as far as a receiver would. */
  readonly isComplete: boolean;
}

/**
 * Takes `source` apart into a new folder at `path`, which is there whole or not at all. `close`
 * says behind the last byte what was wrong with the data around the stream. Throws StreamError for
 * a stream that cannot be read to its end, SystemError and RefusedError.
 */
export async function extractStream(
  source: Source,
  path: string,
  options: ExtractOptions & { close(): Promise<Finding | undefined> },
): Promise<Extracted> {
  using folder = createNewFolder(path);
  let extracted: Extracted;
  try {
    extracted = extractInto(folder, source, options);
  } catch (error) {
    // Damage of compressed data is why the stream ended too early, not the other way round.
    const why = error instanceof StreamError ? await options.close() : undefined;
    throw why === undefined ? error : new StreamError(why, { cause: error });
  }
  const damage = await options.close();
  if (damage !== undefined && !options.allowsDamage) throw new StreamError(damage);
  folder.commit();
  return extracted;
}

/** The same into a folder that the caller commits, or throws away. */
export function extractInto(folder: NewFolder, source: Source, options: ExtractOptions): Extracted {
  using writer = new FolderWriter(folder);
  const visitor = new Extractor(writer, source);
  const end = walk(visitor.source, visitor, options);
  const { stopped, format } = end;
  const isComplete = stopped === undefined || end.outcome === "failover";
  const isTaken = isComplete || (options.allowsDamage && format !== undefined);
  if (stopped !== undefined && !isTaken) throw new StreamError(stopped);
  visitor.finish(end, options.takesRest);
  const manifest: Manifest = {
    agent_image: MANIFEST_VERSION,
    format: format!, // Without one the walk has stopped.
    kind: end.kind,
    checkpoints: end.checkpoints,
    source: { name: source.name, bytes: visitor.bytes, records: end.records },
    stopped: stopped === undefined ? null : new StreamError(stopped).message,
  };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  writer.file(MANIFEST_NAME).sink.write(new TextEncoder().encode(text));
  writer.finishAll();
  return { end, pages: visitor.pagesKept, isComplete };
}

// agent sample: a small valid save file to try the other commands on. It appears whole or not at
// all.

import { closeSync, linkSync, openSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { sampleStream } from "../../../lib/stream/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";

const Options = v.strictObject({ _: v.strictTuple([v.string()], "wanted one file to write") });

export function run({ argv, spec }: Invocation): number {
  const {
    _: [path],
  } = parseOptions(Options, spec, argv);
  if (path === "-") writeAll(1, sampleStream());
  else writeNew(path, sampleStream());
  return EXIT.ok;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.byteLength;) {
    done += writeSync(fd, bytes, done, bytes.byteLength - done);
  }
}

/**
 * Writes beside `path` and links it there: an existing file is never touched, a half one never
 * seen.
 */
function writeNew(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const fd = openSync(temporary, "wx", 0o644);
    try {
      writeFileSync(fd, bytes);
    } finally {
      closeSync(fd);
    }
    try {
      linkSync(temporary, path);
    } finally {
      unlinkSync(temporary);
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RefusedError(`Cannot write "${path}": ${why}`, { cause: error });
  }
}

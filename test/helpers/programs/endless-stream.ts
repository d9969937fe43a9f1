// endless-stream FILE OFFSET: writes the file to standard output up to the offset, and what stands
// behind it again and again, until nobody reads any more.

import { readFileSync, writeSync } from "node:fs";

const BLOCK_BYTES = 256 * 1024;

const [path = "", offset = "0"] = process.argv.slice(2);
const bytes = readFileSync(path);
const again = bytes.subarray(Number(offset));
const count = Math.max(1, Math.floor(BLOCK_BYTES / again.byteLength));
const block = Buffer.concat(Array.from({ length: count }, () => again));

function write(part: Uint8Array): void {
  for (let done = 0; done < part.byteLength;) done += writeSync(1, part, done);
}

try {
  write(bytes.subarray(0, Number(offset)));
  for (;;) write(block);
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
}

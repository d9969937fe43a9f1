// Plain text to standard output and standard error, at once. (The runtime's own stream objects cost
// 10 ms to make, which is more than all the rest of a start.)

import { writeSync } from "node:fs";

const STDOUT = 1;
const STDERR = 2;
const RETRY_MS = 1;

/**
 * Results. When the reader has gone (`| head`), the rest is dropped: the exit status still tells.
 */
export const print = (text: string): void => writeText(STDOUT, text);

/** Everything that is not a result. */
export const printToStderr = (text: string): void => writeText(STDERR, text);

function writeText(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.byteLength;) {
    try {
      done += writeSync(fd, bytes, done, bytes.byteLength - done);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE" || code === "EBADF") return;
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(RETRY_MS); // Somebody made the terminal or pipe non-blocking, and it is full.
    }
  }
}

// Plain text to standard output and standard error, at once. (The runtime's own stream objects cost
// 10 ms to make, which is more than all the rest of a start.)

import { writeSync } from "node:fs";
import { SystemError } from "../../lib/base/index.ts"; // Not lib/sys: it takes long to load.

const STDOUT = 1;
const STDERR = 2;
const RETRY_MS = 1;

/**
 * Results. When the reader has gone (`| head`), the rest is dropped: the exit status still tells.
 */
export const print = (text: string): void => writeText(STDOUT, text);

/**
 * Everything that is not a result. Where nobody can be told, the exit status still tells: an error
 * here would only hide the one that was to be printed.
 */
export const printToStderr = (text: string): void => {
  try {
    writeText(STDERR, text);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
};

function writeText(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.byteLength;) {
    try {
      done += writeSync(fd, bytes, done, bytes.byteLength - done);
    } catch (error) {
      const { code, errno } = systemCodeOf(error);
      if (code === "EPIPE" || code === "EBADF") return;
      if (code !== "EAGAIN") throw writeError(fd, { code, errno });
      Bun.sleepSync(RETRY_MS); // Somebody made the terminal or pipe non-blocking, and it is full.
    }
  }
}

/** Rethrows what is not a failed call. The runtime gives errno as the kernel does: negative. */
function systemCodeOf(error: unknown): { readonly code: string; readonly errno: number } {
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof code !== "string" || typeof errno !== "number") throw error;
  return { code, errno: Math.abs(errno) };
}

function writeError(
  fd: number,
  { code, errno }: { readonly code: string; readonly errno: number },
): SystemError {
  const object = fd === STDOUT ? "standard output" : "standard error";
  const why = code === "ENOSPC" ? ": the disk is full" : "";
  const failure = { call: "write", code, errno, object };
  return new SystemError(`Cannot write "${object}"${why}`, failure);
}

// SHA-256 of what an open descriptor holds, from its beginning, whatever its path leads to by now.

import { RefusedError } from "../base/index.ts";
import { borrow } from "./arena.ts";
import { type Fd, readAt, statOf } from "./file.ts";

/** Some 200 us of work. */
const STEP_BYTES = 256 * 1024;

/**
 * Lower-case hex. Throws RefusedError for a file that changed while it was read. `breathe` is
 * called between two steps of 256 KiB, where somebody has something to do there.
 */
export function sha256Of(fd: Fd, breathe?: () => void): string {
  const before = stampOf(fd);
  const hasher = new Bun.CryptoHasher("sha256");
  using loan = borrow(STEP_BYTES);
  const { address, bytes, length } = loan.region;
  for (let at = 0; ;) {
    const got = readAt(fd, address, length, at);
    hasher.update(bytes.subarray(0, got));
    at += got;
    if (got < length) break;
    breathe?.();
  }
  if (stampOf(fd) !== before) {
    throw new RefusedError(`Cannot checksum "${fd.name}": it changed meanwhile`);
  }
  return hasher.digest("hex");
}

function stampOf(fd: Fd): string {
  const { size, mtimeMs, ctimeMs } = statOf(fd.number);
  return `${size} ${mtimeMs} ${ctimeMs}`;
}

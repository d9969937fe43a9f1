// POSIX error numbers as the operations return them (0: done), and their names on the wire, in the
// order of xs_wire.h.

import type { ErrorName } from "./ports.ts";

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  E2BIG: 7,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EISDIR: 21,
  EINVAL: 22,
  ENOSPC: 28,
  EROFS: 30,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  EISCONN: 106,
} as const satisfies Record<ErrorName, number>;

/** Each name with its NUL, by number. */
export const ERROR_TEXTS: readonly (Uint8Array | undefined)[] = (() => {
  const texts: (Uint8Array | undefined)[] = Array.from({ length: 128 });
  for (const [name, errno] of Object.entries(ERRNO)) texts[errno] = Buffer.from(`${name}\0`);
  return texts;
})();

// One agent at a time on an image: a lock on a byte that QEMU does not use.

import type { Fd } from "../sys/index.ts";
import { lockByte, openForWriting } from "../sys/index.ts";
import { messageOf, type Reason } from "./emulator.ts";

/** QEMU's own are below 300. */
const AGENT_AT = 400;

export interface ImageLocks extends Disposable {
  readonly reasons: readonly Reason[];
}

/** Held until disposed of, or until the process dies. */
export function lockImages(
  disks: readonly { readonly name: string; readonly image: string; readonly identity: string }[],
): ImageLocks {
  const held: Fd[] = [];
  const reasons: Reason[] = [];
  const seen = new Set<string>();
  for (const { name, image, identity } of disks) {
    if (seen.has(identity)) continue; // Named twice, which is told elsewhere.
    seen.add(identity);
    try {
      const fd = openForWriting(image);
      held.push(fd);
      if (lockByte(fd, AGENT_AT, "exclusive")) continue;
      reasons.push({ subject: name, message: `another agent works on "${image}" now` });
    } catch (error) {
      reasons.push({ subject: name, message: messageOf(error) });
    }
  }
  return {
    reasons,
    [Symbol.dispose]: () => held.splice(0).forEach((fd) => fd[Symbol.dispose]()),
  };
}

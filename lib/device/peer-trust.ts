// Whether the program behind a socket is one that may ask us to freeze its connections.
//
// What it asks is done with a power that it has not, so a socket that anybody could have put in the
// place of passt's must not be served. Whose program it is by its user is not enough: a passt that
// root started is another user's by the time it listens. So the question is who can have put the
// socket there: trusted are programs of root, of the user that runs us, and of users that the
// operator names; whatever is in a folder that only its owner can write to (the operator has named
// it); and in a folder for all (/tmp, with its sticky bit) a socket that a trusted user has made.

import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { PeerProcess } from "../sys/index.ts";

const WRITABLE_BY_OTHERS_MASK = 0o022;
const STICKY_MASK = 0o1000;

/** Why the peer is not trusted; undefined when it is. */
export function distrustOf(
  path: string,
  { uid, pid }: PeerProcess,
  trusted: ReadonlySet<number>,
): string | undefined {
  if (trusted.has(uid)) return undefined;
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  const owner = statSync(path, { throwIfNoEntry: false })?.uid;
  if (folder !== undefined && owner !== undefined) {
    if ((folder.mode & WRITABLE_BY_OTHERS_MASK) === 0 || folder.uid === uid) return undefined;
    if ((folder.mode & STICKY_MASK) !== 0 && trusted.has(owner)) return undefined;
  }
  return (
    `wanted a socket that only a trusted user can have made, found process ${pid} of user ${uid} ` +
    "in a folder that others may write to: name that user with --user if it is to be trusted"
  );
}

// Whether the program behind a socket is one that may ask us to freeze its connections.
//
// What it asks is done with a power that it has not, so a socket that anybody could have put in the
// place of passt's must not be served. Trusted are root, the user that runs us, users that the
// operator names, the owner of the folder, and whoever owns the socket file in a folder that nobody
// else can write to (passt started as root binds its socket as root and then becomes another user).

import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { PeerProcess } from "../sys/index.ts";

const WRITABLE_BY_OTHERS_MASK = 0o022;

/** Why the peer is not trusted; undefined when it is. */
export function distrustOf(
  path: string,
  { uid, pid }: PeerProcess,
  trusted: ReadonlySet<number>,
): string | undefined {
  if (trusted.has(uid)) return undefined;
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  const file = statSync(path, { throwIfNoEntry: false });
  if (folder !== undefined && folder.uid === uid) return undefined;
  const isClosedFolder = folder !== undefined && (folder.mode & WRITABLE_BY_OTHERS_MASK) === 0;
  if (isClosedFolder && file?.uid === uid) return undefined;
  return (
    `wanted a peer of root, of the user who runs this, or of the folder's owner, found process ` +
    `${pid} of user ${uid}: name that user with --user if it is to be trusted`
  );
}

// The name of a socket to listen on: one that a program left behind that has ended is taken over,
// one that somebody listens on is not.

import { statSync, unlinkSync } from "node:fs";
import { RefusedError, SystemError } from "../base/index.ts";
import { bindUnix, connectUnix, type Fd, type SocketKind } from "../sys/index.ts";

const CONNECT_WAIT_MS = 100;

export function listenOn(path: string, kind: SocketKind): Fd {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats !== undefined) {
    if (!stats.isSocket()) throw new RefusedError(`Cannot listen on "${path}": it is no socket`);
    if (somebodyListens(path, kind)) {
      throw new RefusedError(`Cannot listen on "${path}": another program does`);
    }
    unlinkSync(path);
  }
  return bindUnix({ path, kind });
}

function somebodyListens(path: string, kind: SocketKind): boolean {
  try {
    connectUnix({ path, kind, waitMs: CONNECT_WAIT_MS })[Symbol.dispose]();
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.failure.code !== "ECONNREFUSED";
  }
}

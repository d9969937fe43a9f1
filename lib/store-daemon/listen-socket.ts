// The unix socket that tools connect to: where it is, and how it comes to be there.
//
// The path is that of libxenstore (xs.c, xs_lib.c): XENSTORED_PATH, else "socket" in
// XENSTORED_RUNDIR, else in /run/xenstored. Only its owner may use it. One that nobody serves is
// replaced; one that is served is left alone.

import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  bindUnix,
  connectUnix,
  type Environment,
  type Fd,
  makeFolders,
  removeName,
} from "../sys/index.ts";

const RUN_FOLDER = "/run/xenstored";
const OWNER_ONLY_UMASK = 0o177;
const PROBE_WAIT_MS = 1000;

/** Where the socket belongs. */
export function socketPath({ XENSTORED_PATH, XENSTORED_RUNDIR }: Environment): string {
  if (XENSTORED_PATH !== undefined && XENSTORED_PATH !== "") return XENSTORED_PATH;
  return join(runFolder({ XENSTORED_RUNDIR }), "socket");
}

/** Where a stock daemon keeps its socket and the state that it hands over. */
export const runFolder = ({ XENSTORED_RUNDIR }: Environment): string =>
  XENSTORED_RUNDIR === undefined || XENSTORED_RUNDIR === "" ? RUN_FOLDER : XENSTORED_RUNDIR;

/** Listens on the path. Throws RefusedError when somebody else does, SystemError. */
export function listenOn(path: string): Fd {
  makeFolders(dirname(path));
  if (isServed(path)) {
    throw new RefusedError(`Cannot listen on "${path}": another xenstore daemon serves it`);
  }
  removeSocket(path);
  const umask = process.umask(OWNER_ONLY_UMASK);
  try {
    return bindUnix({ path, kind: "stream" });
  } finally {
    process.umask(umask);
  }
}

/** Removes the socket of this path; anything else that stands there is left alone. */
export function removeSocket(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isSocket() === true) removeName(path);
}

function isServed(path: string): boolean {
  try {
    connectUnix({ path, kind: "stream", waitMs: PROBE_WAIT_MS })[Symbol.dispose]();
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.failure.code === "EAGAIN"; // Its backlog is full: somebody is there.
  }
}

// The service manager's side of the conversation (sd_notify(3), sd_listen_fds(3)): datagrams to
// NOTIFY_SOCKET, and descriptors that it hands to us when we start.
//
// Messages are lines NAME=VALUE. FDSTORE=1 travels with the descriptors themselves; its FDNAME may
// hold no colon and at most 255 bytes. Managers before 233 know no FDNAME: what comes back from
// them must say by its content what it is.

import { RefusedError, SystemError } from "../base/index.ts";
import type { Environment } from "./exec.ts";
import { closeOnExec } from "./exec.ts";
import { Fd, statOf } from "./file.ts";
import { connectUnix, DESCRIPTORS_MAX, sendDescriptors } from "./socket.ts";

const FIRST_FD = 3;
/** A manager that is busy is waited for, but never longer: we have clients. */
const SEND_WAIT_MS = 1000;
const NAME_BYTES_MAX = 255;
const WHOLE_NUMBER = /^[0-9]{1,9}$/;

export type Notification = Readonly<Record<string, string | number | bigint>>;

/**
 * Tells the service manager; false without one, or where it does not listen. `fds` only with
 * FDSTORE. A manager that is busy is waited for, at most so long.
 */
export function notifyManager(
  environment: Environment,
  notification: Notification,
  fds: readonly number[],
  waitMs = SEND_WAIT_MS,
): boolean {
  const path = managerSocket(environment);
  if (path === undefined) return false;
  const lines = Object.entries(notification).map(([name, value]) => {
    const text = String(value);
    if (!text.includes("\n")) return `${name}=${text}`;
    throw new RefusedError(`Cannot tell the service manager ${name}: wanted one line`);
  });
  const text = Buffer.from(lines.join("\n"));
  try {
    using socket = connectUnix({ path, kind: "datagram", waitMs });
    // One message holds at most so many descriptors; each then carries the same lines.
    for (let at = 0; at === 0 || at < fds.length; at += DESCRIPTORS_MAX) {
      if (sendDescriptors(socket, text, fds.slice(at, at + DESCRIPTORS_MAX)) === 0) return false;
    }
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return false; // The manager has gone or is stuck: our clients are served all the same.
  }
}

/** The address in NOTIFY_SOCKET: a path, or "@" for an abstract name. vsock is not ours. */
function managerSocket({ NOTIFY_SOCKET: given }: Environment): string | undefined {
  if (given === undefined) return undefined;
  if (given.startsWith("@")) return `\0${given.slice(1)}`;
  return given.startsWith("/") ? given : undefined;
}

/** A name fit for FDNAME. */
export function isDescriptorName(name: string): boolean {
  return /^[\x20-\x39\x3b-\x7e]+$/.test(name) && name.length <= NAME_BYTES_MAX;
}

export interface PassedDescriptor {
  readonly fd: Fd;
  /** undefined where the manager names none ("stored" and "unknown" are its own placeholders). */
  readonly name: string | undefined;
}

const PLACEHOLDERS: ReadonlySet<string> = new Set(["", "stored", "unknown"]);

/**
 * The descriptors that the service manager started us with; none when they were meant for another
 * process. They are close-on-exec from here on. Throws RefusedError for variables that make no
 * sense.
 */
export function passedDescriptors(
  { LISTEN_FDS: count, LISTEN_PID: pid, LISTEN_FDNAMES: names }: Environment,
  ownPid: number,
): PassedDescriptor[] {
  if (count === undefined || pid === undefined) return [];
  if (!WHOLE_NUMBER.test(count) || !WHOLE_NUMBER.test(pid)) {
    const found = `found LISTEN_FDS="${count}" and LISTEN_PID="${pid}"`;
    throw new RefusedError(`Cannot take the service manager's descriptors: ${found}`);
  }
  if (Number(pid) !== ownPid) return [];
  const given = names?.split(":") ?? [];
  return Array.from({ length: Number(count) }, (_, index) => {
    const number = FIRST_FD + index;
    statOf(number); // Throws where it is not open: the variables are then somebody else's.
    const name = given[index] ?? "";
    const isNamed = !PLACEHOLDERS.has(name);
    const fd = new Fd(number, `fd ${number} (${isNamed ? name : "from the service manager"})`);
    closeOnExec(fd);
    return { fd, name: isNamed ? name : undefined };
  });
}

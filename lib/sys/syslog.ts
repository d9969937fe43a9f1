// The system log: lines to the socket of the log daemon, in the form of RFC 3164 without its time
// stamp, which every log daemon adds: `<PRI>TAG[PID]: TEXT`.

import { SystemError } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import {
  EACCES,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINTR,
  ENOENT,
  ENOTCONN,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  systemError,
} from "./errno.ts";
import type { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";
import { connectUnix, type SocketKind } from "./socket.ts";

export const SYSLOG_PATH = "/dev/log";

export const SEVERITY = { error: 3, warning: 4, notice: 5, info: 6 } as const;
export type Severity = keyof typeof SEVERITY;

const FACILITY_DAEMON = 3;
const FACILITY_FACTOR = 8;
/** What rsyslog takes of a message unless told otherwise. The rest of a longer line is cut off. */
const LINE_BYTES_MAX = 8 * 1024;
/** A log daemon that hangs must not hang us for longer. */
const WAIT_MS_MAX = 1000;
const MSG_NOSIGNAL = 0x4000;

const NOBODY_THERE: readonly number[] = [ENOENT, ECONNREFUSED, EACCES, EPERM, EAGAIN];
const GONE_OR_STUCK: readonly number[] = [EAGAIN, ECONNREFUSED, ECONNRESET, ENOTCONN, EPIPE];

const line = reserve(LINE_BYTES_MAX + 1);

export interface LogLines {
  /** Path of the log socket, SYSLOG_PATH but in tests. */
  readonly socketPath: string;
  /** The name of the program in the log. */
  readonly tag: string;
  readonly severity: Severity;
  readonly lines: readonly string[];
}

/**
 * Sends the lines to the system log. Returns false when nobody takes them: there is no log socket,
 * none that we may use, or the log daemon hangs.
 */
export function sendToSyslog({ socketPath, tag, severity, lines }: LogLines): boolean {
  const connection = connectToLog(socketPath);
  if (connection === undefined) return false;
  using socket = connection.socket;
  const priority = FACILITY_DAEMON * FACILITY_FACTOR + SEVERITY[severity];
  for (const text of lines) {
    const record = `<${priority}>${tag}[${process.pid}]: ${harmless(text)}`;
    if (!sendLine(socket, record, connection.kind)) return false;
  }
  return true;
}

/** Control characters as #ooo, as rsyslog shows them: a text cannot forge a line of its own. */
export const harmless = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- they are what is looked for.
  text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `#${character.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });

function connectToLog(path: string): { socket: Fd; kind: SocketKind } | undefined {
  // Nearly every log daemon takes datagrams; the rest say EPROTOTYPE and take a stream.
  for (const kind of ["datagram", "stream"] as const) {
    try {
      return { socket: connectUnix({ path, kind, waitMs: WAIT_MS_MAX }), kind };
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      const { errno } = error.failure;
      if (errno === EPROTOTYPE) continue;
      if (NOBODY_THERE.includes(errno)) return undefined;
      throw error;
    }
  }
  return undefined;
}

/** False when the log daemon does not take it. */
function sendLine(socket: Fd, record: string, kind: SocketKind): boolean {
  const { written } = new TextEncoder().encodeInto(record, line.bytes.subarray(0, LINE_BYTES_MAX));
  line.bytes[written] = 0; // On a stream a NUL ends the record.
  const bytes = kind === "stream" ? written + 1 : written;
  for (let done = 0; done < bytes;) {
    const at = pointer(line.address + done);
    const sent = libc.send(socket.number, at, bytes - done, MSG_NOSIGNAL);
    const errno = sent === -1 ? lastErrno() : 0;
    if (sent > 0) done += sent;
    else if (GONE_OR_STUCK.includes(errno)) return false;
    else if (errno !== EINTR) {
      const object = socket.name;
      throw systemError("Cannot write to the system log", { call: "send", errno, object });
    }
  }
  return true;
}

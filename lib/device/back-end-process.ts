// What the kernel tells of a back end's process: whether somebody is connected to its sockets, and
// how many TCP connections it holds. From /proc of that process, whose network namespace may be its
// own.
//
//   /proc/PID/net/unix   Num RefCount Protocol Flags Type St Inode Path: the listener and every
//                        accepted connection have the path; flags 10000 is the listener, state 03 a
//                        connection that was accepted
//   /proc/PID/net/tcp    ... state in column 3 (01 is established), inode in column 9
//   /proc/PID/fd         links "socket:[INODE]"; readable only with rights over that process

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, resolve } from "node:path";
import { monotonicMs } from "../sys/index.ts";

const LISTENING = "00010000";
const CONNECTED = "03";
const ESTABLISHED = "01";
const REPAIR_SUFFIX = ".repair";

export interface SocketUse {
  readonly isListening: boolean;
  /** Connections that were accepted. */
  readonly connections: number;
}

interface UnixRow {
  readonly flags: string;
  readonly state: string;
  readonly inode: string;
  readonly path: string;
}

const textOf = (path: string): string | undefined => {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // It has ended, or we may not look.
  }
};

function unixRows(pid: number | "self"): UnixRow[] {
  const lines = textOf(`/proc/${pid}/net/unix`)?.split("\n").slice(1) ?? [];
  return lines.flatMap((line) => {
    const [, , , flags = "", , state = "", inode = "", ...rest] = line.split(/ +/);
    return rest.length === 0 ? [] : [{ flags, state, inode, path: rest.join(" ") }];
  });
}

/** A path as somebody bound it: whole, or from where it stood then. */
const isSamePath = (bound: string, path: string): boolean =>
  bound === path ||
  bound === resolve(path) ||
  (!bound.startsWith("/") && basename(bound) === basename(path));

function useOf(rows: readonly UnixRow[]): SocketUse {
  return {
    isListening: rows.some(({ flags }) => flags === LISTENING),
    connections: rows.filter(({ flags, state }) => flags !== LISTENING && state === CONNECTED)
      .length,
  };
}

/** Who uses the socket at `path`, as the network namespace of `pid` shows it. */
export const socketUse = (pid: number | "self", path: string): SocketUse =>
  useOf(unixRows(pid).filter((row) => isSamePath(row.path, path)));

/** Whether a TCP repair helper is connected; "none" for a back end that listens for no helper. */
export function repairHelperOf(pid: number, path: string): "connected" | "absent" | "none" {
  const rows = unixRows(pid);
  const own = socketInodes(pid);
  const isHelperSocket = (row: UnixRow): boolean =>
    isSamePath(row.path, path + REPAIR_SUFFIX) ||
    // A path of its own: whatever else this process listens on.
    (own?.has(row.inode) === true && row.flags === LISTENING && !isSamePath(row.path, path));
  const paths = new Set(rows.filter(isHelperSocket).map((row) => row.path));
  if (paths.size === 0) return "none";
  const isConnected = useOf(rows.filter((row) => paths.has(row.path))).connections > 0;
  return isConnected ? "connected" : "absent";
}

const LOOK_EVERY_MS = 1;

/** Waits until a helper is connected: passt closes its connection after each transfer. */
export function waitForRepairHelper(pid: number, path: string, waitMs: number): boolean {
  for (const untilMs = monotonicMs() + waitMs; ; Bun.sleepSync(LOOK_EVERY_MS)) {
    if (repairHelperOf(pid, path) === "connected") return true;
    if (monotonicMs() > untilMs) return false;
  }
}

/** How many established TCP connections the process holds; undefined where we may not look. */
export const tcpConnectionsOf = (pid: number): number | undefined => tcpInodesOf(pid)?.size;

/** Inodes of their sockets. */
export function tcpInodesOf(pid: number): Set<string> | undefined {
  const own = socketInodes(pid);
  if (own === undefined) return undefined;
  const found = new Set<string>();
  for (const table of ["tcp", "tcp6"]) {
    for (const line of textOf(`/proc/${pid}/net/${table}`)?.split("\n").slice(1) ?? []) {
      const fields = line.trim().split(/ +/);
      const inode = fields[9] ?? "";
      if (fields[3] === ESTABLISHED && own.has(inode)) found.add(inode);
    }
  }
  return found;
}

/** Inodes of the sockets that a process has open; undefined where we may not look. */
export function socketInodes(pid: number): Set<string> | undefined {
  const folder = `/proc/${pid}/fd`;
  const inodes = new Set<string>();
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return undefined;
  }
  for (const name of names) {
    try {
      const inode = /^socket:\[([0-9]+)\]$/.exec(readlinkSync(`${folder}/${name}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      continue; // Closed meanwhile.
    }
  }
  return inodes;
}

/** Whether it is passt, by its words: it may have been started by a loader. */
export function isPasst(pid: number): boolean {
  const words = textOf(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
  return words.some((word) => /^passt(?!-repair)/.test(basename(word)));
}

/** What it was started as, for reports; empty where it has ended. */
export const commandOf = (pid: number): string =>
  (textOf(`/proc/${pid}/cmdline`) ?? "").split("\0").join(" ").trim();

/**
 * The process that listens at `path` now. The peer's number tells who began to listen, and a
 * program that has put itself into the background since has another: then whoever has the socket is
 * looked for.
 */
export function backEndPid(path: string, peerPid: number): number | undefined {
  if (textOf(`/proc/${peerPid}/stat`) !== undefined && peerPid !== 0) return peerPid;
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    const pid = Number(name);
    const own = socketInodes(pid);
    if (own === undefined || own.size === 0) continue;
    const rows = unixRows(pid).filter((row) => row.flags === LISTENING);
    if (rows.some((row) => own.has(row.inode) && isSamePath(row.path, path))) return pid;
  }
  return undefined;
}

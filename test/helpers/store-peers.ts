// Starts the xenstore daemons that ours is compared with: Debian's C xenstored and oxenstored,
// unmodified and without a hypervisor, by the script run-peers.sh.
//
// The script is not of this repository. It is looked for in $AGENT_TEST_PEERS, or in
// ../shared/peers beside the repository. A test that needs it and does not find it counts as
// skipped and says why: `test.skipIf(!HAS_PEERS)(peerTitle(title), ...)`. It downloads Debian's
// packages once, into a cache beside other temporary files; what it compiles goes there too.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { listens } from "./store-socket.ts";

const REPOSITORY = resolve(import.meta.dir, "../..");
const FOLDER = resolve(REPOSITORY, process.env.AGENT_TEST_PEERS ?? "../shared/peers");
const SCRIPT = join(FOLDER, "run-peers.sh");
const CACHE = join(tmpdir(), `agent-store-peers-${process.getuid?.() ?? 0}`);

export const HAS_PEERS = existsSync(SCRIPT) && Bun.which("cc") !== null && canFetch();
export type PeerName = "c-4.17" | "c-4.20" | "ocaml-4.17" | "ocaml-4.20";
export type XenVersion = "4.17" | "4.20";

/** A running xenstore daemon, ours or a peer; disposing of it stops it and removes its folder. */
export interface StoreDaemon extends Disposable {
  readonly name: string;
  /** Its run-time folder: the socket, what it printed ("out"), and "shim". */
  readonly run: string;
  readonly socket: string;
  /** Stands for the hypervisor: ring.N, evtchn, dying.N, shut.N. */
  readonly shim: string;
  readonly pid: number;
}

/** A test's title, with the reason where it is skipped. */
export const peerTitle = (title: string): string =>
  HAS_PEERS ? title : `${title} (skipped: no such script as ${SCRIPT}, or no compiler or packages)`;

/** Short, as the path of a socket has to be. */
export const runFolder = (): string => mkdtempSync(join(tmpdir(), "agent-store-"));

/** Whether the packages are there, or can be downloaded. */
function canFetch(): boolean {
  try {
    fetchPeer("4.20");
    return true;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return false;
  }
}

/** Downloads, unpacks and builds what a version needs; one of several test runs at a time. */
export function fetchPeer(version: XenVersion): void {
  mkdirSync(CACHE, { recursive: true, mode: 0o700 });
  script(["flock", join(CACHE, "lock"), "sh", SCRIPT, CACHE, "get", version]);
}

export function startPeer(name: PeerName): StoreDaemon {
  fetchPeer(name.endsWith("4.17") ? "4.17" : "4.20");
  const run = runFolder();
  script(["sh", SCRIPT, CACHE, "start", name, run]);
  const pid = Number(readFileSync(join(run, "pid"), "utf8"));
  while (!listens(join(run, "socket"))) Bun.sleepSync(5);
  return {
    name,
    run,
    socket: join(run, "socket"),
    shim: join(run, "shim"),
    pid,
    [Symbol.dispose]() {
      script(["sh", SCRIPT, CACHE, "stop", run]);
      rmSync(run, { recursive: true, force: true });
    },
  };
}

/** The load generator, built. */
export function xsload(): string {
  fetchPeer("4.20");
  return join(CACHE, "xsload");
}

/** Runs a program of a version's packages, `run` being its /run/xenstored; status and output. */
export function runPeerTool(version: XenVersion, run: string, words: readonly string[]) {
  fetchPeer(version);
  const { exitCode, stdout, stderr } = Bun.spawnSync([
    ...["sh", SCRIPT, CACHE, "tool", version, run],
    ...words,
  ]);
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** The folder with the unpacked packages of a version. */
export function peerRoot(version: XenVersion): string {
  fetchPeer(version);
  return join(CACHE, version);
}

function script(command: string[]): void {
  // What ours takes for the hypervisor, should it take a peer's place.
  const env = { ...process.env, XENSTORED_HYPERVISOR: "/run/xenstored/shim" };
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env });
  if (exitCode !== 0) throw new Error(`Cannot run ${command.join(" ")}:\n${stdout}${stderr}`);
}

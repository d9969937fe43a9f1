// A real QEMU with disks and no guest in it: what writes to the disks is QEMU's own qemu-io
// command.

import { join } from "node:path";
import type { Monitor } from "../../lib/snapshot/monitor.ts";
import { connectQmp } from "../../lib/snapshot/qmp-client.ts";

export interface GuestDisk {
  readonly id: string;
  readonly path: string;
  readonly format: "qcow2" | "raw";
}

export interface DiskGuest extends AsyncDisposable {
  /** The socket that is left for the agent. */
  readonly qmp: string;
  readonly pid: number;
  readonly disks: readonly GuestDisk[];
  /** The test's own monitor. */
  readonly monitor: Monitor;
  /** Fills `bytes` at `at` of a disk with a byte. */
  write(disk: string, pattern: number, at?: number, bytes?: number): Promise<void>;
  /** Whether they hold that byte everywhere. */
  holds(disk: string, pattern: number, at?: number, bytes?: number): Promise<boolean>;
  status(): Promise<string>;
  kill(): Promise<void>;
  /** Ends it as a toolstack would. */
  quit(): Promise<void>;
}

const START_MS = 15_000;
export const LIMITS = { greetingMs: 2000, replyMs: 10_000 } as const;

export function makeImage(path: string, format: "qcow2" | "raw", size = "16M"): GuestDisk {
  tool("qemu-img", "create", "-q", "-f", format, path, size);
  return { id: "", path, format };
}

/** Runs a program that has to succeed; returns what it printed. */
export function tool(...words: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(words);
  if (exitCode === 0) return stdout.toString();
  throw new Error(`${words.join(" ")} ended with ${exitCode}: ${stderr.toString()}`);
}

export interface GuestOptions {
  readonly folder: string;
  readonly name: string;
  readonly disks: readonly GuestDisk[];
  /** Running from the start, or as -S leaves it. */
  readonly isRunning: boolean;
  /** Without it none: no processor and no memory either. */
  readonly machine?: string;
  readonly arguments?: readonly string[];
}

export async function startGuest(options: GuestOptions): Promise<DiskGuest> {
  const { folder, name, disks, isRunning } = options;
  const qmp = join(folder, `${name}.qmp`);
  const own = join(folder, `${name}.own`);
  const words = [
    "-machine",
    options.machine ?? "none",
    "-nodefaults",
    "-display",
    "none",
    "-name",
    name,
  ];
  if (!isRunning) words.push("-S");
  for (const path of [qmp, own]) words.push("-qmp", `unix:${path},server=on,wait=off`);
  for (const { id, path, format } of disks) {
    words.push("-drive", `if=none,id=${id},file=${path},format=${format}`);
  }
  // It ends with the test, whatever ends that.
  const start = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"];
  const child = Bun.spawn([...start, ...words, ...(options.arguments ?? [])], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const monitor = await patiently(child, () =>
    connectQmp({ path: own, name: `own monitor of ${name}`, ...LIMITS, greetingMs: 1000 }),
  );
  const io = async (disk: string, command: string): Promise<string> => {
    const line = `qemu-io ${disk} "${command}"`;
    return String(await monitor.execute("human-monitor-command", { "command-line": line }));
  };
  const end = async (): Promise<void> => {
    await child.exited;
    await monitor.close();
  };
  return {
    qmp,
    pid: child.pid,
    disks,
    monitor,
    async write(disk, pattern, at = 0, bytes = 65536) {
      const said = await io(disk, `write -q -P ${pattern} ${at} ${bytes}`);
      if (said.trim() !== "") throw new Error(`Cannot write to ${disk}: ${said}`);
    },
    async holds(disk, pattern, at = 0, bytes = 65536) {
      return (await io(disk, `read -q -P ${pattern} ${at} ${bytes}`)).trim() === "";
    },
    async status() {
      const answer = (await monitor.execute("query-status")) as { readonly status: string };
      return answer.status;
    },
    async kill() {
      child.kill("SIGKILL");
      await end();
    },
    async quit() {
      await monitor.execute("quit").catch(() => {});
      await end();
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await end();
    },
  };
}

/** Until it listens; one that connects too early is not greeted. */
async function patiently<T>(child: Bun.Subprocess, connect: () => Promise<T>): Promise<T> {
  for (const untilMs = performance.now() + START_MS; ; await Bun.sleep(2)) {
    try {
      return await connect();
    } catch (error) {
      if (performance.now() > untilMs || child.exitCode !== null) throw error;
    }
  }
}

/** Bytes of a stopped image, as a fresh reader sees them through its whole chain. */
export function imageHolds(path: string, format: string, pattern: number, at = 0): boolean {
  const { stdout } = Bun.spawnSync([
    "qemu-io",
    "-r",
    "-f",
    format,
    "-c",
    `read -P ${pattern} ${at} 65536`,
    path,
  ]);
  return !stdout.toString().includes("Pattern verification failed");
}

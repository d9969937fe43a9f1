// A private qemu-storage-daemon: the emulator of disks that no guest runs on. It holds every
// image's lock for the whole group, and speaks the same QMP.
//
// It must not outlive us, SIGKILL included: a shell waits on a pipe whose other end only we have,
// and ends the daemon when that closes.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Monitor } from "./monitor.ts";
import { type MonitorLimits } from "./open-monitor.ts";
import { connectQmp } from "./qmp-client.ts";
import { SnapshotRefusal } from "./refusal.ts";

const START_MS = 10_000;
const RETRY_MS = 2;

/** $1 is the socket. The daemon's own input is /dev/null; ours is the pipe. */
const SCRIPT = `
qemu-storage-daemon --chardev socket,id=c,path="$1",server=on,wait=off --monitor chardev=c &
pid=$!
read -r line
kill "$pid" 2>/dev/null
wait "$pid"
rm -rf -- "$2"
`;

export interface StorageDaemon {
  readonly monitor: Monitor;
  /** Ends it; when this returns the locks are free. */
  close(): Promise<void>;
}

/** Throws SnapshotRefusal if there is none on this host. */
export async function startStorageDaemon(limits: MonitorLimits): Promise<StorageDaemon> {
  if (Bun.which("qemu-storage-daemon") === null) {
    const hint = "install qemu-storage-daemon (qemu-system-common on Debian)";
    throw new SnapshotRefusal(`Cannot work on stopped disks: ${hint}`);
  }
  const folder = mkdtempSync(join(tmpdir(), "agent-qsd-"));
  const path = join(folder, "qmp");
  const child = Bun.spawn(["/bin/sh", "-c", SCRIPT, "sh", path, folder], {
    stdio: ["pipe", "ignore", "pipe"],
    detached: true, // What is typed at the terminal stops us first, and not under our hands.
  });
  const close = async (): Promise<void> => {
    void child.stdin.end();
    await child.exited;
    rmSync(folder, { recursive: true, force: true });
  };
  const untilMs = performance.now() + START_MS;
  for (;;) {
    try {
      const name = "the private qemu-storage-daemon";
      const monitor = await connectQmp({ path, name, ...limits });
      return {
        monitor,
        async close() {
          await monitor.close();
          await close();
        },
      };
    } catch (error) {
      if (performance.now() < untilMs && child.exitCode === null) {
        await Bun.sleep(RETRY_MS);
        continue;
      }
      await close();
      const said = (await new Response(child.stderr).text()).trim();
      throw new SnapshotRefusal(`Cannot start qemu-storage-daemon: ${said || String(error)}`);
    }
  }
}

// A private qemu-storage-daemon: the emulator of disks that no guest runs on. It holds every
// image's lock for the whole group, and speaks the same QMP.
//
// It must not outlive us, SIGKILL included: a shell waits on a pipe whose other end only we have,
// and ends the daemon when that closes. The monitor is one end of a socket pair: to a listening
// socket of QEMU 7.2 one can connect too early, and then never hears a greeting.

import { makeSocketPair } from "../sys/index.ts";
import type { Monitor } from "./monitor.ts";
import type { MonitorLimits } from "./open-monitor.ts";
import { connectQmp } from "./qmp-client.ts";
import { SnapshotRefusal } from "./refusal.ts";

const START_MS = 10_000;

/** Descriptor 3 is the monitor. The daemon's own input is /dev/null; the shell's is our pipe. */
const SCRIPT = `
qemu-storage-daemon --chardev socket,id=c,fd=3 --monitor chardev=c &
pid=$!
exec 3<&-
read -r line
kill "$pid" 2>/dev/null
wait "$pid"
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
  const [ours, theirs] = makeSocketPair("stream");
  const child = Bun.spawn(["/bin/sh", "-c", SCRIPT], {
    stdio: ["pipe", "ignore", "pipe", theirs.number],
    detached: true, // What is typed at the terminal stops us first, and not under our hands.
  });
  theirs[Symbol.dispose]();
  const close = async (): Promise<void> => {
    void child.stdin.end();
    await child.exited;
  };
  const name = "the private qemu-storage-daemon";
  try {
    const greetingMs = Math.max(limits.greetingMs, START_MS);
    const monitor = await connectQmp({ path: ours.number, name, ...limits, greetingMs });
    return {
      monitor,
      async close() {
        await monitor.close();
        await close();
      },
    };
  } catch (cause) {
    await close();
    const said = (await new Response(child.stderr).text()).trim();
    const why = said === "" ? String(cause) : said;
    throw new SnapshotRefusal(`Cannot start qemu-storage-daemon: ${why}`, { cause });
  }
}

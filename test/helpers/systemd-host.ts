// A small system whose process 1 is the real systemd, in name spaces of its own, over Debian's
// packages as .ci/fetch-systemd unpacks them: in the folder $AGENT_TEST_SYSTEMD, or in the cache
// where .ci/run puts them. agent is installed there by install.sh. A test that needs it and does
// not find it counts as skipped and says why; in CI that is a failure.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "./source-files.ts";
import { temporaryFolder } from "./temporary.ts";

const CACHE = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
const FOLDER = process.env["AGENT_TEST_SYSTEMD"] ?? join(CACHE, "agent-ci/systemd");
const START_MS = 30_000;

const isRoot = process.getuid?.() === 0;
const whyNot = !existsSync(FOLDER)
  ? `no ${FOLDER}: run .ci/fetch-systemd`
  : isRoot
    ? undefined
    : "only root makes name spaces";

/** A test's title, with the reason where it is skipped. */
export const systemdTitle = (title: string): string =>
  whyNot === undefined ? title : `${title} (skipped: ${whyNot})`;

/** Whether tests with it are skipped. In CI they are not: there they fail. */
export const skipSystemd = whyNot !== undefined && process.env["CI"] === undefined;

/** $1 lower layers, $2 a folder for the rest. */
const BOOT = `
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$2"
mkdir "$2/changes" "$2/between" "$2/system"
root=$2/system
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/changes,workdir=$2/between" "$root"
mount -t proc proc "$root"/proc
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for name in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$name"; done
for name in null zero full random urandom tty; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
chroot=$(command -v chroot)
exec env -i container=agent PATH=/usr/sbin:/usr/bin "$chroot" "$root" /lib/systemd/systemd \\
  --system --log-target=console --show-status=no --unit=test.target
`;

export class SystemdHost implements Disposable {
  private readonly folder = temporaryFolder();
  private readonly group: string;
  private readonly keeper: Bun.Subprocess;
  /** Process 1 of that system, as we see it. */
  private readonly init: number;

  /** Installs this program there, with further settings of the unit. */
  constructor(binary: string, dropIn: string) {
    const layer = join(this.folder.path, "layer");
    const rest = join(this.folder.path, "rest");
    mkdirSync(rest);
    const words = ["--destdir", layer, "--prefix", "/usr", "--systemd", "--binary", binary];
    const { exitCode, stderr } = Bun.spawnSync(["sh", join(ROOT, "install.sh"), ...words]);
    if (exitCode !== 0) throw new Error(`Cannot install: ${stderr}`);
    const write = (name: string, text: string): void => {
      mkdirSync(dirname(join(layer, "etc/systemd/system", name)), { recursive: true });
      writeFileSync(join(layer, "etc/systemd/system", name), text);
    };
    write("test.target", "[Unit]\nDefaultDependencies=no\n");
    write("agent-xenstored.service.d/test.conf", `[Service]\n${dropIn}`);
    this.group = join(unifiedGroups(), `agent-test-${process.pid}-${Date.now()}`);
    mkdirSync(this.group);
    const spaces = ["--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc"];
    const boot = ["unshare", ...spaces, "sh", "-c", BOOT, "sh", `${layer}:${FOLDER}`, rest];
    // In its group before it makes the name space, whose root that group then is.
    const enter = 'echo $$ >"$0/cgroup.procs" && exec "$@"';
    this.keeper = Bun.spawn(["sh", "-c", enter, this.group, ...boot], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    this.init = this.waitForInit();
  }

  /** A path as it is reached from here. */
  path(inside: string): string {
    return `${join("/proc", String(this.init), "root")}${inside}`;
  }

  /** Runs a program there; what it printed. */
  run(...command: string[]): string {
    const enter = ["nsenter", "-t", String(this.init), "-m", "-p", "-C", "-r", "-w"];
    const { exitCode, stdout, stderr } = Bun.spawnSync([...enter, ...command]);
    if (exitCode === 0) return stdout.toString();
    throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stdout}${stderr}`);
  }

  /** A property of the unit. */
  show(property: string): string {
    return this.run("systemctl", "show", "--value", "-p", property, "agent-xenstored").trim();
  }

  async waitUntil(what: string, condition: () => boolean): Promise<void> {
    const untilMs = performance.now() + START_MS;
    while (!condition()) {
      if (performance.now() > untilMs) {
        throw new Error(
          `${what} did not come:\n${this.run("systemctl", "show", "agent-xenstored")}`,
        );
      }
      await Bun.sleep(20);
    }
  }

  private waitForInit(): number {
    const untilMs = performance.now() + START_MS;
    while (performance.now() < untilMs) {
      const children = `/proc/${this.keeper.pid}/task/${this.keeper.pid}/children`;
      const pid = existsSync(children) ? Number.parseInt(readFileSync(children, "utf8"), 10) : NaN;
      if (existsSync(join("/proc", String(pid), "root", "run/systemd/private"))) return pid;
      Bun.sleepSync(20);
    }
    this[Symbol.dispose]();
    throw new Error("systemd did not start");
  }

  [Symbol.dispose](): void {
    this.keeper.kill("SIGKILL"); // Its child is process 1: all others there end with it.
    const untilMs = performance.now() + START_MS;
    while (!removeGroups(this.group) && performance.now() < untilMs) Bun.sleepSync(20);
    this.folder[Symbol.dispose]();
  }
}

/** Where control groups of version 2 are, alone or beside those of version 1. */
function unifiedGroups(): string {
  const lines = readFileSync("/proc/mounts", "utf8").split("\n");
  const line = lines.map((text) => text.split(" ")).find(([, , type]) => type === "cgroup2");
  if (line === undefined) throw new Error("There are no control groups of version 2");
  return line[1]!;
}

/** False while a process is in one of them. */
function removeGroups(group: string): boolean {
  try {
    for (const entry of readdirSync(group, { withFileTypes: true })) {
      if (entry.isDirectory() && !removeGroups(join(group, entry.name))) return false;
    }
    rmdirSync(group);
    return true;
  } catch {
    return false;
  }
}

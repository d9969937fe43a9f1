// A guest with a TCP connection over passt: QEMU and a kernel of Debian 13, a RAM disk with busybox
// in it, a network namespace of its own for passt and whom the guest talks to. The guest counts
// aloud over one TCP connection; the server in the namespace answers each line, and both tell.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpio } from "./cpio.ts";
import { devicePartCommand, devicePartFile, devicePartNames } from "./device-parts.ts";
import { programCommand } from "./run.ts";

/** passt's addresses where there is no outer interface: the guest, and the namespace's loopback. */
const GUEST_ADDRESS = "169.254.2.1";
const HOST_ADDRESS = "169.254.2.2";
const PORT = 9000;
const TICK_MICROSECONDS = 100_000;
const MEMORY = "128M";
const BOOT_MS = 60_000;
const LAST_WORDS = 200;

const MODULES = ["failover", "net_failover", "virtio_net"] as const;

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in ${MODULES.join(" ")}; do /bin/busybox insmod /$module.ko; done
/bin/busybox ip link set lo up
/bin/busybox ip addr add ${GUEST_ADDRESS}/16 dev eth0
/bin/busybox ip link set eth0 up
if /bin/busybox grep -q bulk /proc/cmdline; then
  /bin/busybox nc ${HOST_ADDRESS} ${PORT} < /dev/zero
fi
(n=0; while true; do n=$((n+1)); echo "tick $n"; /bin/busybox usleep ${TICK_MICROSECONDS}; done) |
  /bin/busybox nc ${HOST_ADDRESS} ${PORT}
echo "guest: connection over"
/bin/busybox sleep 1000
`;

/** The RAM disk, made once; beside other temporary files. */
function ramDisk(): string {
  const path = join(tmpdir(), `agent-device-guest-${process.getuid?.() ?? 0}-3.cpio`);
  if (existsSync(path)) return path;
  const [release = ""] = devicePartNames("usr/lib/modules");
  const modules = MODULES.map((name) => {
    const folder = name === "failover" ? "net/core" : "drivers/net";
    const file = devicePartFile(`usr/lib/modules/${release}/kernel/${folder}/${name}.ko.xz`);
    const { stdout, exitCode } = Bun.spawnSync(["xz", "-dc", file]);
    if (exitCode !== 0) throw new Error(`Cannot unpack ${file}`);
    return { name: `${name}.ko`, mode: 0o100644, data: stdout };
  });
  const busybox = readFileSync(devicePartFile("usr/bin/busybox"));
  const archive = cpio([
    ...["bin", "proc", "dev"].map((name) => ({ name, mode: 0o040755, data: Buffer.alloc(0) })),
    { name: "bin/busybox", mode: 0o100755, data: busybox },
    { name: "init", mode: 0o100755, data: Buffer.from(INIT) },
    ...modules,
  ]);
  const folder = mkdtempSync(`${path}-`);
  writeFileSync(join(folder, "disk"), archive);
  renameSync(join(folder, "disk"), path);
  return path;
}

type Child = Bun.Subprocess<"ignore", "pipe", "pipe">;

/** A namespace with passts, a server and a guest. Ends them all when disposed of. */
export class DeviceGuest implements AsyncDisposable {
  readonly folder: string;
  private readonly name = `agent-test-${process.pid}-${Math.floor(Math.random() * 1e6)}`;
  private readonly children: Child[] = [];
  private readonly priority: readonly string[];
  private console = "";
  private heard = "";

  /** What is urgent goes before other work of the machine: for measuring milliseconds. */
  constructor(folder: string, isUrgent = false) {
    this.folder = folder;
    this.priority = isUrgent ? ["nice", "-n", "-15"] : [];
    run("ip", "netns", "add", this.name);
    run("ip", "-n", this.name, "link", "set", "lo", "up");
    mkdirSync(folder, { recursive: true });
  }

  /** A program in the namespace; what it says goes into a file of this name. */
  start(name: string, command: readonly string[]): Child {
    const words = ["ip", "netns", "exec", this.name, ...this.priority, ...command];
    const child = Bun.spawn(words, {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      cwd: this.folder,
    });
    void collect(child.stderr, (text) => this.note(name, text));
    this.children.push(child);
    return child;
  }
  private readonly notes = new Map<string, string>();
  private note(name: string, text: string): void {
    this.notes.set(name, (this.notes.get(name) ?? "") + text);
  }
  said(name: string): string {
    return this.notes.get(name) ?? "";
  }

  /** Starts a passt that listens on NAME.sock; returns that path. */
  async passt(name: string, program: "passt" | "passt-newer" = "passt"): Promise<string> {
    const path = join(this.folder, `${name}.sock`);
    const words = ["--vhost-user", "--foreground", "--socket", path];
    void collect(this.start(name, devicePartCommand(program, ...words)).stdout, () => {});
    await until(`passt ${name}`, () => existsSync(path) && existsSync(`${path}.repair`));
    return path;
  }

  /**
   * Starts who the guest talks to, then the guest on a vhost-user socket; waits for its first
   * words.
   */
  async boot(socket: string, what: "ticks" | "bulk"): Promise<void> {
    const program = what === "bulk" ? "bulk-server" : "tick-server";
    const server = this.start("server", programCommand(program, String(PORT)));
    void collect(server.stdout, (text) => {
      const all = this.heard + text;
      this.heard = what === "bulk" ? all.slice(-LAST_WORDS) : all; // Of bulk only the last counts.
    });
    await until("the server", () => this.heard !== "");
    const [kernel = ""] = devicePartNames("boot").filter((file) => file.startsWith("vmlinuz"));
    const qemu = this.start(
      "qemu",
      devicePartCommand(
        "qemu",
        ...["-L", devicePartFile("usr/share/seabios"), "-L", devicePartFile("usr/share/qemu")],
        ...["-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"],
        ...["-machine", "q35,memory-backend=ram", "-accel", "tcg"],
        ...["-object", `memory-backend-memfd,id=ram,share=on,size=${MEMORY}`, "-m", MEMORY],
        ...["-kernel", devicePartFile(`boot/${kernel}`), "-initrd", ramDisk()],
        ...["-append", `console=ttyS0 quiet panic=-1 ${what}`, "-serial", "stdio"],
        ...["-chardev", `socket,id=net,path=${socket}`],
        ...["-netdev", "vhost-user,id=net0,chardev=net"],
        ...["-device", "virtio-net-pci,netdev=net0,romfile=,mac=52:54:00:12:34:56"],
      ),
    );
    void collect(qemu.stdout, (text) => {
      this.console += text;
    });
    this.qemu = qemu;
    const speaks = (): boolean => (what === "bulk" ? this.bytes > 0 : this.ticks > 3);
    await until("the guest's first words", speaks, BOOT_MS);
  }

  /** Stops the guest's processors, or lets them go on. */
  pause(isPaused: boolean): void {
    this.qemu?.kill(isPaused ? "SIGSTOP" : "SIGCONT");
  }
  private qemu: Child | undefined;

  /** How many bytes a guest that sends in bulk has sent, as the server told last. */
  get bytes(): number {
    return Number(this.heard.match(/bytes (\d+)\n(?![^]*bytes)/)?.[1] ?? 0);
  }

  /** The last number that the server has heard. */
  get ticks(): number {
    return Number(this.heard.match(/tick (\d+)\n(?![^]*tick)/)?.[1] ?? 0);
  }
  /** The last answer that the guest has printed. */
  get tocks(): number {
    return Number(this.console.match(/tock (\d+)\s(?![^]*tock)/)?.[1] ?? 0);
  }
  /** How often the guest has connected. */
  get connections(): number {
    return this.heard.split("connected").length - 1;
  }
  get isConnectionOver(): boolean {
    return this.console.includes("connection over") || this.heard.includes("closed");
  }
  get wholeConsole(): string {
    return this.console;
  }
  get allHeard(): string {
    return this.heard;
  }

  /** Waits until both directions have gone on by some ticks. */
  async goesOn(): Promise<void> {
    const [ticks, tocks] = [this.ticks, this.tocks];
    const isOn = (): boolean => this.ticks > ticks + 2 && this.tocks > tocks + 2;
    await until("the guest's connection to go on", isOn, 10_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.children) child.kill("SIGKILL");
    // Also those that have another parent by now.
    const left = Bun.spawnSync(["ip", "netns", "pids", this.name]).stdout.toString();
    for (const pid of left.split("\n").filter(Boolean)) killQuietly(Number(pid));
    await Promise.all(this.children.map(({ exited }) => exited));
    run("ip", "netns", "delete", this.name);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

export async function until(what: string, isSo: () => boolean, waitMs = 10_000): Promise<void> {
  for (const endMs = performance.now() + waitMs; !isSo();) {
    if (performance.now() > endMs) throw new Error(`Waited ${waitMs} ms for ${what}`);
    await Bun.sleep(5);
  }
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  take: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const part of stream) take(decoder.decode(part, { stream: true }));
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

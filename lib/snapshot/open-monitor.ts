// Opens a monitor by its address, and opens it again after it was lost.

import { assert } from "../base/index.ts";
import {
  type Arguments,
  cannotCarry,
  describeMonitor,
  type ExecuteOptions,
  type Monitor,
  type MonitorAddress,
  MonitorError,
} from "./monitor.ts";
import { connectQmp } from "./qmp-client.ts";

/** For so long a monitor that did not greet is not asked again. */
const REFUSAL_MS = 5_000;

export interface MonitorLimits {
  /** How long to wait for a greeting: the monitor may be taken. */
  readonly greetingMs: number;
  /** How long to wait for a reply. A transaction drains all disks first. */
  readonly replyMs: number;
}

/** Throws MonitorError. */
export async function openMonitor(
  address: MonitorAddress,
  limits: MonitorLimits,
): Promise<Monitor> {
  const name = describeMonitor(address);
  if (address.kind === "virsh") {
    const monitor = new VirshMonitor(address, limits);
    await monitor.execute("query-version");
    return monitor;
  }
  const open = () => connectQmp({ path: address.path, name, ...limits });
  return new ReopeningMonitor(name, await open(), open);
}

/**
 * After a deadline or a broken connection the next command goes over a new one: the old cannot be
 * trusted to match replies, and whoever cancels must be able to look.
 */
class ReopeningMonitor implements Monitor {
  readonly name: string;
  private inner: Monitor | undefined;
  private opening: Promise<Monitor> | undefined;
  private readonly open: () => Promise<Monitor>;
  private refusal: { readonly error: MonitorError; readonly untilMs: number } | undefined;
  private isClosed = false;
  constructor(name: string, inner: Monitor, open: () => Promise<Monitor>) {
    this.name = name;
    this.inner = inner;
    this.open = open;
  }

  async execute(command: string, given?: Arguments, options?: ExecuteOptions): Promise<unknown> {
    assert(!this.isClosed, "a closed monitor is not used");
    const inner = this.inner ?? (await this.reopen());
    try {
      return await inner.execute(command, given, options);
    } catch (error) {
      const isLost = error instanceof MonitorError && error.failure !== "refused";
      if (isLost && this.inner === inner) this.inner = undefined;
      throw error;
    }
  }

  /** Many steps are cancelled one after the other: not each waits for a monitor that is silent. */
  private async reopen(): Promise<Monitor> {
    if (this.refusal !== undefined && performance.now() < this.refusal.untilMs) {
      throw this.refusal.error;
    }
    this.opening ??= this.open();
    try {
      this.inner = await this.opening;
      return this.inner;
    } catch (error) {
      if (error instanceof MonitorError && error.failure === "busy") {
        this.refusal = { error, untilMs: performance.now() + REFUSAL_MS };
      }
      throw error;
    } finally {
      this.opening = undefined;
    }
  }

  async release(): Promise<void> {
    const { inner } = this;
    this.inner = undefined;
    await inner?.close();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.inner?.close();
  }
}

/** One process a command: libvirt keeps the monitor, and numbers the requests itself. */
class VirshMonitor implements Monitor {
  readonly name: string;
  private readonly words: readonly string[];
  private readonly limits: MonitorLimits;
  constructor(address: Extract<MonitorAddress, { readonly kind: "virsh" }>, limits: MonitorLimits) {
    this.name = describeMonitor(address);
    this.limits = limits;
    const connect = address.uri === null ? [] : ["--connect", address.uri];
    this.words = ["virsh", ...connect, "qemu-monitor-command", "--domain", address.domain];
  }

  async execute(command: string, given?: Arguments, options?: ExecuteOptions): Promise<unknown> {
    if (options?.fd !== undefined) throw cannotCarry(this.name, command);
    const request = JSON.stringify({ execute: command, arguments: given });
    const limitMs = options?.timeoutMs ?? this.limits.replyMs;
    const { status, stdout, stderr } = await this.run(request, command, limitMs);
    const reply = parseReply(stdout);
    if (reply === undefined) {
      const why = stderr.trim() || `virsh ended with ${status} and said nothing that is QMP`;
      // virsh says so before it asks QEMU for anything. A libvirt that is not there says nothing of
      // its guests.
      const isGone = /failed to get domain|domain not found|domain is not running/i.test(why);
      const isAway = /failed to connect to the hypervisor/i.test(why);
      throw new MonitorError(`Cannot use ${this.name}: ${why.replaceAll("\n", "; ")}`, {
        failure: isGone ? "gone" : isAway ? "busy" : "lost",
      });
    }
    if ("return" in reply) return reply.return;
    const { class: qemuClass, desc } = reply.error;
    const text = `${this.name} refused ${command}: ${desc}`;
    throw new MonitorError(text, { failure: "refused", qemuClass });
  }

  private async run(request: string, command: string, limitMs: number) {
    let child;
    try {
      child = Bun.spawn([...this.words, "--cmd", request], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, LC_ALL: "C" },
      });
    } catch (cause) {
      const what = `Cannot use ${this.name}: virsh could not be started`;
      throw new MonitorError(what, { failure: "gone", cause });
    }
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, limitMs);
    const [stdout, stderr, status] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    clearTimeout(timer);
    if (!isLate) return { status, stdout, stderr };
    const what = `Cannot use ${this.name}: no reply to ${command} within ${limitMs} ms`;
    throw new MonitorError(what, { failure: "lost" });
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

type Reply =
  | { readonly return: unknown }
  | { readonly error: { readonly class: string; readonly desc: string } };

function parseReply(text: string): Reply | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    if ("return" in value) return { return: value.return };
    if (!("error" in value) || typeof value.error !== "object") return undefined;
    const { class: errorClass, desc } = value.error as Record<string, unknown>;
    return { error: { class: String(errorClass), desc: String(desc) } };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

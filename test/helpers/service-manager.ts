// Plays a service manager for a program under test: takes what it notifies, keeps the descriptors
// it stores, and starts the next one with them.

import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { bindUnix, type Fd, PollSet, receiveDescriptors } from "../../lib/sys/index.ts";
import { temporaryFolder } from "./temporary.ts";

const NOTIFY_MS_MAX = 20_000;
const MESSAGE_BYTES_MAX = 4096;

export class ServiceManager implements Disposable {
  private readonly folder = temporaryFolder();
  private readonly socket: Fd;
  private readonly poll = new PollSet();
  private readonly children: ChildProcess[] = [];
  /** Everything that came, a message each. */
  readonly notes: string[] = [];
  /** By name. */
  readonly stored = new Map<string, Fd>();

  constructor() {
    this.socket = bindUnix({ path: this.path, kind: "datagram" });
    this.poll.add(this.socket, "readable");
  }

  /** Of the socket for NOTIFY_SOCKET. */
  get path(): string {
    return join(this.folder.path, "notify");
  }

  /**
   * Starts the program with what is stored, as a service of type "notify". A manager before 233
   * tells no names.
   */
  start(
    command: readonly string[],
    variables: Record<string, string>,
    tellsNames = true,
  ): ChildProcess {
    const names = [...this.stored.keys()];
    const descriptors = names.map((name) => this.stored.get(name)!.number);
    // LISTEN_PID is the program's own: the shell becomes it.
    const child = spawn("sh", ["-c", 'LISTEN_PID=$$ exec "$@"', "sh", ...command], {
      stdio: ["ignore", "inherit", "inherit", ...descriptors],
      env: {
        ...process.env,
        NOTIFY_SOCKET: this.path,
        ...(names.length === 0
          ? {}
          : {
              LISTEN_FDS: String(names.length),
              ...(tellsNames ? { LISTEN_FDNAMES: names.join(":") } : {}),
            }),
        ...variables,
      },
    });
    this.children.push(child);
    return child;
  }

  /** Takes messages until one holds the line. */
  waitFor(line: string): void {
    const untilMs = performance.now() + NOTIFY_MS_MAX;
    for (;;) {
      if (!this.poll.wait(Math.max(0, untilMs - performance.now()))) {
        throw new Error(`No "${line}" came, only ${JSON.stringify(this.notes)}`);
      }
      if (this.take().includes(line)) return;
    }
  }

  /** Takes messages until so many clients' sockets are stored that are not `others`. */
  waitForClients(count: number, others: readonly string[] = []): void {
    const isMeant = (name: string): boolean => {
      return name.startsWith("client-") && !others.includes(name);
    };
    const clients = (): number => [...this.stored.keys()].filter(isMeant).length;
    const untilMs = performance.now() + NOTIFY_MS_MAX;
    while (clients() < count) {
      if (!this.poll.wait(Math.max(0, untilMs - performance.now()))) {
        throw new Error(`Only ${clients()} of ${count} clients were stored`);
      }
      this.take();
    }
  }

  /** Takes the messages that are there. */
  takeAll(): void {
    while (this.poll.wait(0)) this.take();
  }

  private take(): string[] {
    const received = receiveDescriptors(this.socket, MESSAGE_BYTES_MAX);
    if (received === undefined) return [];
    const text = Buffer.from(received.bytes).toString();
    this.notes.push(text);
    const lines = text.split("\n");
    const name = lines.find((line) => line.startsWith("FDNAME="))?.slice("FDNAME=".length);
    const [fd] = received.descriptors;
    if (lines.includes("FDSTOREREMOVE=1") && name !== undefined) {
      this.stored.get(name)?.[Symbol.dispose]();
      this.stored.delete(name);
    }
    if (lines.includes("FDSTORE=1") && name !== undefined && fd !== undefined) {
      this.stored.get(name)?.[Symbol.dispose]();
      this.stored.set(name, fd);
    }
    return lines;
  }

  [Symbol.dispose](): void {
    for (const child of this.children) child.kill("SIGKILL");
    for (const fd of this.stored.values()) fd[Symbol.dispose]();
    this.poll[Symbol.dispose]();
    this.socket[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

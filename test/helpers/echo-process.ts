// The echo server as a process under test: started, updated, looked at, ended. What it becomes is
// found by its arguments, as an update may change its pid.

import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { UpdateEnd, UpdateOrder } from "../../lib/handover/index.ts";
import { echoBinary } from "./echo-binary.ts";
import { processes } from "./processes.ts";

export interface Ended {
  readonly kind: UpdateEnd["kind"] | "updated" | "kept" | "nothing";
  readonly reason?: string;
  readonly report?: UpdateEnd["report"];
}

export class EchoProcess implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "agent-echo-"));
  readonly socket = join(this.folder, "socket");
  private readonly control = join(this.folder, "control");
  private child: Bun.Subprocess | undefined;

  async start(
    environment: Record<string, string>,
    limits: string | undefined,
    binary: string = echoBinary(),
  ): Promise<this> {
    const serve = [binary, "serve", this.socket, this.control];
    const command =
      limits === undefined ? serve : ["sh", "-c", `${limits}; exec "$@"`, "sh", ...serve];
    this.child = Bun.spawn(command, {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, ...environment },
    });
    const untilMs = performance.now() + 10_000;
    while (performance.now() < untilMs && !readdirSync(this.folder).includes("control")) {
      await Bun.sleep(5);
    }
    return this;
  }

  /** The first process; its exit status once it has ended. */
  get first(): Bun.Subprocess {
    if (this.child === undefined) throw new Error("Start the server first");
    return this.child;
  }

  /** Every process of this server: one, unless an update goes on. */
  pids(): number[] {
    return processes()
      .filter(({ command }) => command.includes(`serve ${this.socket}`))
      .map(({ pid }) => pid);
  }

  async settledPids(count: number): Promise<number[]> {
    const untilMs = performance.now() + 10_000;
    while (performance.now() < untilMs && this.pids().length > count) await Bun.sleep(10);
    return this.pids();
  }

  /** Whether somebody serves in the end: a successor may still be giving up. */
  async isServed(): Promise<boolean> {
    while (this.pids().length > 0) {
      if (await isEchoed(this.socket)) return true;
      await Bun.sleep(20);
    }
    return false;
  }

  /** Orders an update and waits for its end, from whichever program says it. */
  async update(order: Partial<UpdateOrder> & Pick<UpdateOrder, "way">): Promise<Ended> {
    const whole: UpdateOrder = {
      binary: echoBinary(),
      words: undefined,
      isDryRun: false,
      sha256: undefined,
      pauseMsMax: undefined,
      prepareMs: 30_000,
      pauseMs: 10_000,
      ...order,
    };
    let told = "";
    const { promise, resolve } = Promise.withResolvers<void>();
    await Bun.connect({
      unix: this.control,
      socket: {
        open: (socket) => void socket.write(JSON.stringify(whole)),
        data: (_, bytes) => void (told += bytes.toString()),
        end: (socket) => void socket.end(),
        close: () => resolve(),
        error: () => resolve(),
      },
    });
    await promise;
    return told === "" ? { kind: "nothing" } : (JSON.parse(told) as Ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of this.pids()) kill(pid);
    await this.settledPids(0);
    await this.child?.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** How many a process has once it has finished opening what it opens at its start. */
export async function countAtRest(pid: number): Promise<number> {
  let count = descriptorsOf(pid).length;
  for (let looks = 0; looks < 10; looks++) {
    await Bun.sleep(10);
    const now = descriptorsOf(pid).length;
    if (now !== count) looks = 0;
    count = now;
  }
  return count;
}

/** What each descriptor of a process leads to. */
export const descriptorsOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`)
    .map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
    .toSorted();

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "closed";
  }
}

const ECHO_WAIT_MS = 500;

/** Whether a new connection is served. */
async function isEchoed(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  try {
    const socket = await Bun.connect({
      unix: path,
      socket: {
        open: (peer) => void peer.write(Buffer.from("0100000078", "hex")),
        data: () => resolve(true),
        close: () => resolve(false),
      },
    });
    const late = Bun.sleep(ECHO_WAIT_MS).then(() => false);
    const isServed = await Promise.race([promise, late]);
    socket.end();
    return isServed;
  } catch {
    return false; // Nobody listens.
  }
}

// A guest's memory that belongs to the snapshot: QEMU migrates it to us, and we keep it in a file.
//
// While the guest runs, memory goes out and is sent again where it changes. With the capability
// pause-before-switchover QEMU then stops the guest and waits, its disks still open: that is the
// moment of the snapshot, and the transaction of the disks is sent. Only then does the rest go out.
// So disks and memory are of one moment, and the guest stands still for the rest alone. (QEMU's own
// snapshot-save cleans up by name and can delete an older snapshot; it is not used.)
//
// The file is what QEMU takes as -incoming "exec:cat FILE". QEMU connects to a socket of ours: that
// needs no shell on its side, and works with every version since 4.0. Guests of libxl are saved by
// xl instead: see saved-memory.ts.

import { chmodSync, existsSync, rmSync, statSync } from "node:fs";
import * as v from "valibot";
import { createNewFile, type NewFile, writeFully } from "../sys/index.ts";
import type { Step } from "../transition/index.ts";
import type { Running, StepContext } from "./step-context.ts";
import { eachInAnyCase, goOn } from "./go-on.ts";
import type { CreatePlan, PlannedEmulator } from "./group-plan.ts";
import { isGone, isRefused, type Monitor } from "./monitor.ts";
import { removeFile } from "./replaced-file.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { SavedMemory, savedMemoryStep } from "./saved-memory.ts";

const POLL_MS = 5;
/** Memory that changes faster than it goes out never ends: then the guest has to be stopped. */
const ROUNDS_MAX = 20;
/**
 * Bytes a second: a file is no network that others need. 0 would mean QEMU's default, 128 MiB/s.
 */
const BANDWIDTH = 2 ** 40;

const Migration = v.looseObject({
  status: v.optional(v.string()),
  "error-desc": v.optional(v.string()),
  ram: v.optional(
    v.looseObject({
      transferred: v.number(),
      remaining: v.number(),
      total: v.number(),
      "dirty-sync-count": v.number(),
    }),
  ),
});

interface Steps {
  readonly begin: readonly Step[];
  readonly finish: readonly Step[];
  /** Of guests of libxl, whose save is their pause. */
  readonly saves: ReadonlyMap<PlannedEmulator, SavedMemory>;
}

export function memorySteps(context: StepContext): Steps {
  const saves = new Map<PlannedEmulator, SavedMemory>();
  const savedBegin: Step[] = [];
  const receivers = context.running.flatMap((running) => {
    const { memory: path, address } = running.emulator;
    if (path === null) return [];
    if (address?.kind !== "libxl") return [{ running, path, receiver: new Receiver(path) }];
    const saved = new SavedMemory(path, address.domid);
    saves.set(running.emulator, saved);
    savedBegin.push(savedMemoryStep(running, saved, address.domid));
    return [];
  });
  return {
    saves,
    begin: [
      ...savedBegin,
      ...receivers.map(({ running, receiver }) => beginStep(context, running, receiver)),
    ],
    finish: receivers.map(({ running, path, receiver }) => ({
      name: `memory of ${running.emulator.name}, last part`,
      async execute() {
        await running.monitor.execute("migrate-continue", { state: "pre-switchover" });
        await waitFor(running.monitor, ["completed"], () => {});
        await receiver.keep();
      },
      cancel() {
        if (receiver.isKept) removeFile(path);
      },
    })),
  };
}

function beginStep(context: StepContext, { emulator, monitor }: Running, receiver: Receiver): Step {
  return {
    name: `memory of ${emulator.name}`,
    async check() {
      const status = v.parse(Migration, await monitor.execute("query-migrate")).status ?? "none";
      const isFree = ["none", "completed", "failed", "cancelled"].includes(status);
      return isFree ? [] : [`the guest is being migrated (${status})`];
    },
    async execute() {
      const socket = receiver.listen();
      await setCapability(monitor, true);
      await monitor.execute("migrate-set-parameters", { "max-bandwidth": BANDWIDTH });
      await monitor.execute("migrate", { uri: `unix:${socket}` });
      await waitFor(monitor, ["pre-switchover"], async (ram) => {
        context.onProgress({ done: ram.total - ram.remaining, total: ram.total });
        if (ram["dirty-sync-count"] > ROUNDS_MAX) await monitor.execute("stop");
      });
    },
    commit: () => setCapability(monitor, false),
    async cancel() {
      receiver.close();
      await eachInAnyCase([
        () => stopMigration(monitor),
        () => goOn({ emulator, monitor, limits: context.limits }), // It may be stopped already.
      ]);
    },
  };
}

/** Also for another process that recovers. */
export async function stopMigration(monitor: Monitor): Promise<void> {
  try {
    const { status } = v.parse(Migration, await monitor.execute("query-migrate"));
    if (status !== undefined && !["none", "completed", "failed", "cancelled"].includes(status)) {
      await monitor.execute("migrate_cancel");
      await waitFor(monitor, ["cancelled", "failed", "completed"], () => {});
    }
    await setCapability(monitor, false);
  } catch (error) {
    if (!isGone(error) && !isRefused(error)) throw error;
  }
}

/**
 * For another process that recovers. The name was free when the group was planned; a file that is
 * older than the group is not its memory.
 */
export function removeMemory(plan: CreatePlan, { memory }: PlannedEmulator): void {
  if (memory === null) return;
  rmSync(`${memory}.socket`, { force: true });
  const made = Math.floor(Date.parse(plan.made) / 1000) * 1000;
  if (existsSync(memory) && statSync(memory).mtimeMs >= made) removeFile(memory);
}

async function setCapability(monitor: Monitor, state: boolean): Promise<void> {
  const capabilities = [{ capability: "pause-before-switchover", state }];
  await monitor.execute("migrate-set-capabilities", { capabilities });
}

type Ram = NonNullable<v.InferOutput<typeof Migration>["ram"]>;

async function waitFor(
  monitor: Monitor,
  wanted: readonly string[],
  onRound: (ram: Ram) => void | Promise<void>,
): Promise<void> {
  for (;;) {
    const found = v.parse(Migration, await monitor.execute("query-migrate"));
    const status = found.status ?? "none";
    if (wanted.includes(status)) return;
    if (["failed", "cancelled", "completed"].includes(status)) {
      const why = found["error-desc"] ?? `the migration is ${status}`;
      throw new SnapshotRefusal(`Cannot keep the guest's memory: ${why}`);
    }
    if (found.ram !== undefined) await onRound(found.ram);
    await Bun.sleep(POLL_MS);
  }
}

/** Listens for QEMU, and writes what comes to a file that appears whole or not at all. */
class Receiver {
  isKept = false;
  private readonly path: string;
  private file: NewFile | undefined;
  private server: ReturnType<typeof Bun.listen> | undefined;
  private failure: unknown;
  private readonly ended = Promise.withResolvers<void>();

  constructor(path: string) {
    this.path = path;
  }

  /** Path of the socket. */
  listen(): string {
    const file = createNewFile({ path: this.path, existing: "refuse", inputs: [] });
    this.file = file;
    const unix = `${this.path}.socket`;
    rmSync(unix, { force: true });
    this.server = Bun.listen({
      unix,
      socket: {
        data: (_, bytes) => {
          try {
            if (this.failure === undefined) writeFully(file.fd, bytes, bytes.byteLength);
          } catch (error) {
            this.failure = error; // Told when the file is to be kept.
            this.ended.resolve();
          }
        },
        close: () => this.ended.resolve(),
        error: (_, error) => {
          this.failure = error;
          this.ended.resolve();
        },
      },
    });
    chmodSync(unix, 0o666); // QEMU may run as another user. The folder keeps others out.
    return unix;
  }

  async keep(): Promise<void> {
    await this.ended.promise;
    this.stop();
    if (this.failure !== undefined) throw this.failure;
    this.file?.commit();
    this.file = undefined;
    this.isKept = true;
  }

  close(): void {
    this.stop();
    this.file?.[Symbol.dispose]();
    this.file = undefined;
  }

  private stop(): void {
    this.server?.stop(true);
    this.server = undefined;
    rmSync(`${this.path}.socket`, { force: true });
  }
}

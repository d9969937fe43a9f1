// Groups that are killed in the middle, and what must hold afterwards: every disk has the snapshot
// or none has, no file or node is left over, every running guest runs, and recover says what it
// did.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { recoverAll, type Recovered } from "../../lib/snapshot/index.ts";
import { type DiskGuest, type GuestDisk, LIMITS, makeImage, startGuest } from "./disk-guest.ts";
import { type DiskWorld, journalsLeft, lookAt } from "./disk-world.ts";
import type { SnapshotProgram } from "./programs/snapshot-group.ts";
import { programCommand } from "./run.ts";
import { temporaryFolder } from "./temporary.ts";

export interface Arena extends AsyncDisposable {
  readonly folder: string;
  readonly journals: string;
  readonly guests: readonly DiskGuest[];
  readonly stopped: readonly GuestDisk[];
  /** Operands for the disks as they are now. */
  words(): Promise<string[]>;
}

/** Two guests with two disks each, one of them raw, and one stopped disk. */
export async function makeArena(options: {
  readonly formats: readonly ("qcow2" | "raw")[];
  readonly guests: number;
  readonly hasStopped: boolean;
  readonly arguments?: readonly string[];
}): Promise<Arena> {
  const own = temporaryFolder();
  const folder = join(own.path, "disks");
  mkdirSync(folder);
  const guests: DiskGuest[] = [];
  for (let index = 0; index < options.guests; index++) {
    const name = `g${index}`;
    const disks = options.formats.map((format, disk) => ({
      ...makeImage(join(folder, `${name}d${disk}.${format}`), format),
      id: `d${disk}`,
    }));
    const more = options.arguments === undefined ? {} : { arguments: options.arguments };
    guests.push(await startGuest({ folder, name, disks, isRunning: true, ...more }));
  }
  const path = join(folder, "stopped.qcow2");
  const stopped = options.hasStopped ? [makeImage(path, "qcow2")] : [];
  return {
    folder,
    journals: join(own.path, "journals"),
    guests,
    stopped,
    words: () =>
      Promise.resolve([
        ...guests.map(({ qmp }) => `qmp:${qmp}`),
        ...stopped.map((disk) => `qcow2:${disk.path}`),
      ]),
    async [Symbol.asyncDispose]() {
      for (const guest of guests) await guest[Symbol.asyncDispose]();
      own[Symbol.dispose]();
    },
  };
}

export interface RanProgram {
  readonly wasKilled: boolean;
  readonly result: string | undefined;
  readonly problems: readonly { readonly message: string }[];
  readonly told: readonly string[];
  readonly stderr: string;
}

/** In a process of its own, so that it can be killed. */
export async function runProgram(program: SnapshotProgram): Promise<RanProgram> {
  const child = Bun.spawn(programCommand("snapshot-group", JSON.stringify(program)), {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const wasKilled = child.signalCode === "SIGKILL";
  const told = stdout.trim() === "" ? {} : (JSON.parse(stdout) as Partial<RanProgram>);
  return { result: undefined, problems: [], told: [], stderr, ...told, wasKilled };
}

export const recover = (journals: string): Promise<Recovered[]> =>
  recoverAll({ limits: LIMITS, journals });

/** "all", "none", or what is wrong, of one snapshot after a fault. */
export function verdict(options: {
  readonly before: DiskWorld;
  readonly after: DiskWorld;
  readonly snapshot: string;
  readonly kind: "external" | "internal";
  /** Disks in the group: how many files or internal snapshots there are more. */
  readonly disks: number;
}): string {
  const { before, after, snapshot, kind, disks } = options;
  if (after.status.some((status) => status !== "running")) return `state ${after.status.join()}`;
  const isSame =
    Bun.deepEquals(before.files, after.files) &&
    Bun.deepEquals(before.internal, after.internal) &&
    Bun.deepEquals(before.tops, after.tops) &&
    Bun.deepEquals(before.ourNodes, after.ourNodes);
  if (isSame) return "none";
  const added = after.files.filter((name) => !before.files.includes(name));
  const ofIt = added.filter((name) => name.includes(`.${snapshot}.`));
  const inside = Object.values(after.internal).filter((names) => names.includes(snapshot));
  const count = kind === "external" ? ofIt.length : inside.length;
  const more = kind === "external" ? added.length - ofIt.length : added.length;
  if (count === disks && more === 0) return "all";
  return `half: ${JSON.stringify({ added, internal: after.internal, tops: after.tops })}`;
}

/** Kills one group at one event, recovers, and tells what came of it. */
export async function killAndRecover(
  arena: Arena,
  program: Omit<SnapshotProgram, "words" | "journals">,
): Promise<{
  readonly verdict: string;
  readonly recovered: readonly Recovered[];
  readonly ran: RanProgram;
}> {
  const before = await lookAt(arena.folder, arena.guests);
  const ran = await runProgram({
    ...program,
    words: await arena.words(),
    journals: arena.journals,
  });
  const recovered = await recover(arena.journals);
  const after = await lookAt(arena.folder, arena.guests);
  const disks = arena.guests.flatMap((guest) => guest.disks).length + arena.stopped.length;
  const kind = program.kind === "internal" ? "internal" : "external";
  const found = verdict({ before, after, snapshot: program.snapshot, kind, disks });
  const left = journalsLeft(arena.journals);
  return { verdict: left.length === 0 ? found : `journals left, ${found}`, recovered, ran };
}

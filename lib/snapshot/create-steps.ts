// The steps of a group that is made, in their order:
//
//     room       for the overlays' descriptors, in a guest's QEMU
//     stage      every overlay is made and opened beside its disk; guests know nothing of it
//     memory     of guests whose memory belongs to the snapshot: all but the last rest goes out
//     sync       what guests have written goes to the disk while they run: stopping them would wait
//     pause      several guests stand still together; of a single one QEMU drains the disks.
//                A guest of libxl whose memory is kept is saved by xl, which leaves it paused
//     switch     one transaction a guest, all sent at the same time
//     memory     the rest
//     go on      all at the same time
//
// and only then does anybody look, sync or write a journal: guests stand still no longer than they
// must.

import { open } from "node:fs/promises";
import type { Step, Steps } from "../transition/index.ts";
import { cloneSteps } from "./clone-disk.ts";
import { queryNodes } from "./block-facts.ts";
import { configSteps } from "./config-step.ts";
import { makeDescriptorRoom } from "./descriptor-room.ts";
import {
  type ExternalDisk,
  isExternal,
  stage,
  stateOf,
  switchAction,
  switchBack,
  unstage,
} from "./external-disk.ts";
import { diskTitle, type PlannedEmulator } from "./group-plan.ts";
import { checkTaken, internalAction, takeBack, takeBackWithoutQemu } from "./internal-disk.ts";
import { memorySteps } from "./memory.ts";
import { goOn } from "./go-on.ts";
import { isGone, type Monitor } from "./monitor.ts";
import { pause, problemOfAgent, unknownCommands } from "./pause.ts";
import { SnapshotRefusal } from "./refusal.ts";
import type { SavedMemory } from "./saved-memory.ts";
import type { Running, StepContext } from "./step-context.ts";
import { forgetReplaced } from "./replaced-file.ts";

/**
 * Between switching and looking: QEMU serves its monitor and the guest's disks by one loop, and the
 * question for all nodes takes as long as the switch. What waited for the switch goes first.
 */
const SETTLE_MS = 20;

export function createSteps(context: StepContext): Steps {
  const { plan, running, reasons } = context;
  const first: Step = { name: "group", check: () => reasons };
  if (plan.kind === "clone") return [first, ...cloneSteps(plan)];
  const paused = running.filter(({ emulator }) => emulator.pauses);
  const clocks = new Map<string, number>();
  const external = plan.kind === "external" ? running : [];
  const guests = external.filter(({ emulator }) => emulator.address !== null);
  const memory = memorySteps(context);
  const steps = [
    [first],
    guests.map(roomStep),
    external.flatMap((one) => stageSteps(context, one)),
    memory.begin,
    paused.length === 0 ? [] : [syncStep(paused)],
    paused.map((one) => pauseStep(context, one, { clocks, saved: memory.saves.get(one.emulator) })),
    running.map((one) => switchStep(context, one)),
    memory.finish,
    paused.map((one) => goOnStep(context, one, clocks)),
    configSteps(plan),
  ];
  return steps.filter((together) => together.length > 0);
}

const externalDisks = ({ disks }: PlannedEmulator): ExternalDisk[] => disks.filter(isExternal);

const roomStep = ({ emulator, monitor }: Running): Step => ({
  name: `room ${emulator.name}`,
  execute: () => makeDescriptorRoom(monitor, externalDisks(emulator).length),
  cancel() {}, // Only QEMU's table is larger.
});

function stageSteps({ plan }: StepContext, { emulator, monitor }: Running): Step[] {
  return externalDisks(emulator).map((disk) => ({
    name: `stage ${diskTitle(emulator, disk)}`,
    execute: () => stage(plan, disk, monitor),
    cancel: () => withoutQemuIfGone(monitor, (one) => unstage(plan, disk, one)),
    commit: () => forgetReplaced(disk),
  }));
}

/** What has to be undone on a disk whose QEMU has ended is done on its file. */
async function withoutQemuIfGone(
  monitor: Monitor,
  use: (monitor: Monitor | undefined) => Promise<void>,
): Promise<void> {
  try {
    await use(monitor);
  } catch (error) {
    // A connection that broke says "lost" once; the next one finds nobody.
    if (!isGone(error) && !(await isGoneNow(monitor))) throw error;
    await use(undefined);
  }
}

async function isGoneNow(monitor: Monitor): Promise<boolean> {
  try {
    await monitor.execute("query-version");
    return false;
  } catch (error) {
    return isGone(error);
  }
}

function switchStep({ plan, limits }: StepContext, { emulator, monitor }: Running): Step {
  const isOverlaid = plan.kind === "external";
  const disks = externalDisks(emulator);
  return {
    name: `switch ${emulator.name}`,
    async check() {
      const undo = isOverlaid ? "block-commit" : "blockdev-snapshot-delete-internal-sync";
      const unknown = await unknownCommands(monitor, ["transaction", undo]);
      return unknown.map((command) => `this QEMU has no ${command}`);
    },
    async execute() {
      const actions = isOverlaid
        ? disks.map(switchAction)
        : emulator.disks.map((disk) => internalAction(plan, disk));
      await monitor.execute("transaction", { actions });
    },
    async update() {
      await Bun.sleep(SETTLE_MS);
      if (!isOverlaid) return checkTaken(plan, emulator, monitor);
      const nodes = await queryNodes(monitor);
      const left = disks.filter((disk) => stateOf(disk, nodes) !== "switched");
      if (left.length === 0) return;
      const names = left.map(({ name }) => `"${name}"`).join(", ");
      throw new SnapshotRefusal(`QEMU said yes, but the overlay is not the top of ${names}`);
    },
    cancel: () =>
      withoutQemuIfGone(monitor, async (one) => {
        if (isOverlaid) return one === undefined ? undefined : switchBack(plan, disks, one);
        if (one !== undefined) return takeBack(plan, emulator, one);
        for (const disk of emulator.disks) await takeBackWithoutQemu(plan, disk, limits);
      }),
  };
}

/**
 * QEMU syncs every image when it stops a guest: from here it is done while the guest still runs.
 */
function syncStep(paused: readonly Running[]): Step {
  const images = paused.flatMap(({ emulator }) => emulator.disks.map(({ image }) => image));
  return {
    name: "sync images",
    async execute() {
      await Promise.all(images.map(syncPath));
    },
    cancel() {},
  };
}

/** On the runtime's own threads, several at a time. */
async function syncPath(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function pauseStep(
  { limits }: StepContext,
  running: Running,
  around: { readonly clocks: Map<string, number>; readonly saved: SavedMemory | undefined },
): Step {
  const { emulator } = running;
  const { clocks, saved } = around;
  return {
    name: `pause ${emulator.name}`,
    async check() {
      const problem = await problemOfAgent({ ...running, limits });
      return problem === undefined ? [] : [problem];
    },
    async execute() {
      clocks.set(emulator.name, performance.now());
      await pause({ ...running, limits }, saved);
    },
    cancel: () => goOn({ ...running, limits }),
  };
}

/** Its failure comes too late to undo anything for: it is tried once more, and then an operator. */
function goOnStep(context: StepContext, running: Running, clocks: Map<string, number>): Step {
  const { emulator } = running;
  const { limits, onPaused } = context;
  let failure: unknown;
  return {
    name: `go on ${emulator.name}`,
    async execute() {
      try {
        await goOn({ ...running, limits });
      } catch (error) {
        failure = error;
      }
      const sinceMs = clocks.get(emulator.name);
      if (sinceMs !== undefined) onPaused(emulator.name, performance.now() - sinceMs);
    },
    async commit() {
      if (failure !== undefined) await goOn({ ...running, limits });
    },
    cancel() {}, // The step that paused it does it.
  };
}

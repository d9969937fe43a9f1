// The memory of a libxl guest in an xl save file: `xl save -p` writes it, `xl restore` takes it.
//
// Theory of Operation
//
// A guest with Xen drivers has to answer when it is saved (it suspends itself), so it cannot be
// paused before. `xl save -p` does all of it: the guest suspends, QEMU stops and its disks are
// drained, memory and device state are written, then the guest is paused by the hypervisor and only
// then resumed: none of its processors runs again before `xl unpause`. So the save is the pause of
// the group: the overlays are switched after it, and disks and memory are of one moment. A write
// that the guest had sent and not seen the end of is sent again by a restored guest's drivers.
//
// xl writes into a file without a name, through our descriptor's entry in /proc. It gets its name
// when agent has verified it; if we die it is gone.

import { rmSync } from "node:fs";
import { FileSource, verifyStream } from "../stream/index.ts";
import { createNewFile, duplicate, type Fd, type NewFile, statOf } from "../sys/index.ts";
import type { Step } from "../transition/index.ts";
import type { Monitor } from "./monitor.ts";
import { SnapshotRefusal } from "./refusal.ts";
import type { Running } from "./step-context.ts";
import { domainState, hasXl, runXl } from "./xl-toolstack.ts";

/** One xl save: begun by the step that pauses the guest, kept by its own. */
export class SavedMemory {
  private readonly path: string;
  private readonly domid: number;
  private file: NewFile | undefined;
  private isKept = false;

  constructor(path: string, domid: number) {
    [this.path, this.domid] = [path, domid];
  }

  /** When this returns the guest is paused, at the moment that was saved. */
  async saveAndPause(monitor: Monitor | undefined): Promise<void> {
    const file = createNewFile({ path: this.path, existing: "refuse", inputs: [] });
    this.file = file;
    await monitor?.release(); // libxl talks to QEMU meanwhile, and QEMU to one at a time.
    const target = `/proc/${process.pid}/fd/${file.fd.number}`;
    await runXl(["save", "-p", String(this.domid), target]);
  }

  /** Verifies it and gives it its name. */
  keep(): void {
    const { file } = this;
    if (file === undefined) throw new SnapshotRefusal("xl save has not run");
    verifySave(file.fd, this.path);
    file.commit();
    this.file = undefined;
    this.isKept = true;
  }

  discard(): void {
    this.file?.[Symbol.dispose]();
    this.file = undefined;
    if (this.isKept) rmSync(this.path, { force: true });
  }
}

/** The step that checks first and keeps last; pausing is that of the group. */
export function savedMemoryStep({ emulator }: Running, saved: SavedMemory, domid: number): Step {
  return {
    name: `memory of ${emulator.name}`,
    async check() {
      if (!hasXl()) return ["xl is not in PATH, and only xl can save this guest"];
      const state = await domainState(domid);
      if (state === "running") return [];
      return [`the guest is ${state ?? "gone"}, and has to run to be saved: xl unpause ${domid}`];
    },
    execute() {},
    update: () => saved.keep(),
    cancel: () => saved.discard(),
  };
}

/** Throws SnapshotRefusal with the first thing that is wrong with it. */
export function verifySave(fd: Fd, path: string): void {
  const bytesTotal = statOf(fd.number).size;
  using source = new FileSource(duplicate(fd.number, path), { bytesTotal, start: 0 });
  const report = verifyStream(source, {
    format: "xl",
    compression: undefined,
    limit: 1,
    listener: {},
    onProgress() {},
  });
  if (report.verdict === "good") return;
  const [first] = report.findings;
  const where = first === undefined ? "" : `: ${first.record} at ${first.offset}: ${first.found}`;
  throw new SnapshotRefusal(`the saved memory "${path}" is ${report.verdict}${where}`);
}

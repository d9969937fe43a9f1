// A control group of its own for processes that are to run out of memory, where this machine lets
// us make one (cgroups v1 or v2, as root).

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const KINDS = [
  { root: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes" },
  { root: "/sys/fs/cgroup", limit: "memory.max", used: "memory.current" },
] as const;
const EMPTY_MS = 5000;

export class MemoryGroup implements Disposable {
  private readonly folder: string;
  private readonly kind: (typeof KINDS)[number];

  private constructor(folder: string, kind: (typeof KINDS)[number]) {
    this.folder = folder;
    this.kind = kind;
  }

  /** undefined where there is no way to have one. */
  static make(): MemoryGroup | undefined {
    for (const kind of KINDS) {
      const folder = join(kind.root, `agent-test-${process.pid}`);
      try {
        mkdirSync(folder);
      } catch {
        continue; // No such controller, or not ours to use.
      }
      if (existsSync(join(folder, kind.limit))) return new MemoryGroup(folder, kind);
      rmdirSync(folder);
    }
    return undefined;
  }

  /** The process, and all that it starts from now on. */
  add(pid: number): void {
    writeFileSync(join(this.folder, "cgroup.procs"), String(pid));
  }

  /** From now on there is so much more than what is in use. */
  leave(bytes: number): void {
    const used = Number(readFileSync(join(this.folder, this.kind.used), "latin1"));
    writeFileSync(join(this.folder, this.kind.limit), String(used + bytes));
  }

  /** Behind its processes. */
  [Symbol.dispose](): void {
    const untilMs = performance.now() + EMPTY_MS;
    for (;;) {
      try {
        return rmdirSync(this.folder);
      } catch (error) {
        if (performance.now() > untilMs) throw error;
        Bun.sleepSync(20);
      }
    }
  }
}

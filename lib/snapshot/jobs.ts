// Block jobs: started together, watched until all are ready, completed together, and dismissed.
//
// Their state is asked for rather than waited for as an event: libvirt and libxl keep events for
// themselves, and after a lost connection only the question is left anyway.

import { type Job, queryJobs } from "./block-facts.ts";
import { isRefused, type Monitor, MonitorError } from "./monitor.ts";

const POLL_MS_FIRST = 5;
const POLL_MS_MAX = 250;

export interface JobOptions {
  readonly monitor: Monitor;
  /** Job ids and how each is started. One that is there already is only followed. */
  readonly jobs: readonly {
    readonly id: string;
    readonly command: string;
    readonly given: Readonly<Record<string, unknown>>;
  }[];
  /** Called once, when all are ready and before the first is told to complete. */
  onReady?(): Promise<void>;
  onProgress?(progress: { readonly done: number; readonly total: number }): void;
}

/** When it returns, every job ended well. Throws MonitorError naming each that did not. */
export async function runJobs({ monitor, jobs, onReady, onProgress }: JobOptions): Promise<void> {
  const known = new Set((await queryJobs(monitor)).map(({ id }) => id));
  const failures: string[] = [];
  const open = new Set<string>();
  for (const { id, command, given } of jobs) {
    try {
      const arguments_ = { "job-id": id, "auto-dismiss": false, ...given };
      if (!known.has(id)) await monitor.execute(command, arguments_);
      open.add(id);
    } catch (error) {
      if (!isRefused(error)) throw error;
      failures.push(error.message);
    }
  }
  let waitMs = POLL_MS_FIRST;
  const completed = new Set<string>();
  while (open.size > 0) {
    const states = (await queryJobs(monitor)).filter(({ id }) => open.has(id));
    for (const id of open) if (!states.some((job) => job.id === id)) open.delete(id);
    onProgress?.(sum(states));
    failures.push(...(await dismissConcluded(monitor, states, open)));
    const left = states.filter(({ id }) => open.has(id));
    const areReady = left.every(({ status }) => status !== "running" && status !== "created");
    for (const { id, status } of left) {
      if (!areReady || status !== "ready" || completed.has(id)) continue;
      if (completed.size === 0) await onReady?.();
      completed.add(id);
      await monitor.execute("job-complete", { id });
    }
    if (open.size > 0) await Bun.sleep(waitMs);
    waitMs = Math.min(waitMs * 1.5, POLL_MS_MAX);
  }
  if (failures.length > 0) {
    throw new MonitorError(failures.join("; "), { failure: "refused" });
  }
}

async function dismissConcluded(
  monitor: Monitor,
  states: readonly Job[],
  open: Set<string>,
): Promise<string[]> {
  const failures: string[] = [];
  for (const { id, status, error } of states) {
    if (status !== "concluded") continue;
    open.delete(id);
    await monitor.execute("job-dismiss", { id });
    if (error !== undefined) failures.push(`job ${id} failed: ${error}`);
  }
  return failures;
}

const sum = (states: readonly Job[]) => ({
  done: states.reduce((bytes, job) => bytes + job["current-progress"], 0),
  total: states.reduce((bytes, job) => bytes + job["total-progress"], 0),
});

// The CONTROL commands that concern the program: where it traces to, what memory it uses, and its
// own replacement.

import { writeFileSync } from "node:fs";
import { SystemError } from "../base/index.ts";
import type { ControlAnswer, ControlRequest, XenStore } from "../xenstore/index.ts";
import type { Traces } from "./traces.ts";

export interface ControlParts {
  readonly store: XenStore;
  readonly traces: Traces;
  /** CONTROL live-update; undefined where this program cannot be replaced. */
  readonly liveUpdate: ((request: ControlRequest) => ControlAnswer) | undefined;
  /** CONTROL agent-stats. */
  readonly statistics: (parameters: readonly string[]) => ControlAnswer;
}

const OK: ControlAnswer = { text: "OK" };

export function answerControl(request: ControlRequest, parts: ControlParts): ControlAnswer {
  const { command, parameters } = request;
  switch (command) {
    case "live-update":
      return parts.liveUpdate?.(request) ?? { text: "Live update is not available." };
    case "logfile": {
      const [path] = parameters;
      if (path === undefined || parameters.length !== 1) return { error: "EINVAL" };
      return attempt(() => parts.traces.traceTo(path));
    }
    case "memreport":
      return memoryReport(parameters, parts);
    case "agent-stats":
      return parts.statistics(parameters);
    default:
      return command satisfies never;
  }
}

/** To a file, or to the trace; without either nobody would see it (the C daemon's EBADF). */
function memoryReport(parameters: readonly string[], { store, traces }: ControlParts) {
  const [path] = parameters;
  const { rss, heapUsed } = process.memoryUsage();
  const counts = Object.entries(store.counts()).map(([name, value]) => `${name}: ${value}`);
  const lines = [...counts, `resident bytes: ${rss}`, `runtime heap bytes: ${heapUsed}`];
  if (path !== undefined) return attempt(() => writeFileSync(path, `${lines.join("\n")}\n`));
  const trace = traces.current;
  if (trace === undefined) return { error: "EINVAL" } as const;
  for (const line of lines) trace.note(line);
  return OK;
}

function attempt(step: () => void): ControlAnswer {
  try {
    step();
    return OK;
  } catch (error) {
    const isRefused = error instanceof SystemError || (error as { code?: unknown }).code;
    if (!isRefused) throw error;
    return { error: "EINVAL" };
  }
}

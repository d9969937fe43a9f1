// What the snapshot commands have in common: which disks, where journals are, how long to wait.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import {
  type Conditions,
  groupFromFile,
  groupFromWords,
  type GroupSpec,
} from "../../../lib/snapshot/index.ts";
import { countOption, switchOption } from "../../options.ts";
import { startProgress } from "../../ui/progress.ts";

export const JOURNALS_DEFAULT = "/var/lib/agent/snapshots";
const REPLY_SECONDS_DEFAULT = 30;
/** A monitor that is free greets at once. */
const GREETING_MS_MAX = 5_000;

export const SHARED_OPTIONS = {
  journals: v.optional(v.string(), JOURNALS_DEFAULT),
  timeout: v.optional(countOption, String(REPLY_SECONDS_DEFAULT)),
  json: switchOption,
  quiet: switchOption,
} as const;

export const GROUP_OPTIONS = {
  _: v.array(v.string()),
  group: v.optional(v.string()),
  disks: v.optional(
    v.pipe(
      v.string(),
      v.transform((list) => list.split(",")),
      v.check((names) => !names.includes(""), "wanted names with commas between them"),
    ),
  ),
  ...SHARED_OPTIONS,
} as const;

/** The disks that operands or a group file name. Throws UsageError. */
export function groupOf(
  command: string,
  given: {
    readonly _: readonly string[];
    readonly group?: string | undefined;
    readonly disks?: readonly string[] | undefined;
  },
): GroupSpec {
  const { _: words, group, disks } = given;
  if (group !== undefined && words.length > 0) {
    throw new UsageError(`Cannot run ${command}: wanted disks or --group, found both`);
  }
  const spec = group === undefined ? groupFromWords(words) : groupFromFile(group);
  if (disks === undefined) return spec;
  const [guest] = spec.guests;
  if (guest === undefined || spec.guests.length > 1) {
    const found = `found ${spec.guests.length}`;
    throw new UsageError(`Cannot run ${command}: --disks wants exactly one guest, ${found}`);
  }
  return { ...spec, guests: [{ ...guest, disks }] };
}

export interface Surroundings extends Disposable {
  readonly conditions: Conditions;
}

/** Limits, progress on a terminal, and signals that undo instead of ending us in the middle. */
export function surroundings(given: {
  readonly journals: string;
  readonly timeout: number;
  readonly quiet: boolean;
}): Surroundings {
  const controller = new AbortController();
  const stop = (signal: string) => () => controller.abort(new Error(`stopped by ${signal}`));
  const handlers = [
    ["SIGINT", stop("SIGINT")],
    ["SIGTERM", stop("SIGTERM")],
  ] as const;
  for (const [signal, handler] of handlers) process.once(signal, handler);
  let progress: ReturnType<typeof startProgress> | undefined;
  const replyMs = given.timeout * 1000;
  return {
    conditions: {
      limits: { greetingMs: Math.min(replyMs, GREETING_MS_MAX), replyMs },
      journals: given.journals,
      interrupt: controller.signal,
      onProgress({ done, total }) {
        progress ??= startProgress({ bytesTotal: total, wanted: !given.quiet });
        progress.at(done);
      },
    },
    [Symbol.dispose]() {
      progress?.clear();
      for (const [signal, handler] of handlers) process.off(signal, handler);
    },
  };
}

// Options that checkpoint commands share: what is kept, and descriptors.

import * as v from "valibot";
import type { Retention } from "../../../lib/checkpoint/index.ts";

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "90s", "10m", "2h" or "1d" in milliseconds. */
export const timeOption = v.pipe(
  v.string("wanted a time such as 10m"),
  v.regex(/^[0-9]{1,6}(\.[0-9]+)?[smhd]$/, (issue) => {
    return `wanted a time such as 90s, 10m, 2h or 1d, found "${String(issue.input)}"`;
  }),
  v.transform((text) => Number.parseFloat(text) * UNITS[text.slice(-1)]!),
);

export const descriptorOption = v.pipe(
  v.string("wanted the number of a descriptor"),
  v.regex(/^[0-9]{1,6}$/, (issue) => {
    return `wanted the number of a descriptor, found "${String(issue.input)}"`;
  }),
  v.transform(Number),
);

interface KeepOptions {
  readonly keep?: number | undefined;
  readonly "keep-for"?: number | undefined;
}

export const retentionOf = (options: KeepOptions): Retention => ({
  keep: options.keep ?? 1,
  keepForMs: options["keep-for"],
});

// What the page of `agent inspect` calls things, and the fills it gives them everywhere.

import type { InspectIteration } from "../../../lib/stream/index.ts";
import type { Fill } from "../html/fills.ts";
import { formatCount } from "../numbers.ts";

/** Of every guest that Xen on x86 saves. */
export const PAGE_BYTES = 4096;

type Role = InspectIteration["role"];

export const ROLES: Readonly<Record<Role, { readonly label: string; readonly fill: Fill }>> = {
  all: { label: "first pass", fill: "blue" },
  live: { label: "live pass", fill: "sky" },
  downtime: { label: "guest stopped", fill: "diag-orange" },
  checkpoint: { label: "checkpoint", fill: "purple" },
  verify: { label: "verify", fill: "grey" },
};

export const CONTENTS = {
  other: { label: "other contents", fill: "blue" },
  duplicate: { label: "duplicates", fill: "diag-orange" },
  zero: { label: "zeros", fill: "dots-green" },
  none: { label: "no contents", fill: "diag-faint" },
} as const satisfies Readonly<Record<string, { label: string; fill: Fill }>>;

/** What a record is for, by its name: the first row that matches. */
const GROUPS = [
  { pattern: /^PAGE_(DATA|BATCH)$/, label: "pages", fill: "blue" },
  { pattern: /EMULATOR|QEMU|DEVICE_?MODEL/i, label: "device model", fill: "purple" },
  { pattern: /P2M/, label: "p2m list", fill: "sky" },
  { pattern: /POLICY/, label: "CPU policies", fill: "dots-faint" },
  { pattern: /CONFIG|^(META|METADATA|XEN_METADATA)/i, label: "config", fill: "amber" },
  {
    pattern: /VCPU|HVM_|TSC|SHARED_INFO|PV_INFO|TOOLSTACK|CONSOLE|IDENT_PT|PARAM/,
    label: "vCPUs and platform",
    fill: "upright-purple",
  },
  { pattern: /^/, label: "other records", fill: "green" },
] as const satisfies readonly { pattern: RegExp; label: string; fill: Fill }[];
export type Group = (typeof GROUPS)[number];

export const groupOf = ({ name }: { readonly name: string }): Group =>
  GROUPS.find(({ pattern }) => pattern.test(name))!;
export const groupNamed = (label: Group["label"]): Group =>
  GROUPS.find((group) => group.label === label)!;

/** "1,032 records" */
export const many = (count: number, noun: string, nouns = `${noun}s`): string =>
  `${formatCount(count)} ${count === 1 ? noun : nouns}`;

export const sum = (counts: readonly number[]): number =>
  counts.reduce((total, count) => total + count, 0);

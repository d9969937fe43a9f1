// Why one of two guests may not restore where the other does: the differences that restoring
// programs look at, in words. A rule a line; each looks at the report alone.

import { plural } from "../../base/index.ts";
import type { DiffReport, StateDifference } from "./report.ts";
import { GROUP } from "./state-facts.ts";

type Compared = Omit<DiffReport, "hints" | "same">;
type Rule = (report: Compared) => readonly string[];

const NAMES_TOLD = 12;

const list = (names: readonly string[]): string => {
  const more = names.length - NAMES_TOLD;
  return `${names.slice(0, NAMES_TOLD).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
};

const inGroup = ({ state }: Compared, start: string): readonly StateDifference[] =>
  state.filter(({ group }) => group.startsWith(start));

const guestType: Rule = ({ a, b }) =>
  a.guest_type === b.guest_type
    ? []
    : [`A is a ${a.guest_type.toUpperCase()} guest, B a ${b.guest_type.toUpperCase()} guest`];

const xenVersion: Rule = ({ a, b }) => {
  if (a.xen === null || b.xen === null || a.xen === b.xen) return [];
  const newer = compareVersions(a.xen, b.xen) > 0 ? "A" : "B";
  const versions = `A was written by Xen ${a.xen}, B by Xen ${b.xen}`;
  return [`${versions}: an older Xen need not take what a newer one wrote (${newer} is newer)`];
};

function compareVersions(left: string, right: string): number {
  const [major = 0, minor = 0] = left.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = right.split(".").map(Number);
  return major - otherMajor || minor - otherMinor;
}

const imageVersion: Rule = ({ a, b }) => {
  if (a.libxc_version === b.libxc_version) return [];
  const three = a.libxc_version === 3 ? "A" : "B";
  return [`${three} is a version 3 image, which Xen before 4.14 does not read; the other is not`];
};

const cpuFeatures: Rule = (report) => {
  const rows = inGroup(report, GROUP.cpuid);
  const sides = [
    ["A", rows.flatMap(({ only_a: names }) => names)],
    ["B", rows.flatMap(({ only_b: names }) => names)],
  ] as const;
  return sides
    .filter(([, names]) => names.length > 0)
    .map(
      ([side, names]) =>
        `Only ${side} was promised ${list([...new Set(names)])}: a host without ` +
        "one of these refuses it",
    );
};

const msrs: Rule = (report) => {
  const names = inGroup(report, GROUP.msrs).map(({ name }) => name);
  return names.length === 0 ? [] : [`The MSR policies differ in ${list(names)}`];
};

const xsave: Rule = (report) => {
  const rows = inGroup(report, GROUP.vcpu).filter(({ name }) => name === "xcr0_accum");
  const first = rows[0];
  if (first === undefined) return [];
  const values = `${first.a ?? "none"} in A, ${first.b ?? "none"} in B`;
  return [`The extended states in use differ (xcr0_accum of ${first.group}: ${values})`];
};

const deviceVersions: Rule = (report) =>
  inGroup(report, GROUP.device)
    .filter(({ name, a, b }) => name === "version" && a !== null && b !== null)
    .map(({ group, a, b }) => {
      return `QEMU's ${group} has version ${a} in A, ${b} in B: an older QEMU refuses it`;
    });

const devices: Rule = (report) => {
  const rows = inGroup(report, GROUP.device).filter(({ name }) => name === "version");
  const only = (side: "a" | "b", other: "a" | "b") =>
    rows.filter((row) => row[side] !== null && row[other] === null).map(({ group }) => group);
  const sides = [
    ["A", only("a", "b")],
    ["B", only("b", "a")],
  ] as const;
  return sides
    .filter(([, names]) => names.length > 0)
    .map(([side, names]) => {
      const what = names.map((name) => name.slice(GROUP.device.length));
      return `Only ${side} has QEMU state of ${list(what)}: QEMU wants a device for each`;
    });
};

const contextEntries: Rule = ({ state }) => {
  const rows = state.filter(({ group, name }) => name === "bytes" && /^[A-Z_]+ \d+$/.test(group));
  const [onlyA, onlyB] = [
    rows.filter(({ b }) => b === null).map(({ group }) => group),
    rows.filter(({ a }) => a === null).map(({ group }) => group),
  ];
  const told = (side: string, names: readonly string[]) =>
    names.length === 0 ? [] : [`Only ${side}'s HVM context has ${names.join(", ")}`];
  return [...told("A", onlyA), ...told("B", onlyB)];
};

const memory: Rule = ({ pages }) => {
  if (pages.a === pages.b) return [];
  const [more, less] = pages.a > pages.b ? ["A", "B"] : ["B", "A"];
  const count = Math.abs(pages.a - pages.b);
  return [
    `${more} has ${plural(count, "page")} more than ${less}, and needs that much more memory`,
  ];
};

const SETTINGS = ["b_info.max_vcpus", "b_info.max_memkb", "b_info.target_memkb", "b_info.type"];

const settings: Rule = (report) =>
  inGroup(report, GROUP.config)
    .filter(({ name }) => SETTINGS.includes(name))
    .map(
      ({ name, a, b }) => `The configs differ in ${name}: ${a ?? "none"} in A, ${b ?? "none"} in B`,
    );

const RULES: readonly Rule[] = [
  guestType,
  xenVersion,
  imageVersion,
  cpuFeatures,
  msrs,
  xsave,
  deviceVersions,
  devices,
  contextEntries,
  settings,
  memory,
];

export const hintsOf = (report: Compared): string[] => RULES.flatMap((rule) => rule(report));

// What `agent check` prints: a table for people, and a JSON document whose schema stands here.

import * as v from "valibot";
import type { SelfTestReport } from "../../lib/self-test/index.ts";
import { COMMIT, TARGET, VERSION, versionLine } from "../version.ts";
import { paint, type Style } from "./colour.ts";

/** The document of `agent check --json`. Names may be added; none is renamed or removed. */
export const CheckDocument = v.strictObject({
  agent: v.strictObject({
    version: v.string(),
    commit: v.string(),
    target: v.string(),
    bun_version: v.string(),
  }),
  passed: v.boolean(),
  probes: v.array(
    v.strictObject({
      group: v.picklist(["runtime", "kernel", "process", "stream"]),
      name: v.string(),
      status: v.picklist(["passed", "failed"]),
      detail: v.string(),
    }),
  ),
  /** Kernel features that nothing depends on. `absence` is the errno name it answered with. */
  kernel_features: v.array(
    v.strictObject({
      name: v.string(),
      since_kernel: v.string(),
      present: v.boolean(),
      absence: v.nullable(v.string()),
      replaced_by: v.nullable(v.string()),
    }),
  ),
  host: v.array(
    v.strictObject({
      group: v.picklist(["system", "xen", "tools"]),
      name: v.string(),
      present: v.boolean(),
      detail: v.nullable(v.string()),
    }),
  ),
});

export const checkDocument = (report: SelfTestReport): v.InferOutput<typeof CheckDocument> => ({
  agent: { version: VERSION, commit: COMMIT, target: TARGET, bun_version: Bun.version },
  passed: report.passed,
  probes: report.probes.map(({ group, name, passed, detail }) => ({
    group,
    name,
    status: passed ? "passed" : "failed",
    detail,
  })),
  kernel_features: report.features.map(({ name, since, absence, replacedBy }) => ({
    name,
    since_kernel: since,
    present: absence === undefined,
    absence: absence ?? null,
    replaced_by: absence === undefined ? null : replacedBy,
  })),
  host: report.host.map(({ group, name, present, detail }) => ({
    group,
    name,
    present,
    detail: detail ?? null,
  })),
});

interface Line {
  readonly group: string;
  readonly label: string;
  readonly state: string;
  readonly style: Style;
  readonly detail: string;
}

export function renderCheck(
  report: SelfTestReport,
  { coloured }: { readonly coloured: boolean },
): string {
  const tried = report.probes.map(({ group, name, passed, detail }): Line => ({
    group,
    label: name.replaceAll("_", " "),
    state: passed ? "ok" : "FAILED",
    style: passed ? "good" : "bad",
    detail,
  }));
  const features = report.features.map(({ name, since, absence, replacedBy }): Line => ({
    group: "kernel features",
    label: name,
    state: absence === undefined ? "present" : "absent",
    style: absence === undefined ? "good" : "faint",
    detail:
      absence === undefined
        ? `Linux ${since} and later`
        : `${absence}, replaced by ${replacedBy} (Linux ${since} and later have it)`,
  }));
  const host = report.host.map(({ group, name, present, detail }): Line => ({
    group,
    label: name.replaceAll("_", group === "tools" ? "-" : " "), // Tools go by their file names.
    state: present ? "present" : "absent",
    style: present ? "good" : "faint",
    detail: detail ?? "",
  }));
  const failed = report.probes.filter(({ passed }) => !passed).length;
  const verdict =
    failed === 0
      ? paint(`All ${report.probes.length} probes passed.`, "good", coloured)
      : paint(`${failed} of ${report.probes.length} probes failed.`, "bad", coloured);
  const lines = [...tried, ...features, ...host];
  return [versionLine(), "", ...table(lines, coloured), verdict, ""].join("\n");
}

/** A block for each group, in the order they come; aligned over all of them. */
function table(lines: readonly Line[], coloured: boolean): string[] {
  const labelWidth = Math.max(...lines.map(({ label }) => label.length));
  const stateWidth = Math.max(...lines.map(({ state }) => state.length));
  const groups = [...new Set(lines.map(({ group }) => group))];
  return groups.flatMap((wanted) => [
    paint(wanted, "heading", coloured),
    ...lines
      .filter(({ group }) => group === wanted)
      .map(({ label, state, style, detail }) => {
        const shown = paint(state, style, coloured) + " ".repeat(stateWidth - state.length);
        // A message of several lines stays in its column.
        const text = detail.replaceAll("\n", `\n${" ".repeat(labelWidth + stateWidth + 6)}`);
        return `  ${label.padEnd(labelWidth)}  ${shown}  ${text}`.trimEnd();
      }),
    "",
  ]);
}

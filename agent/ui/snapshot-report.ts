// What the snapshot commands print for people.

import type {
  CreateReport,
  DeleteReport,
  PlanReport,
  RecoverReport,
  RevertReport,
} from "../../lib/snapshot/index.ts";
import { formatBytes, formatMilliseconds } from "./numbers.ts";
import { harmless } from "./text-layout.ts";

type Part = Pick<CreateReport, "guests" | "config_changes">;

const lines = (text: readonly string[]): string => `${text.map(harmless).join("\n")}\n`;

/** One line a disk, under its guest. */
function diskLines({ guests }: Part): string[] {
  return guests.flatMap(({ name, stood_ms: stood, memory, disks }) => {
    const stopped = stood === null ? "" : `, stopped for ${formatMilliseconds(stood)}`;
    return [
      `  ${name}${stopped}`,
      ...disks.map((disk) => {
        const size = formatBytes(disk.virtual_bytes);
        const file = disk.new_file === null ? `in ${disk.image}` : `new file ${disk.new_file}`;
        return `    ${disk.name}: ${disk.format}, ${size}, ${file}`;
      }),
      ...(memory === null ? [] : [`    memory: ${memory}`]),
    ];
  });
}

function configLines({ config_changes: changes }: Pick<Part, "config_changes">): string[] {
  if (changes.length === 0) return [];
  const isApplied = changes.every(({ applied }) => applied);
  return [
    isApplied ? "  its config was changed:" : "  change the config of the guest:",
    ...changes.map(({ from, to, format }) => `    ${from} becomes ${to} (format ${format})`),
  ];
}

export function renderCreateReport(report: CreateReport): string {
  return lines([
    `created: ${report.kind} snapshot "${report.snapshot}"`,
    ...diskLines(report),
    ...configLines(report),
  ]);
}

export function renderPlanReport(report: PlanReport): string {
  const verdict = report.possible ? "possible" : "not possible";
  return lines([
    `${verdict}: ${report.kind} snapshot "${report.snapshot}"`,
    ...report.problems.map((problem) => `  against it: ${problem}`),
    ...diskLines(report),
    "  steps, of one line at the same time:",
    ...report.steps.map((together, index) => `    ${index + 1}. ${together.join("; ")}`),
  ]);
}

export function renderDeleteReport(report: DeleteReport): string {
  return lines([
    `deleted: ${report.kind} snapshot "${report.snapshot}"`,
    ...report.guests.flatMap(({ name, disks }) => [
      `  ${name}`,
      ...disks.map((disk) => {
        if (disk.id !== null) return `    ${disk.name}: id ${disk.id}`;
        const { removed_file: removed, unneeded_file: unneeded } = disk;
        return removed === null
          ? `    ${disk.name}: does not need ${unneeded ?? ""} any more`
          : `    ${disk.name}: merged and removed ${removed}`;
      }),
    ]),
    ...configLines(report),
  ]);
}

export function renderRevertReport(report: RevertReport): string {
  return lines([
    `reverted: to ${report.kind} snapshot "${report.snapshot}"`,
    ...report.disks.map(({ image }) => `  ${image}`),
  ]);
}

const RESULT_TEXT: Readonly<Record<string, string>> = {
  refused: "nothing was changed",
  undone: "everything that was done is undone",
  stuck: "not all could be finished or undone: agent snapshot recover, once the cause is gone",
};

/** What went wrong, for stderr: every problem, and in what state each step is. */
export function failureText(report: {
  readonly result: string;
  readonly problems: readonly string[];
  readonly states: readonly { readonly step: string; readonly state: string }[];
}): string {
  const { result, problems, states } = report;
  if (result === "done") return `It is done, but: ${problems.join("; ")}`;
  const told = problems.map((problem) => `\n  ${problem}`).join("");
  const left = states.filter(({ state }) => state !== "untouched");
  const steps = left.map(({ step, state }) => `\n  ${state}: ${step}`).join("");
  const where = result === "stuck" ? `\nThe steps are now:${steps}` : "";
  return harmlessLines(`Cannot do it, ${RESULT_TEXT[result] ?? result}:${told}${where}`);
}

const harmlessLines = (text: string): string => text.split("\n").map(harmless).join("\n");

export function renderRecoverReport({ groups }: RecoverReport, journals: string): string {
  if (groups.length === 0) return lines([`nothing to recover in ${journals}`]);
  return lines(
    groups.flatMap(({ journal, operation, snapshot, result, actions }) => {
      const what = snapshot === null ? journal : `${operation ?? "?"} "${snapshot}"`;
      return [`${result}: ${what}`, ...actions.map((action) => `  ${action}`)];
    }),
  );
}

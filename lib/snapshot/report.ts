// The JSON documents of the snapshot commands.

import * as v from "valibot";
import type { Outcome } from "../transition/index.ts";
import { describeProblem } from "../transition/index.ts";
import { configChanges } from "./config-step.ts";
import type { Created, Planned } from "./create.ts";
import { type CreatePlan, KINDS } from "./group-plan.ts";
import { changesOfDelete, type Deleted } from "./delete.ts";
import type { Recovered } from "./recover.ts";
import type { Reverted } from "./revert.ts";

const text = v.string();
const Problems = v.pipe(v.array(text), v.description("every reason or failure, the first first"));

const DiskDocument = v.strictObject({
  name: v.pipe(text, v.description("as the guest's QEMU or the operator calls it")),
  image: v.pipe(text, v.description("the image that was the disk until now")),
  format: text,
  virtual_bytes: v.number(),
  new_file: v.pipe(v.nullable(text), v.description("the overlay or the copy")),
});
const GuestDocument = v.strictObject({
  name: v.pipe(text, v.description("of the guest; null stands for disks that no guest runs on")),
  is_guest: v.boolean(),
  stood_ms: v.pipe(
    v.nullable(v.number()),
    v.description("how long the guest was stopped; null: it was not"),
  ),
  memory: v.pipe(v.nullable(text), v.description("the file with its memory")),
  disks: v.array(DiskDocument),
});
const ConfigChangeDocument = v.strictObject({
  from: v.pipe(text, v.description("what the guest's config names")),
  to: v.pipe(text, v.description("what it has to name from now on")),
  format: text,
  applied: v.pipe(v.boolean(), v.description("--update-config did it")),
});
const PlanPart = {
  snapshot: text,
  kind: v.picklist(KINDS),
  group: v.pipe(text, v.description("UUID of this group, as in the headers of its overlays")),
  guests: v.array(GuestDocument),
  config_changes: v.array(ConfigChangeDocument),
} as const;
const StateDocument = v.strictObject({ step: text, state: text });

export const CreateReportSchema = v.strictObject({
  ...PlanPart,
  result: v.pipe(
    v.picklist(["done", "refused", "undone", "stuck"]),
    v.description("stuck: an operator is needed, states says where"),
  ),
  problems: Problems,
  states: v.array(StateDocument),
});
export type CreateReport = v.InferOutput<typeof CreateReportSchema>;

export const PlanReportSchema = v.strictObject({
  ...PlanPart,
  possible: v.boolean(),
  problems: Problems,
  steps: v.pipe(
    v.array(v.array(text)),
    v.description("in their order; those of an inner list are done at the same time"),
  ),
});
export type PlanReport = v.InferOutput<typeof PlanReportSchema>;

const EndPart = {
  snapshot: text,
  group: text,
  result: CreateReportSchema.entries.result,
  problems: Problems,
  states: v.array(StateDocument),
} as const;

export const DeleteReportSchema = v.strictObject({
  ...EndPart,
  kind: v.picklist(["external", "internal"]),
  guests: v.array(
    v.strictObject({
      name: text,
      is_guest: v.boolean(),
      disks: v.array(
        v.strictObject({
          name: text,
          id: v.pipe(v.nullable(text), v.description("of the internal snapshot")),
          removed_file: v.pipe(v.nullable(text), v.description("the overlay that was merged")),
          unneeded_file: v.pipe(
            v.nullable(text),
            v.description("by stream: the image that this disk does not stand on any more"),
          ),
        }),
      ),
    }),
  ),
  config_changes: v.array(ConfigChangeDocument),
});
export type DeleteReport = v.InferOutput<typeof DeleteReportSchema>;

export const RevertReportSchema = v.strictObject({
  ...EndPart,
  kind: v.picklist(KINDS),
  disks: v.array(v.strictObject({ name: text, image: text, snapshot_file: v.nullable(text) })),
});
export type RevertReport = v.InferOutput<typeof RevertReportSchema>;

export const RecoverReportSchema = v.strictObject({
  groups: v.array(
    v.strictObject({
      journal: text,
      group: v.nullable(text),
      operation: v.nullable(text),
      snapshot: v.nullable(text),
      result: v.picklist(["finished", "undone", "nothing", "stuck", "busy"]),
      actions: v.array(text),
    }),
  ),
});
export type RecoverReport = v.InferOutput<typeof RecoverReportSchema>;

function planPart(plan: CreatePlan, stoodMs: ReadonlyMap<string, number>) {
  return {
    snapshot: plan.snapshot,
    kind: plan.kind,
    group: plan.group,
    guests: plan.emulators.map(({ name, address, memory, disks }) => ({
      name,
      is_guest: address !== null,
      stood_ms: stoodMs.get(name) ?? null,
      memory,
      disks: disks.map((disk) => ({
        name: disk.name,
        image: disk.image,
        format: disk.format,
        virtual_bytes: disk.virtual_bytes,
        new_file: disk.target,
      })),
    })),
    config_changes: configChanges(plan).map(({ from, to }) => ({
      from: from.path,
      to: to.path,
      format: to.format,
      applied: plan.config !== null,
    })),
  };
}

/** A failed check is told without the words of the machinery. */
const problemsOf = ({ problems }: Outcome): string[] =>
  problems.map((problem) =>
    problem.phase === "check" && problem.step === "group"
      ? problem.message
      : describeProblem(problem),
  );

export function createReport({ plan, outcome, stoodMs }: Created): CreateReport {
  const { result, states } = outcome;
  const part = planPart(plan, stoodMs);
  return { ...part, result, problems: problemsOf(outcome), states: [...states] };
}

export function deleteReport({ plan, outcome }: Deleted): DeleteReport {
  const { snapshot, group, kind, merge, config } = plan;
  return {
    snapshot,
    group,
    kind,
    guests: plan.emulators.map(({ name, address, disks }) => ({
      name,
      is_guest: address !== null,
      disks: disks.map((disk) => ({
        name: disk.name,
        id: disk.id,
        removed_file: merge === "commit" ? disk.overlay : null,
        unneeded_file: merge === "stream" ? disk.base : null,
      })),
    })),
    config_changes: changesOfDelete(plan).map(({ from, to }) => ({
      from: from.path,
      to: to.path,
      format: to.format,
      applied: config !== null,
    })),
    result: outcome.result,
    problems: problemsOf(outcome),
    states: [...outcome.states],
  };
}

export function revertReport({ plan, outcome }: Reverted): RevertReport {
  const { snapshot, group, kind, disks } = plan;
  return {
    snapshot,
    group,
    kind,
    disks: disks.map(({ name, image, source }) => ({ name, image, snapshot_file: source })),
    result: outcome.result,
    problems: problemsOf(outcome),
    states: [...outcome.states],
  };
}

export function recoverReport(groups: readonly Recovered[]): RecoverReport {
  return {
    groups: groups.map(({ journal, group, operation, snapshot, result, actions }) => ({
      journal,
      group: group ?? null,
      operation: operation ?? null,
      snapshot: snapshot ?? null,
      result,
      actions: [...actions],
    })),
  };
}

export function planReport({ plan, reasons, steps }: Planned): PlanReport {
  return {
    ...planPart(plan, new Map()),
    possible: reasons.length === 0,
    problems: [...reasons],
    steps: steps.map((together) => [...together]),
  };
}

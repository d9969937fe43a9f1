// The xl config of a stopped guest that follows its disks: the last step of a group, undone with
// it.

import { readFileSync } from "node:fs";
import { createNewFile, writeFully } from "../sys/index.ts";
import type { Step } from "../transition/index.ts";
import { systemErrorOf } from "./file-error.ts";
import type { CreatePlan } from "./group-plan.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { changeDisks, type ConfigChange } from "./xl-config.ts";

/**
 * What configs of the stopped disks have to say afterwards: only external snapshots move a disk.
 */
export function configChanges({ kind, emulators }: CreatePlan): ConfigChange[] {
  if (kind !== "external") return [];
  return emulators
    .filter(({ address }) => address === null)
    .flatMap(({ disks }) =>
      disks.flatMap(({ image, format, target }) =>
        target === null
          ? []
          : [{ from: { path: image, format }, to: { path: target, format: "qcow2" } }],
      ),
    );
}

export function configSteps(plan: CreatePlan): Step[] {
  const { config } = plan;
  if (config === null) return [];
  return [
    {
      name: `config "${config}"`,
      check: () => checkChanges(config, configChanges(plan)),
      execute: () => applyToConfig(plan, "forward"),
      cancel: () => applyToConfig(plan, "back"),
    },
  ];
}

/** Why the config cannot follow. */
export function checkChanges(config: string, changes: readonly ConfigChange[]): string[] {
  if (changes.length === 0) return [`no disk moves to another file: "${config}" can stay as it is`];
  const { missing } = changeDisks(readConfig(config), changes);
  return missing.map((path) => `"${path}" does not stand once in the disk list of "${config}"`);
}

/** Does nothing where the config says so already. */
export function applyToConfig(plan: CreatePlan, direction: "forward" | "back"): void {
  if (plan.config === null) return;
  const forward = configChanges(plan);
  const back = forward.map(({ from, to }) => ({ from: to, to: from }));
  applyChanges(plan.config, direction === "forward" ? forward : back);
}

/** The same for changes of any kind. */
export function applyChanges(config: string, changes: readonly ConfigChange[]): void {
  const text = readConfig(config);
  const opposite = changes.map(({ from, to }) => ({ from: to, to: from }));
  if (changeDisks(text, opposite).missing.length === 0) return;
  const changed = changeDisks(text, changes);
  if (changed.missing.length > 0) {
    const paths = changed.missing.map((path) => `"${path}"`).join(", ");
    throw new SnapshotRefusal(`Cannot change "${config}": its disk list has no ${paths}`);
  }
  const bytes = new TextEncoder().encode(changed.text);
  using file = createNewFile({ path: config, existing: "replace", inputs: [] });
  writeFully(file.fd, bytes, bytes.byteLength);
  file.commit();
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw systemErrorOf(`Cannot read "${path}"`, "open", path, error);
  }
}

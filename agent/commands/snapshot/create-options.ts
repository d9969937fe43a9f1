// The options of agent snapshot create, which agent snapshot plan takes as well.

import { isAbsolute, resolve } from "node:path";
import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { type CreateOptions, KINDS, timeName } from "../../../lib/snapshot/index.ts";
import { switchOption } from "../../options.ts";
import { GROUP_OPTIONS } from "./group-options.ts";

const KIND_WANTED = `wanted one of ${KINDS.join(", ")}`;

export const Options = v.strictObject({
  ...GROUP_OPTIONS,
  name: v.optional(v.string()),
  kind: v.optional(v.picklist(KINDS, KIND_WANTED), "external"),
  "overlay-dir": v.optional(v.string()),
  replace: switchOption,
  "use-existing": switchOption,
  pause: switchOption,
  memory: v.optional(v.string()),
  "update-config": v.optional(v.string()),
});
export type Given = v.InferOutput<typeof Options>;

const absolute = (path: string | undefined): string | undefined =>
  path === undefined || isAbsolute(path) ? path : resolve(path);

/** Throws UsageError for options that contradict each other. */
export function createOptions(command: string, given: Given): CreateOptions {
  const { name, kind, replace } = given;
  const useExisting = given["use-existing"];
  const wrong = (what: string) => new UsageError(`Cannot run ${command}: ${what}`);
  if (useExisting && name === undefined) throw wrong("--use-existing wants --name");
  if (useExisting && replace) throw wrong("--use-existing and --replace exclude each other");
  if (useExisting && kind !== "external") throw wrong("--use-existing is for --kind external");
  if (replace && kind === "internal") {
    throw wrong("an internal snapshot is not replaced: delete it first, agent snapshot delete");
  }
  const nowMs = Date.now();
  return {
    snapshot: name ?? timeName(nowMs),
    kind,
    folder: absolute(given["overlay-dir"]),
    replace,
    useExisting,
    pause: given.pause,
    memory: absolute(given.memory),
    config: absolute(given["update-config"]),
    nowMs,
  };
}

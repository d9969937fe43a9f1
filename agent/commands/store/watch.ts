// agent store watch: what changes at or below paths, a line each, until it is stopped.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { print } from "../../ui/output.ts";
import { quotedValue } from "../../ui/store-listing.ts";
import { watchPathOption } from "./path-option.ts";
import { connectStore, defaultSocket } from "./side.ts";

const text = (what: string) => v.pipe(v.string(), v.description(what));
export const StoreEventSchema = v.strictObject({
  path: text("what changed; relative where the watched path is"),
  watched: text("the path that was asked for"),
  value: v.optional(
    v.nullable(text("with --values: what it is then, quoted as by xenstore-ls; null: gone")),
  ),
});

const Options = v.strictObject({
  _: v.pipe(v.array(watchPathOption), v.minLength(1, "wanted a path at least")),
  socket: v.optional(v.string()),
  depth: v.optional(v.pipe(v.string(), v.regex(/^[0-9]{1,4}$/, "wanted a number of levels"))),
  count: v.optional(countOption),
  timeout: v.optional(countOption),
  values: switchOption,
  json: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const options = parseOptions(Options, spec, argv);
  const { depth, count = Number.POSITIVE_INFINITY, timeout } = options;
  const paths = [...new Set(options._)];
  if (paths.length < options._.length) {
    throw new UsageError(`Cannot run ${spec.name}: operands: a path is given twice`);
  }
  using client = connectStore(options.socket ?? defaultSocket());
  for (const [index, path] of paths.entries()) {
    client.watch(path, String(index), depth === undefined ? undefined : Number(depth));
  }
  const untilMs = timeout === undefined ? undefined : performance.now() + timeout * 1000;
  for (let told = 0; told < count; told++) {
    const waitMs = untilMs === undefined ? -1 : Math.max(0, untilMs - performance.now());
    const event = client.connection.nextEvent(waitMs);
    if (event === undefined) return EXIT.ok; // The time is over.
    const { path } = event;
    const hasValue = options.values && !path.startsWith("@"); // Special nodes have none.
    const found = hasValue ? client.readIfThere(path, 0) : undefined;
    const value = found === undefined ? null : quotedValue(found);
    if (options.json) {
      const watched = paths[Number(event.token)] ?? "";
      print(`${JSON.stringify({ path, watched, ...(options.values ? { value } : {}) })}\n`);
    } else if (options.values) {
      print(value === null ? `${path}\n` : `${path} = "${value}"\n`);
    } else print(`${path}\n`);
  }
  return EXIT.ok;
}

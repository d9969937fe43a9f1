// agent store ls: nodes a line each, as xenstore-ls -f prints them, of daemons and of dumps.

import * as v from "valibot";
import { listNodes } from "../../../lib/store-client/index.ts";
import type { StateNode } from "../../../lib/xenstore/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { print } from "../../ui/output.ts";
import { nodeLine } from "../../ui/store-listing.ts";
import { storePathOption } from "./path-option.ts";
import { connectStore, defaultSocket, isSocket, readFile } from "./side.ts";

const Options = v.strictObject({
  _: v.tupleWithRest([v.optional(storePathOption, "/")], v.string()),
  permissions: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const options = parseOptions(Options, spec, argv);
  const [root, ...sources] = options._;
  const from = sources.length === 0 ? [defaultSocket()] : sources;
  for (const source of from) {
    const nodes = isSocket(source) ? ofSocket(source, root) : ofDump(source, root);
    const lines = nodes.map((node) => `${nodeLine(node, options.permissions)}\n`);
    print(`${from.length > 1 ? `${source}:\n` : ""}${lines.join("")}`);
  }
  return EXIT.ok;
}

function ofSocket(path: string, root: string): readonly StateNode[] {
  using client = connectStore(path);
  return listNodes(client, root);
}

/** What a listing begins with is not part of it. oxenstored has special nodes below "/". */
function ofDump(operand: string, root: string): readonly StateNode[] {
  const { state, format } = readFile(operand);
  const prefix = root === "/" ? "/" : `${root}/`;
  return state.nodes
    .map((node) =>
      format === "text" && node.path.startsWith("@") ? { ...node, path: `/${node.path}` } : node,
    )
    .filter(({ path }) => path.startsWith(prefix) && path !== "/");
}

// agent store load: nodes of a dump into a running daemon.

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { isBelow, load, type LoadStep } from "../../../lib/store-client/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { printWarning } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { renderLoad, sideReport, type StoreLoadReport } from "../../ui/store-report.ts";
import { storePathOption } from "./path-option.ts";
import { connectStore, defaultSocket, readSide } from "./side.ts";

const Options = v.strictObject({
  _: v.pipe(
    v.array(v.string()),
    v.minLength(1, "wanted a dump"),
    v.maxLength(2, "wanted a dump, and perhaps a socket"),
  ),
  subtree: v.optional(storePathOption, "/"),
  exact: switchOption,
  "dry-run": switchOption,
  json: switchOption,
  quiet: switchOption,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const [source = "", socket = defaultSocket()] = options._;
  const { subtree: root, exact: isExact, "dry-run": isDryRun } = options;
  const side = readSide(source, { root, inTransaction: true });
  if (!side.state.nodes.some(({ path }) => isBelow(path, root))) {
    throw new UsageError(`Cannot load "${source}": there is nothing at or below "${root}" in it`);
  }
  using client = connectStore(socket);
  const { steps, transactions } = load(client, side.state.nodes, { root, isExact, isDryRun });
  if (options.quiet) return EXIT.ok;
  for (const note of side.notes) await printWarning(note);
  const countOf = (wanted: LoadStep["kind"]): number =>
    steps.filter(({ kind }) => kind === wanted).length;
  const report: StoreLoadReport = {
    source: sideReport(side),
    socket,
    subtree: root,
    dry_run: isDryRun,
    created: countOf("create"),
    changed: countOf("change"),
    permissions: countOf("permissions"),
    removed: countOf("remove"),
    transactions,
    steps: [...steps],
  };
  print(options.json ? `${JSON.stringify(report, null, 2)}\n` : renderLoad(report));
  return EXIT.ok;
}

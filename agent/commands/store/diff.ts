// agent store diff: two stores compared. The exit status is that of diff(1): 0 where they are the
// same, 1 where they differ, more where they could not be compared.

import * as v from "valibot";
import { RefusedError, SystemError } from "../../../lib/base/index.ts";
import { compareStates, EMPTY_STATE, type StoreState } from "../../../lib/xenstore/index.ts";
import { isBelow } from "../../../lib/store-client/index.ts";
import type { Invocation } from "../../commands.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { EXIT } from "../../exit.ts";
import { printError } from "../../ui/log.ts";
import { print } from "../../ui/output.ts";
import { renderStoreDiff, sideReport, type StoreDiffReport } from "../../ui/store-report.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";
import { storePathOption } from "./path-option.ts";
import { readSide, type Side } from "./side.ts";

/** As diff(1) has them; where it cannot open something it has 2, like a wrong command line. */
const SAME = EXIT.ok;
const DIFFERENT = EXIT.failed;
const TROUBLE = EXIT.usage;

const LIMIT_DEFAULT = 40;

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.length(2, "wanted two: sockets or dumps")),
  subtree: v.optional(storePathOption),
  "nodes-only": switchOption,
  limit: v.optional(countOption, String(LIMIT_DEFAULT)),
  json: switchOption,
  quiet: switchOption,
});
type Given = v.InferOutput<typeof Options>;

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  try {
    return compare(options);
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof RefusedError)) throw error;
    await printError(error.message);
    return TROUBLE;
  }
}

function compare(options: Given): number {
  const [a, b] = options._.map((operand) => {
    const root = options.subtree ?? "/";
    return readSide(operand, { root, inTransaction: true });
  }) as [Side, Side];
  const isNodesOnly = options["nodes-only"] || options.subtree !== undefined;
  const hasConnections = a.hasConnections && b.hasConnections && !isNodesOnly;
  const silent = [a, b].filter((side) => !side.hasConnections).map(({ name }) => name);
  const parts = [a, b].map(({ state }) => below(state, options.subtree)) as [
    StoreState,
    StoreState,
  ];
  const differences = compareStates(...parts, { hasConnections });
  const report: StoreDiffReport = {
    a: sideReport(a),
    b: sideReport(b),
    same: differences.length === 0,
    not_compared:
      hasConnections || isNodesOnly
        ? []
        : [`connections, watches and quotas, of which ${silent.join(" and ")} does not tell`],
    differences: [...differences],
  };
  if (options.json) print(`${JSON.stringify(report, null, 2)}\n`);
  else if (!options.quiet) {
    print(renderStoreDiff(report, { limit: options.limit, style: stdoutStyle() }));
  }
  return report.same ? SAME : DIFFERENT;
}

const below = (state: StoreState, subtree: string | undefined): StoreState =>
  subtree === undefined
    ? state
    : { ...EMPTY_STATE, nodes: state.nodes.filter(({ path }) => isBelow(path, subtree)) };

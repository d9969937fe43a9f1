// agent sample: a small valid save file to try the other commands on. It appears whole or not at
// all.

import * as v from "valibot";
import { openOutput, sampleStream } from "../../../lib/stream/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";

const WANTED = "wanted one file to write";
const Options = v.strictObject({ _: v.strictTuple([v.string(WANTED)], WANTED) });

export function run({ argv, spec }: Invocation): number {
  const {
    _: [path],
  } = parseOptions(Options, spec, argv);
  using output = openOutput(path, { existing: "refuse", inputs: [] });
  output.sink.write(sampleStream());
  output.commit();
  return EXIT.ok;
}

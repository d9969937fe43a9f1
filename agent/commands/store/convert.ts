// agent store convert: a dump of a store in another format.

import * as v from "valibot";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { checkCopy, COPY_OPTIONS, writeCopy } from "./copy.ts";
import { readFile } from "./side.ts";

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.length(1, "wanted one dump, or - for standard input")),
  ...COPY_OPTIONS,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  checkCopy(spec.name, options);
  const [dump = ""] = options._;
  await writeCopy(readFile(dump), options);
  return EXIT.ok;
}

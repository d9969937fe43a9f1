// agent store dump: the state of a running daemon in a file.

import * as v from "valibot";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { checkCopy, COPY_OPTIONS, writeCopy } from "./copy.ts";
import { storePathOption } from "./path-option.ts";
import { defaultSocket, readSide } from "./side.ts";

const Options = v.strictObject({
  _: v.pipe(v.array(v.string()), v.maxLength(1, "wanted one socket or file")),
  ...COPY_OPTIONS,
  subtree: v.optional(storePathOption, "/"),
  "no-transaction": switchOption,
});

export async function run({ argv, spec }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  checkCopy(spec.name, options);
  const { subtree: root, "no-transaction": isPlain } = options;
  const side = readSide(options._[0] ?? defaultSocket(), { root, inTransaction: !isPlain });
  await writeCopy(side, options);
  return EXIT.ok;
}

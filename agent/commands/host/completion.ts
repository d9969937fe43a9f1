// agent completion SHELL: the completion script for a shell. The word "names" in place of a shell
// lists the drop-in names, one a line, for install.sh.

import * as v from "valibot";
import { COMPLETION_SHELLS, DROP_INS, type Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { completionScript } from "../../ui/completion.ts";
import { print } from "../../ui/output.ts";

const WANTED = "wanted bash, zsh or fish";
const Options = v.strictObject({
  _: v.strictTuple([v.picklist([...COMPLETION_SHELLS, "names"], WANTED)], WANTED),
});

export function run({ argv, spec }: Invocation): number {
  const [word] = parseOptions(Options, spec, argv)._;
  const names = DROP_INS.map(({ name }) => `${name}\n`);
  print(word === "names" ? names.join("") : completionScript(word));
  return EXIT.ok;
}

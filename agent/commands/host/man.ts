// agent man: the manual page.

import * as v from "valibot";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { manualPage } from "../../ui/man-page.ts";
import { print } from "../../ui/output.ts";

const Options = v.strictObject({ _: v.strictTuple([], "wanted none") });

export function run({ argv, spec }: Invocation): number {
  parseOptions(Options, spec, argv);
  print(manualPage());
  return EXIT.ok;
}

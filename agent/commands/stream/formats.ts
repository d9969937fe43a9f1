// agent formats: the layout tables of the stream formats, as Markdown.

import * as v from "valibot";
import { formatDocs } from "../../../lib/stream/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions } from "../../options.ts";
import { print } from "../../ui/output.ts";

const format = v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`);
const Options = v.strictObject({ _: v.pipe(v.array(format), v.maxLength(1, "wanted one format")) });

export function run({ argv, spec }: Invocation): number {
  const { _: wanted } = parseOptions(Options, spec, argv);
  const formats = wanted.length > 0 ? wanted : STREAM_FORMATS;
  print(`${formats.map(formatDocs).join("\n")}\n`);
  return EXIT.ok;
}

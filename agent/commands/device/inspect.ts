// agent device inspect: what is in a saved device state.

import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { inspectDeviceState, StateInFile } from "../../../lib/device/index.ts";
import { openForReading, statOf } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { parseOptions, switchOption } from "../../options.ts";
import { deviceStateText } from "../../ui/device-state.ts";
import { print } from "../../ui/output.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";

const Options = v.strictObject({
  _: v.strictTuple([v.string()], "wanted one file"),
  "big-endian": switchOption,
  json: switchOption,
});

export function run({ argv, spec }: Invocation): number {
  const {
    _: [path],
    "big-endian": bigEndianPorts,
    json,
  } = parseOptions(Options, spec, argv);
  using file = openForReading(path);
  const stats = statOf(file.number);
  if (!stats.isFile()) throw new RefusedError(`Cannot inspect "${path}": wanted a regular file`);
  using state = new StateInFile(file, stats.size);
  const report = inspectDeviceState(state, { bigEndianPorts });
  print(json ? `${JSON.stringify(report)}\n` : deviceStateText(report, stdoutStyle()));
  return report.problems.length === 0 ? EXIT.ok : EXIT.badData;
}

// The JSON document of agent device save, load and copy.

import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

export const DeviceTransferSchema = v.strictObject({
  source: v.pipe(v.string(), v.description("a socket, or the file that was loaded")),
  target: v.pipe(v.string(), v.description("a socket, or the file that was saved to")),
  result: v.picklist(["done", "refused", "undone", "stuck"]),
  problems: v.array(v.string()),
  kind: v.nullable(v.picklist(["passt", "unknown"])),
  bytes: v.nullable(count),
  flows: v.nullable(v.pipe(count, v.description("TCP connections in a state of passt"))),
  flows_after: v.nullable(
    v.pipe(count, v.description("TCP connections that the target holds afterwards")),
  ),
  program: v.nullable(
    v.pipe(v.string(), v.description("command line of the source: a state tells no release")),
  ),
});
export type DeviceTransfer = v.InferOutput<typeof DeviceTransferSchema>;

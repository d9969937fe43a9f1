// A legacy stream that cannot be converted, at a place in it.

import { type Finding, type Place, StreamError } from "../../bytes/index.ts";

export function refuse(
  { layer, record, recordNumber, fileOffset }: Place,
  rest: Pick<Finding, "field" | "expected" | "found">,
): StreamError {
  const place = { layer, record, recordNumber, fileOffset };
  return new StreamError({ ...place, severity: "error", strict: true, ...rest });
}

// Everything that the HVM context parser says of some bytes, as text.

import { describeFinding } from "../../../lib/bytes/index.ts";
import { parseHvmContext } from "../../../lib/stream/hvm-context/index.ts";
import { feedPieces } from "../../helpers/pieces.ts";

const FILE_OFFSET = 0x1000;

/** Entries as "typecode name instance offset bodyBytes hash"; a "?" marks what is not strict. */
export function parse(bytes: Uint8Array, pieceBytes: number) {
  const entries: string[] = [];
  const findings: string[] = [];
  const parser = parseHvmContext(
    { fileOffset: FILE_OFFSET, recordNumber: 7 },
    {
      entry({ typecode, name, instance, offset, bodyBytes, body }) {
        const hash = body === undefined ? "none" : Bun.hash(body).toString(16);
        entries.push([typecode, name, instance, offset, bodyBytes, hash].join(" "));
      },
      finding(finding) {
        const { severity, strict } = finding;
        findings.push(`${severity}${strict ? "" : "?"} ${describeFinding(finding)}`);
      },
    },
  );
  feedPieces(parser.feed, bytes, pieceBytes);
  parser.finish();
  return { entries, findings };
}

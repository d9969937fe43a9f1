// Everything that the QEMU stream parser says of some bytes, as text.

import { describeFinding } from "../../../lib/bytes/index.ts";
import { parseQemuStream } from "../../../lib/stream/qemu/index.ts";
import { feedPieces } from "../../helpers/pieces.ts";

export const FILE_OFFSET = 0x1000;

export interface Said {
  readonly machines: readonly string[];
  /** `full 4 cpu 0 v12 at 0x53: 4 bytes, footer` */
  readonly sections: readonly string[];
  readonly findings: readonly string[];
}

export function collect(bytes: Uint8Array, pieceBytes: number): Said {
  const machines: string[] = [];
  const sections: string[] = [];
  const findings: string[] = [];
  const parser = parseQemuStream(
    { fileOffset: FILE_OFFSET, recordNumber: 7 },
    {
      configuration: (machine) => machines.push(machine),
      section(one) {
        const { kind, sectionId, idstr, instanceId, versionId, offset, deviceBytes } = one;
        const what = [kind, sectionId, idstr, instanceId, `v${versionId}`].join(" ");
        const footer = one.hasFooter ? ", footer" : "";
        sections.push(`${what} at 0x${offset.toString(16)}: ${deviceBytes} bytes${footer}`);
      },
      finding: (finding) => findings.push(`${finding.severity} ${describeFinding(finding)}`),
    },
  );
  feedPieces(parser.feed, bytes, pieceBytes);
  parser.finish();
  return { machines, sections, findings };
}

/** Fed in one piece. */
export const collectWhole = (bytes: Uint8Array): Said => collect(bytes, Math.max(bytes.length, 1));

// The records of a stream: a row for each type, and the order they stand in as runs of equal ones.

import type { StreamRecord } from "../walk/index.ts";
import type { InspectReport } from "./report.ts";

/** The formats know some 60; a hostile stream may name a new unknown type in every record. */
const TYPES_MAX = 256;
const RUNS_MAX = 1024;

type RecordType = { -readonly [K in keyof Row]: Row[K] };
type Row = InspectReport["record_types"][number];
type RecordRun = { -readonly [K in keyof RunRow]: RunRow[K] };
type RunRow = InspectReport["record_runs"][number];

export class Records {
  readonly runs: RecordRun[] = [];
  runsLeftOff = 0;
  typesLeftOff = 0;
  private readonly types = new Map<string, RecordType>();
  private last: { readonly layer: string; readonly name: string } = { layer: "", name: "" };

  add(record: StreamRecord): void {
    this.addType(record);
    this.addRun(record);
  }

  private addType({ layer, record: name, bodyBytes, fileOffset, recordNumber }: StreamRecord) {
    const key = `${layer} ${name}`;
    const known = this.types.get(key);
    if (known !== undefined) {
      known.count++;
      known.bytes += bodyBytes;
      if (bodyBytes < known.least_bytes) known.least_bytes = bodyBytes;
      if (bodyBytes > known.most_bytes) known.most_bytes = bodyBytes;
    } else if (this.types.size < TYPES_MAX) {
      this.types.set(key, {
        layer,
        name,
        count: 1,
        bytes: bodyBytes,
        least_bytes: bodyBytes,
        most_bytes: bodyBytes,
        first_offset: fileOffset,
        first_record_number: recordNumber,
      });
    } else {
      this.typesLeftOff++;
    }
  }

  private addRun({ layer, record: name, bodyBytes, fileOffset, recordNumber }: StreamRecord): void {
    const isMore = this.last.layer === layer && this.last.name === name;
    this.last = isMore ? this.last : { layer, name };
    if (!isMore && this.runs.length === RUNS_MAX) this.runsLeftOff++;
    const run = this.runs.at(-1);
    if (this.runsLeftOff > 0) return;
    if (isMore && run !== undefined) {
      run.count++;
      run.bytes += bodyBytes;
      return;
    }
    this.runs.push({
      layer,
      name,
      first_record_number: recordNumber,
      count: 1,
      offset: fileOffset,
      bytes: bodyBytes,
    });
  }

  get typeRows(): RecordType[] {
    return [...this.types.values()];
  }
}

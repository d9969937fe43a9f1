// Checks of a legacy stream: what the converter of Xen, and so libxl, would refuse or get wrong.

import { hex } from "../../base/index.ts";
import { LEGACY_PFN_MASK, LEGACY_TYPE_SHIFT } from "../legacy/index.ts";
import { type HvmContextParser, parseHvmContext } from "../hvm-context/index.ts";
import { PAGE_TYPES } from "../libxc/index.ts";
import { PfnSet } from "../pfn-set.ts";
import type { PfnList, Piece, StreamRecord, Want } from "../walk/index.ts";
import type { FindingLog } from "./finding-log.ts";

/** XTAB with pfn 0: the old saver's mark for a run that could not be mapped. */
const UNMAPPED_ENTRY = 0xf000_0000;
const HVM_CHUNK = /^HVM_/;

export class LegacyChecker {
  pagesSent = 0;
  pagesWithData = 0;
  readonly seen = new PfnSet();
  private readonly log: FindingLog;
  private p2mSize = 0;
  private isPv = false;
  private vcpuChunks = 0;
  private readonly params = new Set<string>();
  private hvmContext: HvmContextParser | undefined;

  constructor(log: FindingLog) {
    this.log = log;
  }

  record(record: StreamRecord): Want {
    const { log } = this;
    switch (record.record) {
      case "P2M_SIZE":
        return "head";
      case "P2M_FRAMES":
        this.isPv = true;
        return "nothing";
      case "PAGE_BATCH":
        return "head";
      case "VCPU_INFO":
        if (++this.vcpuChunks > 1) {
          log.warn(record, { field: "marker", expected: "one VCPU_INFO", found: "another one" });
        }
        return "nothing";
      case "END":
        this.checkBody(record);
        return "nothing";
      case "HVM_CONTEXT":
        this.hvmContext = parseHvmContext(
          { fileOffset: record.bodyOffset, recordNumber: record.recordNumber },
          { entry: () => undefined, finding: (finding) => log.add(finding) },
        );
        return "body";
      default:
        this.params.add(record.record);
        if (this.isPv && HVM_CHUNK.test(record.record)) {
          const expected = "no HVM parameters in a PV stream";
          log.error(record, { field: "marker", expected, found: record.record });
        }
        return "nothing";
    }
  }

  /** At the end of the body: what must have come. */
  private checkBody(record: StreamRecord): void {
    const { log } = this;
    if (this.isPv && this.vcpuChunks === 0) {
      log.error(record, { field: "order", expected: "VCPU_INFO before the end", found: "none" });
    }
    if (this.pagesSent === 0) {
      log.error(record, { field: "order", expected: "a page batch before the end", found: "none" });
    }
    if (!this.isPv && !this.params.has("HVM_CONSOLE_PFN")) {
      log.warn(record, {
        field: "order",
        expected: "HVM_CONSOLE_PFN before the end",
        found: "none",
      });
    }
  }

  body(record: StreamRecord, piece: Piece): void {
    if (record.record === "P2M_SIZE") this.p2mSize = piece.view.getUint32(piece.at, true);
    this.hvmContext?.feed(piece.bytes.subarray(piece.at, piece.at + piece.length));
  }

  pfns(record: StreamRecord, { words, wordsPerPfn, count, fileOffset }: PfnList): void {
    const { log } = this;
    const seen = new Set<number>();
    for (let index = 0; index < count; index++) {
      const word = words[index * wordsPerPfn]!;
      const field = `pfn[${index}]`;
      const at = fileOffset + index * wordsPerPfn * 4;
      if (wordsPerPfn === 2 && words[index * 2 + 1] !== 0) {
        const found = hex(words[index * 2 + 1]!);
        log.error(record, { field, fileOffset: at, expected: "bits 32 and up clear", found });
      }
      if (word === UNMAPPED_ENTRY) continue;
      if (seen.has(word)) {
        log.error(record, {
          field,
          fileOffset: at,
          expected: "each entry once",
          found: `${hex(word)} again`,
        });
      }
      seen.add(word);
      const type = PAGE_TYPES[word >>> LEGACY_TYPE_SHIFT]!;
      if (!type.known) {
        const expected = "a page type that Xen defines";
        log.error(record, { field, fileOffset: at, expected, found: type.name });
      }
      const pfn = word & LEGACY_PFN_MASK;
      if (pfn >= this.p2mSize) {
        const expected = `a pfn below p2m_size, ${hex(this.p2mSize)}`;
        log.error(record, { field, fileOffset: at, expected, found: hex(pfn) });
      }
      if (type.hasData) this.pagesWithData++;
      this.seen.add(pfn);
      this.pagesSent++;
    }
  }

  recordEnd(): void {
    this.hvmContext?.finish();
    this.hvmContext = undefined;
  }
}

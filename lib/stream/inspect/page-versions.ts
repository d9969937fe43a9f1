// Every version of some pages that the stream holds, with its contents: for --pages.

import { PAGE_BYTES, PAGE_TYPES } from "../libxc/index.ts";
import type { PfnList, StreamRecord } from "../walk/index.ts";
import { entryAt } from "./batch.ts";
import { isZeroPage } from "./contents.ts";
import type { PageVersion } from "./report-state.ts";

const VERSIONS_KEPT = 256;

export interface PageRange {
  readonly first: number;
  readonly last: number;
}

/** `contents` is valid only during the call; undefined for a type without contents. */
export type OnPage = (version: PageVersion, contents: Uint8Array | undefined) => void;

export class PageVersions {
  readonly versions: PageVersion[] = [];
  leftOff = 0;
  private readonly range: PageRange;
  private readonly onPage: OnPage;
  /** Types of the pfns of this batch that are wanted and whose contents are still to come. */
  private readonly types = new Map<number, number>();

  constructor(range: PageRange, onPage: OnPage) {
    this.range = range;
    this.onPage = onPage;
  }

  entries(record: StreamRecord, list: PfnList, iteration: number): void {
    if (list.firstIndex === 0) this.types.clear();
    const { first, last } = this.range;
    for (let index = 0; index < list.count; index++) {
      const { pfn, type, hasContents } = entryAt(record, list, index);
      if (pfn < first || pfn > last) continue;
      if (hasContents) this.types.set(pfn, type);
      else this.add(this.version(record, { pfn, type, iteration }), undefined);
    }
  }

  /** The page whose contents stand at `at` of `bytes`, and at `fileOffset` of the input. */
  contents(
    record: StreamRecord,
    page: { readonly pfn: number; readonly iteration: number; readonly fileOffset: number },
    { bytes, at }: { readonly bytes: Uint8Array; readonly at: number },
  ): void {
    const type = this.types.get(page.pfn);
    if (type === undefined) return;
    const contents = bytes.subarray(at, at + PAGE_BYTES);
    const zero = isZeroPage(bytes, at);
    const version = this.version(record, { ...page, type });
    this.add({ ...version, offset: page.fileOffset, zero }, contents);
  }

  private version(
    { recordNumber }: StreamRecord,
    { pfn, type, iteration }: { readonly pfn: number; readonly type: number; iteration: number },
  ): PageVersion {
    const where = { iteration, record_number: recordNumber };
    const name = PAGE_TYPES[type]?.name ?? String(type);
    return { pfn, type: name, ...where, offset: null, zero: null, contents_hex: null };
  }

  private add(version: PageVersion, contents: Uint8Array | undefined): void {
    this.onPage(version, contents);
    if (this.versions.length >= VERSIONS_KEPT) this.leftOff++;
    else this.versions.push({ ...version, contents_hex: contents?.toHex() ?? null });
  }
}

// Copies the pages of a guest from where they stand in a stream to where they belong in an image.
// Pages of zeros are left out: the image has holes there, which read as zeros.

import { RefusedError } from "../../base/index.ts";
import { borrow, type Fd, readAt, writeAt } from "../../sys/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import type { PagePlaces } from "./page-places.ts";

/** 1 MiB: what is copied at once. */
const CHUNK_PAGES = 256;
const PAGE_WORDS = PAGE_BYTES / 4;

/** Consecutive pfns. */
export interface PfnRun {
  readonly first: number;
  readonly count: number;
  /** Pages with contents before it. */
  readonly index: number;
}

/** The runs of pfns that have contents, upwards. */
export function runsOf(places: PagePlaces): PfnRun[] {
  const runs: PfnRun[] = [];
  let [first, count, index] = [0, 0, 0];
  const end = () => {
    if (count > 0) runs.push({ first, count, index });
    index += count;
    count = 0;
  };
  places.forEach((pfn) => {
    if (pfn !== first + count) end();
    if (count === 0) first = pfn;
    count++;
  });
  end();
  return runs;
}

export interface CopyOptions {
  readonly source: Fd;
  readonly target: Fd;
  readonly places: PagePlaces;
  /** Where in the target a page belongs: its number among those with contents, and its pfn. */
  targetOffset(index: number, pfn: number): number;
  /** May change a page that is about to be written. */
  edit?(pfn: number, page: DataView): void;
  readonly onProgress: (pages: number) => void;
}

/** Returns how many pages were not zeros. */
export function copyPages(options: CopyOptions): number {
  using loan = borrow(CHUNK_PAGES * PAGE_BYTES);
  const { source, places, onProgress } = options;
  const chunk = new Chunk(loan.region, options);
  let index = 0;
  places.forEach((pfn, offset) => {
    if (!chunk.takes(index, pfn, offset)) {
      chunk.copy(source);
      onProgress(index);
      chunk.begin(index, pfn, offset);
    }
    index++;
  });
  chunk.copy(source);
  return chunk.written;
}

/** Pages that stand together in the stream and in the image. */
class Chunk {
  written = 0;
  private readonly region: ReturnType<typeof borrow>["region"];
  private readonly options: CopyOptions;
  private readonly words: Int32Array;
  private pfn = 0;
  private offset = 0;
  private target = 0;
  private count = 0;

  constructor(region: ReturnType<typeof borrow>["region"], options: CopyOptions) {
    this.region = region;
    this.options = options;
    this.words = new Int32Array(region.bytes.buffer, region.bytes.byteOffset, region.length / 4);
  }

  /** Adds a page where it follows the last one. */
  takes(index: number, pfn: number, offset: number): boolean {
    const { count } = this;
    if (count === 0 || count === CHUNK_PAGES) return false;
    const isNext = pfn === this.pfn + count && offset === this.offset + count * PAGE_BYTES;
    if (!isNext) return false;
    if (this.options.targetOffset(index, pfn) !== this.target + count * PAGE_BYTES) return false;
    this.count++;
    return true;
  }

  begin(index: number, pfn: number, offset: number): void {
    this.pfn = pfn;
    this.offset = offset;
    this.target = this.options.targetOffset(index, pfn);
    this.count = 1;
  }

  copy(source: Fd): void {
    const { region, options, count } = this;
    const bytes = count * PAGE_BYTES;
    const got = readAt(source, region.address, bytes, this.offset);
    if (got < bytes) {
      throw new RefusedError(`Cannot read "${source.name}": it was cut short while it was read`);
    }
    for (let page = 0; page < count;) {
      if (options.edit !== undefined) this.edit(page);
      if (this.isZero(page)) {
        page++;
        continue;
      }
      const first = page++;
      while (page < count && !this.isZeroAfterEdit(page)) page++;
      this.write(first, page - first);
    }
    this.count = 0;
  }

  private isZeroAfterEdit(page: number): boolean {
    if (this.options.edit !== undefined) this.edit(page);
    return this.isZero(page);
  }

  private edit(page: number): void {
    const at = page * PAGE_BYTES;
    const { buffer, byteOffset } = this.region.bytes;
    this.options.edit?.(this.pfn + page, new DataView(buffer, byteOffset + at, PAGE_BYTES));
  }

  private isZero(page: number): boolean {
    const { words } = this;
    const end = (page + 1) * PAGE_WORDS;
    for (let word = page * PAGE_WORDS; word < end; word++) if (words[word] !== 0) return false;
    return true;
  }

  private write(first: number, count: number): void {
    const at = first * PAGE_BYTES;
    writeAt(this.options.target, this.region.address + at, count * PAGE_BYTES, this.target + at);
    this.written += count;
  }
}

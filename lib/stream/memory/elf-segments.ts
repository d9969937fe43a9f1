// The LOAD segments of a core file. All memory by physical address, and the kernel's addresses as
// its page tables have them: the same pages once more, so that a debugger can follow pointers.

import { borrow, type Fd, type Loan, readAt } from "../../sys/index.ts";
import { PAGE_BYTES } from "../libxc/index.ts";
import type { GuestMemory } from "./guest-memory.ts";
import type { PfnRun } from "./page-copier.ts";
import { addressOf, type Mapping, walkKernelPages } from "./page-tables.ts";
import type { Vcpu } from "./vcpu.ts";
import type { PagePlaces } from "./page-places.ts";

export interface Segment {
  readonly address: bigint;
  readonly pfn: number;
  readonly count: number;
  /** Number of its first page among those with contents. */
  readonly index: number;
}

export interface KernelSegments {
  readonly segments: readonly Segment[];
  /** Not too many, and no table was left out. */
  readonly isWhole: boolean;
  /** Whose tables they are from. */
  readonly vcpu: number | undefined;
}

/** Program headers are read whole by debuggers; a fragmented kernel has some thousands. */
const SEGMENTS_MAX = 32768;
const DEPTHS = 5;

/** Kernel addresses of the first vcpu that is in its kernel, else of the first one. */
export function kernelSegments(
  { vcpus, places }: GuestMemory,
  runs: readonly PfnRun[],
  source: Fd,
): KernelSegments {
  const vcpu = vcpus.find(({ isInKernel }) => isInKernel) ?? vcpus[0];
  if (vcpu?.paging === undefined) return { segments: [], isWhole: true, vcpu: undefined };
  const { paging } = vcpu;
  const segments: Segment[] = [];
  using pages = new TablePages(places, source);
  const isWhole = walkKernelPages({
    paging,
    readPage: (pfn, depth) => pages.read(pfn, depth),
    onMapping(mapping) {
      for (const part of partsOf(mapping, runs)) {
        if (segments.length >= SEGMENTS_MAX) return false;
        const { page, pfn, count, index } = part;
        segments.push({ address: addressOf(page, paging.mode), pfn, count, index });
      }
      return true;
    },
  });
  return { segments, isWhole, vcpu: (vcpu satisfies Vcpu).id };
}

export const physicalSegments = (runs: readonly PfnRun[]): Segment[] =>
  runs.map(({ first, count, index }) => {
    return { address: BigInt(first) * BigInt(PAGE_BYTES), pfn: first, count, index };
  });

/** What of a mapping has contents. */
function* partsOf(mapping: Mapping, runs: readonly PfnRun[]) {
  const end = mapping.pfn + mapping.count;
  for (let at = firstRunAfter(runs, mapping.pfn); at < runs.length; at++) {
    const { first, count, index } = runs[at]!;
    if (first >= end) return;
    const pfn = Math.max(first, mapping.pfn);
    const last = Math.min(first + count, end);
    const page = mapping.page + pfn - mapping.pfn;
    yield { page, pfn, count: last - pfn, index: index + pfn - first };
  }
}

/** The first run that ends behind `pfn`. */
function firstRunAfter(runs: readonly PfnRun[], pfn: number): number {
  let [low, high] = [0, runs.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { first, count } = runs[middle]!;
    if (first + count > pfn) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A page of the guest for each depth of its tables. */
class TablePages implements Disposable {
  private readonly places: PagePlaces;
  private readonly source: Fd;
  private readonly loans: Loan[] = Array.from({ length: DEPTHS }, () => borrow(PAGE_BYTES));

  constructor(places: PagePlaces, source: Fd) {
    this.places = places;
    this.source = source;
  }

  read(pfn: number, depth: number): DataView | undefined {
    const offset = this.places.get(pfn);
    if (offset === 0) return undefined;
    const { region } = this.loans[depth]!;
    const got = readAt(this.source, region.address, PAGE_BYTES, offset);
    return got === PAGE_BYTES ? region.view : undefined;
  }

  [Symbol.dispose](): void {
    for (const loan of this.loans) loan[Symbol.dispose]();
  }
}

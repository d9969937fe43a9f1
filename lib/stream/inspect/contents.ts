// Looks at page contents: is a page zero, did the same contents stand in the stream before. A page
// is compared with zeros natively where its first word is zero, and hashed natively otherwise: both
// at the speed of memory, at any alignment (streams begin at odd offsets).

import { PAGE_BYTES } from "../libxc/index.ts";
import { HashSet } from "./hash-set.ts";
import type { InspectContents } from "./report.ts";

export type Likeness = "new" | "zero" | "duplicate";

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);
const hash = new BigUint64Array(1);
const words = new Int32Array(hash.buffer);

export const isZeroPage = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === 0 && ZERO_PAGE.compare(bytes, at, at + PAGE_BYTES) === 0;

export class ContentsScan {
  private pages = 0;
  private zero = 0;
  private duplicate = 0;
  private readonly seen = new HashSet();
  private readonly views = new PageViews();

  /** The page at `at`. */
  look(bytes: Uint8Array, at: number): Likeness {
    this.pages++;
    if (isZeroPage(bytes, at)) {
      this.zero++;
      return "zero";
    }
    hash[0] = Bun.hash.xxHash3(this.views.page(bytes, at)); // A bigint, split by the view.
    if (this.seen.add(words[0]!, words[1]!)) return "new";
    this.duplicate++;
    return "duplicate";
  }

  report(): InspectContents {
    const { pages, zero, duplicate, seen } = this;
    return { pages, zero, duplicate, distinct: seen.count };
  }
}

/** Sources that copy hand over the same buffer again and again. */
const KEPT_BUFFER_BYTES_MAX = 2 * 1024 * 1024;

/** Views of single pages. Those of a buffer that stays the same are made once. */
class PageViews {
  private buffer: Uint8Array | undefined;
  private readonly views: Uint8Array[] = [];

  page(bytes: Uint8Array, at: number): Uint8Array {
    if (at % PAGE_BYTES !== 0 || bytes.byteLength > KEPT_BUFFER_BYTES_MAX) {
      return bytes.subarray(at, at + PAGE_BYTES);
    }
    if (bytes !== this.buffer) {
      this.buffer = bytes;
      this.views.length = 0;
    }
    return (this.views[at / PAGE_BYTES] ??= bytes.subarray(at, at + PAGE_BYTES));
  }
}

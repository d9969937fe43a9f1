// A further walk over what a survey found to count. It has been walked before: whatever stops it
// now was changed meanwhile.

import { hex, RefusedError } from "../../base/index.ts";
import { StreamError } from "../../bytes/index.ts";
import type { StoredInput } from "../input/index.ts";
import type { PageIndex } from "../page-index.ts";
import { type Visitor, walk } from "../walk/index.ts";
import type { PageEntry } from "./page-reader.ts";
import type { Survey } from "./survey.ts";

/** Throws StreamError, and whatever the visitor throws. */
export function passOver(
  input: StoredInput,
  { format, endOffset }: Pick<Survey, "format" | "endOffset">,
  { visitor, onProgress }: { readonly visitor: Visitor; onProgress(position: number): void },
): void {
  using source = input.pass(endOffset);
  const { stopped } = walk(source, visitor, { format, onProgress });
  if (stopped !== undefined) throw new StreamError(stopped);
}

/** The last entry's number of each pfn. 2^32 entries: 16 TiB of pages, or 32 GiB of lists alone. */
const ORDINAL_MAX = 2 ** 32 - 1;

/** Puts an entry's number in. Throws RefusedError where there are too many or too scattered. */
export function indexOrdinal(index: PageIndex, entry: PageEntry, cannot: string): void {
  if (entry.ordinal > ORDINAL_MAX) {
    throw new RefusedError(`${cannot}: it has more than ${ORDINAL_MAX} page entries`);
  }
  if (!index.set(entry.pfn, entry.ordinal)) throw tooScattered(index, entry, cannot);
}

export function tooScattered(index: PageIndex, { pfn }: PageEntry, cannot: string): RefusedError {
  const before = `behind ${index.count} others`;
  return new RefusedError(
    `${cannot}: its pfns are too scattered for any guest: no room for ${hex(pfn)} ${before}`,
  );
}

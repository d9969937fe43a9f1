// The holder's list of descriptors: what has been sent already, in batches that fit a message, and
// what the heir must have in the end.

import { type Fd, DESCRIPTORS_MAX, fileIdentityOf } from "../sys/index.ts";
import type { FinalHead } from "./final-file.ts";
import type { CarriedDescriptor } from "./survivor.ts";

export interface Batch {
  readonly keys: string[];
  readonly fds: Fd[];
}

export class CarriedList {
  /** Key to the open file it is: asked once, as that costs a system call each. */
  private readonly sent = new Map<string, string>();

  /** The next descriptors that were not sent yet; none when all were. */
  nextBatch(all: readonly CarriedDescriptor[]): Batch {
    const batch: Batch = { keys: [], fds: [] };
    for (const { key, fd } of all) {
      if (batch.keys.length === DESCRIPTORS_MAX) break;
      if (this.sent.has(key)) continue;
      this.sent.set(key, fileIdentityOf(fd.number));
      batch.keys.push(key);
      batch.fds.push(fd);
    }
    return batch;
  }

  /** For the final file. Everything was sent. */
  entries(all: readonly CarriedDescriptor[]): FinalHead["descriptors"] {
    return all.map(({ key, fd }) => [
      key,
      this.sent.get(key) ?? fileIdentityOf(fd.number),
      fd.number,
    ]);
  }
}

/** The keys whose marks the heir has set. */
export const touchedKeys = (
  descriptors: FinalHead["descriptors"],
  isTouched: (index: number) => boolean,
): Set<string> => new Set(descriptors.filter((_, index) => isTouched(index)).map(([key]) => key));

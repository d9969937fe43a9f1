// The descriptors that go over. The holder's list: what has been sent already, in batches that fit
// a message, and what the heir must have in the end; and what the heir makes of that.

import { RefusedError } from "../base/index.ts";
import { type Fd, fileIdentityOf } from "../sys/index.ts";
import type { Descriptor, FinalHead } from "./final-file.ts";
import type { Adoption, CarriedDescriptor, Changes } from "./survivor.ts";

/** Fewer than a message carries: clients are served between two of them. */
const BATCH = 64;

export interface Batch {
  readonly keys: string[];
  readonly fds: Fd[];
}

export class CarriedList {
  /** Key to the open file it is: asked once, as that costs a system call each. */
  private readonly sent = new Map<string, string>();
  /** What the heir was told, in the order of the shared page's marks. */
  private readonly listed = new Set<string>();

  /** The next descriptors that were not sent yet; none when all were. */
  nextBatch(all: readonly CarriedDescriptor[]): Batch {
    const batch: Batch = { keys: [], fds: [] };
    for (const { key, fd } of all) {
      if (batch.keys.length === BATCH) break;
      if (this.sent.has(key)) continue;
      this.sent.set(key, fileIdentityOf(fd.number));
      batch.keys.push(key);
      batch.fds.push(fd);
    }
    return batch;
  }

  /** What is otherwise than it was listed before. */
  changesOf(all: readonly CarriedDescriptor[]): Pick<Changes, "added" | "gone"> {
    const added = all.filter(({ key }) => !this.listed.has(key));
    const there = new Set(all.map(({ key }) => key));
    return { added, gone: [...this.listed].filter((key) => !there.has(key)) };
  }

  /** For a final file; listed from now on. All of them were sent. */
  list(added: readonly CarriedDescriptor[]): Descriptor[] {
    return added.map(({ key, fd }) => {
      this.listed.add(key);
      return [key, this.sent.get(key) ?? fileIdentityOf(fd.number), fd.number];
    });
  }

  get listedCount(): number {
    return this.listed.size;
  }

  /** The keys whose marks the heir has set. */
  touched(isTouched: (index: number) => boolean): Set<string> {
    return touchedKeys([...this.listed], isTouched);
  }
}

/** Of keys in the order of their marks: those that are set. */
export const touchedKeys = (
  keys: readonly string[],
  isTouched: (index: number) => boolean,
): Set<string> => new Set(keys.filter((_, index) => isTouched(index)));

/** The descriptor of that key, of those that an heir adopts. Throws RefusedError. */
export function carriedFd({ descriptors }: Pick<Adoption, "descriptors">, key: string): Fd {
  const fd = descriptors.get(key);
  if (fd === undefined) throw new RefusedError(`Cannot adopt: descriptor "${key}" is absent`);
  return fd;
}

/** What the heir was sent, by key: which open file each is was asked when it came. */
export type Arrived = Map<string, { readonly fd: Fd; readonly identity: string }>;

/**
 * The descriptors of the final list, each the open file that it is said to be; those that belong to
 * it no longer are closed. Throws RefusedError.
 */
export function claim(received: Arrived, head: Pick<FinalHead, "descriptors">): Map<string, Fd> {
  const claimed = new Map<string, Fd>();
  for (const [key, wanted] of head.descriptors) {
    const found = received.get(key);
    if (found === undefined) throw new RefusedError(`Cannot take over: "${key}" did not come`);
    const { fd, identity } = found;
    if (identity !== wanted) {
      const what = `wanted file ${wanted}, found ${identity}`;
      throw new RefusedError(`Cannot take over: "${key}" is another descriptor: ${what}`);
    }
    claimed.set(key, fd);
    received.delete(key);
  }
  for (const { fd } of received.values()) fd[Symbol.dispose]();
  received.clear();
  return claimed;
}

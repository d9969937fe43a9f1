// What an heir has taken of a holder's state: the descriptors that belong to it, and the places of
// their marks in the shared page.

import { RefusedError } from "../base/index.ts";
import { type Fd, fileIdentityOf } from "../sys/index.ts";
import { type Arrived, claim } from "./carried.ts";
import type { Final } from "./final-file.ts";
import type { SharedPage } from "./shared-page.ts";
import type { Adoption } from "./survivor.ts";

export class TakenState {
  private readonly arrived: Arrived = new Map();
  private readonly claimed = new Map<string, Fd>();
  private readonly places = new Map<string, number>();
  /** Where the marks are, as long as the old program may look at them. */
  page: SharedPage | undefined;
  /** False once the old program has left. */
  isShared = true;

  /** Those that have come and belong to nothing yet. */
  get arrivedCount(): number {
    return this.arrived.size;
  }

  get descriptors(): ReadonlyMap<string, Fd> {
    return this.claimed;
  }

  /** Which open file it is, is asked now: the pause has no time for it. */
  add(key: string, fd: Fd): void {
    this.arrived.set(key, { fd, identity: fileIdentityOf(fd.number) });
  }

  /**
   * What a final file lists belongs to the state from now on; what it says is gone no longer does,
   * and is closed, or is the heir's to close. Throws RefusedError.
   */
  take({ head }: Final, closesGone: boolean): void {
    const { claimed, places } = this;
    for (const [key, fd] of claim(this.arrived, head)) {
      claimed.set(key, fd);
      places.set(key, places.size);
    }
    if (places.size > head.marks) {
      throw new RefusedError(`Cannot take over: ${places.size} marks, wanted ${head.marks}`);
    }
    for (const key of head.gone) {
      if (closesGone) claimed.get(key)?.[Symbol.dispose]();
      claimed.delete(key);
    }
  }

  adoption({ difference, head }: Final, isLastResort: boolean): Adoption {
    return {
      difference,
      gone: head.gone,
      descriptors: this.claimed,
      touch: (key, isTouched) => this.touch(key, isTouched),
      touched: new Set(),
      isLastResort,
    };
  }

  private touch(key: string, isTouched: boolean): boolean {
    const place = this.isShared ? this.places.get(key) : undefined;
    if (place !== undefined) this.page?.touch(place, isTouched);
    return this.isShared;
  }

  /**
   * The old program has left: nobody looks at the marks any more. Whose they were is forgotten; the
   * descriptors are the heir's.
   */
  endShared(): void {
    this.isShared = false;
    this.claimed.clear();
    this.places.clear();
    this.page?.[Symbol.dispose]();
    this.page = undefined;
  }
}

// The proxy's state for a program that takes its place, and the keys that its descriptors go under.

import * as v from "valibot";
import type { CarriedDescriptor } from "../handover/index.ts";
import type { Fd } from "../sys/index.ts";
import { SessionState, type TakeFd } from "./session-state.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

export const ProxyState = v.strictObject({
  listener: v.string(),
  control: v.string(),
  /** The back end's path, which a swap has changed. */
  backend: v.string(),
  clients: v.array(v.string()),
  /** Which of the clients waits for the end of an update. */
  asker: v.nullable(count),
  session: v.nullable(SessionState),
  next_key: count,
});
export type ProxyState = v.InferOutput<typeof ProxyState>;

export interface RestoredProxy {
  readonly state: ProxyState;
  readonly take: TakeFd;
}

/** Names each descriptor once and for all, and keeps them in the order in which they came. */
export class Carried {
  nextKey: number;
  private readonly keys = new WeakMap<Fd, string>();
  private order: Fd[] = [];
  private present = new Set<Fd>();

  constructor(nextKey: number) {
    this.nextKey = nextKey;
  }

  keyOf(fd: Fd): string {
    this.present.add(fd);
    const known = this.keys.get(fd);
    if (known !== undefined) return known;
    const key = `${this.nextKey++}`;
    this.keys.set(fd, key);
    return key;
  }

  /** A descriptor that came under a key keeps it. */
  adopt(key: string, fd: Fd): Fd {
    this.keys.set(fd, key);
    this.order.push(fd);
    return fd;
  }

  /** Forgets who is there: keyOf() of each tells anew. */
  begin(): void {
    this.present = new Set();
  }

  /** Those that were asked for since begin(), new ones last. */
  list(): CarriedDescriptor[] {
    const old = this.order.filter((fd) => this.present.has(fd));
    const known = new Set(old);
    this.order = [...old, ...[...this.present].filter((fd) => !known.has(fd))];
    return this.order.map((fd) => ({ key: this.keyOf(fd), fd }));
  }
}

// What the daemon needs of the machine under it: which domains there are, their ring pages, events.
// A small port with three makers: the real devices (xen-hypervisor.ts), files that play them
// (file-hypervisor.ts, for tests on a machine without Xen), and none at all, where only the socket
// is served and domain 0 exists.

import type { Fd, SharedMemory } from "../sys/index.ts";

export interface DomainCondition {
  /** It has shut down or crashed, and still exists. */
  readonly isShutDown: boolean;
  readonly isDying: boolean;
  /** Tells a domain from an earlier one of the same number, where the hypervisor can. */
  readonly uniqueId: bigint | undefined;
}

export interface OwnRingPage {
  readonly page: SharedMemory;
  readonly remotePort: number;
}

/** Throws SystemError where a device refuses. */
export interface Hypervisor extends Disposable {
  /** Readable when events wait; undefined where none ever come. */
  readonly eventFd: Fd | undefined;
  /** The port that tells of domains that changed their state. */
  readonly changePort: number;
  /**
   * Lets go of the port that tells of changed domains, for a program that binds one for itself, and
   * takes one again. Throws SystemError.
   */
  releaseChanges(): void;
  bindChanges(): void;
  /** Fetches the events that wait; how many. */
  readEvents(): number;
  /** The local port of the event; within the count of the last readEvents(). */
  eventAt(index: number): number;
  /** Lets the first `count` of them come again. */
  endEvents(count: number): void;
  /**
   * After a program that was killed, whose event channels we have: ports that are not among these
   * go, the others may fire again.
   */
  repair(ports: ReadonlySet<number>): void;
  /** Joins a local port to the port of a domain. */
  bind(domid: number, remotePort: number): number;
  unbind(port: number): void;
  notify(port: number): void;
  /** Undefined when there is no such domain. */
  conditionOf(domid: number): DomainCondition | undefined;
  mapRing(domid: number): SharedMemory;
  /** Of the domain that we run in; undefined where it has none. */
  mapOwnRing(): OwnRingPage | undefined;
}

const LIVING: DomainCondition = { isShutDown: false, isDying: false, uniqueId: undefined };

/** No hypervisor: domain 0 exists, and no other. */
export function noHypervisor(): Hypervisor {
  const nothing = (): void => undefined;
  const none = (): number => 0;
  const refuse = (): never => {
    throw new NoDomainError();
  };
  return {
    eventFd: undefined,
    changePort: 0,
    releaseChanges: nothing,
    bindChanges: nothing,
    readEvents: none,
    eventAt: none,
    endEvents: nothing,
    repair: nothing,
    bind: refuse,
    unbind: nothing,
    notify: nothing,
    conditionOf: (domid) => (domid === 0 ? LIVING : undefined),
    mapRing: refuse,
    mapOwnRing: () => undefined,
    [Symbol.dispose]: nothing,
  };
}

/** What was asked for needs a domain that is not there. */
export class NoDomainError extends Error {
  override readonly name = "NoDomainError";
}

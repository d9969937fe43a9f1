// The store as the program around it sees it.

import type { ErrorName } from "./ports.ts";
import type { QuotaName } from "./limits.ts";

export interface StoreOptions {
  /** The domain whose connections may do everything; normally 0. */
  readonly privilegedDomid: number;
  /** The domain that sockets stand for, and whose paths their relative paths are; normally 0. */
  readonly storeDomid: number;
  /** Random: paths that collide in the index cannot be worked out beforehand. */
  readonly seed: number;
  /** Limits that differ from the defaults. */
  readonly quotas: Partial<Readonly<Record<QuotaName, number>>>;
  /** Whether the nodes of a domain that died stay (the C daemon's -K). */
  readonly keepOrphans: boolean;
}

/** What a whole request came to. */
export const OUTCOME = {
  /** Answered: reply and events are queued. */
  done: 0,
  /** The answer follows later (CONTROL live-update). Later requests of this client may be read. */
  later: 1,
} as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** Why a domain is not read at the moment; none: it may be read. */
export type Hold = "none" | "outstanding" | "memory";

export interface StoreCounts {
  readonly nodes: number;
  readonly watches: number;
  readonly transactions: number;
  readonly connections: number;
  readonly domains: number;
  /** Bytes of the arena in use, and its length. */
  readonly usedBytes: number;
  readonly arenaBytes: number;
}

/** A connection as it stands in the arena. */
export interface ConnectionInfo {
  readonly connection: number;
  readonly kind: "socket" | "ring";
  /** The domain; of a socket the one that it stands for. */
  readonly domid: number;
  /** The word that the daemon keeps with it: a socket's descriptor number, a ring's local port. */
  readonly tag: number;
  readonly watches: number;
  readonly transactions: number;
  /** What setIdle() has said last, as an unsigned number. */
  readonly idle: number;
}

export interface DomainInfo {
  readonly domid: number;
  readonly isIntroduced: boolean;
  /** @releaseDomain has been fired for its shutdown. */
  readonly isShutdown: boolean;
  readonly connection: number | undefined;
  readonly port: number;
  readonly features: number;
  readonly target: number | undefined;
  /** By quota name: what it uses, and what it may. */
  readonly usage: Readonly<Record<QuotaName, { readonly used: number; readonly limit: number }>>;
}

/**
 * One store in its arena. Everything is synchronous; nothing here is called from within a Host
 * method. Connection numbers are small (rows of the arena) and are used again after a disconnect.
 */
export interface XenStore {
  // ---- Requests ----
  /**
   * Carries out the request whose header stands at `offset` of `bytes`; the whole of it is there
   * (see requestBytes). Its events, then its reply are queued in the outboxes. Makes no objects.
   */
  dispatch(connection: number, bytes: Uint8Array, offset: number): Outcome;
  /** Answers a CONTROL request that the host had put off. */
  answerControl(
    connection: number,
    requestId: number,
    transactionId: number,
    answer: { readonly text: string } | { readonly error: ErrorName },
  ): void;

  // ---- Connections ----
  /** A new connection of a socket. Rings are connected by INTRODUCE or by introduceFirst. */
  connectSocket(tag: number): number;
  /** The client is gone: its watches and transactions go; of a ring the domain stays. */
  disconnect(connection: number): void;
  /** A connection the daemon ignores from now on (protocol error): drops watches, transactions. */
  reset(connection: number): void;
  /** Costs one store; not part of the digest. */
  setTag(connection: number, tag: number): void;
  /**
   * Says of a socket that nothing of it is in the program's hands: by its inode number, by 0 the
   * contrary. It stands there until then, also when the program is killed. Costs one store. The
   * store itself takes it back from connections that an operation has events for, before it
   * becomes final.
   */
  setIdle(connection: number, inode: number): void;
  /**
   * Says of a ring where its counters are going to stand: once answers are produced up to here,
   * requests are consumed up to there. Two stores, the answers' first.
   */
  setRingEnds(connection: number, answersEnd: number, requestsEnd: number): void;
  ringEnds(connection: number): readonly [answersEnd: number, requestsEnd: number];
  /** undefined: there is no such connection. Makes no objects, nor does idleOf(). */
  kindOf(connection: number): ConnectionInfo["kind"] | undefined;
  idleOf(connection: number): number;
  connectionInfo(connection: number): ConnectionInfo;
  /** Id of the oldest transaction that the client has open; 0: none. */
  oldestTransaction(connection: number): number;
  connections(): ConnectionInfo[];

  // ---- Domains ----
  /** dom0's own ring and the like, at the start: as INTRODUCE, without a request. */
  introduceFirst(domid: number, port: number): number;
  /**
   * VIRQ_DOM_EXC: these domains shut down or crashed. Fires @releaseDomain, once for all of them
   * and for each of its own; not again until RESUME.
   */
  domainsShutdown(domids: readonly number[]): void;
  /** It died: its connection, its nodes and its place in permissions go, @releaseDomain fires. */
  domainGone(domid: number): void;
  domainInfo(domid: number): DomainInfo | undefined;
  domains(): DomainInfo[];

  // ---- Quotas of what is outside the arena ----
  /**
   * Whether the domain of this connection may be read, given the requests it has outstanding
   * (received, or answered and not yet sent) and the bytes queued for it. Sockets and the
   * privileged domain always may.
   */
  hold(connection: number, outstanding: number, queuedBytes: number): Hold;

  // ---- Care ----
  /** Of awaitStore(): its owner has let go of the memory. Throws StoreDamagedError. */
  take(): void;
  /** Does a little compaction; true while there is more to do. For when the daemon is idle. */
  tidy(): boolean;
  /** Verifies everything; what is wrong, in words, or an empty list. */
  check(): string[];
  /** Order-free sum over nodes, watches, transactions, domains and connections: 16 hex digits. */
  digest(): string;
  /** Another number after each operation that has changed the arena. */
  readonly lastChange: number;
  counts(): StoreCounts;
  /** A word for the handover (which program owns the arena); not part of the digest. */
  generation: number;
  /** The daemon's port that tells of changed domains; 0: none. Not part of the digest. */
  changePort: number;
}

// The state of a xenstore daemon as one value: everything that another process needs in order to go
// on where one stopped. The codecs beside this file (text, stream, JSON) are readers and writers of
// it; losses.ts says what each of them cannot carry.
//
// Sources: docs/designs/xenstore-migration.md of Xen, tools/xenstored/xenstore_state.h (the C
// daemon's stream), tools/ocaml/xenstored/xenstored.ml, module DB (oxenstored's text).

/** Who may do what to a node: none, read, write, both. */
export type Access = "n" | "r" | "w" | "b";

/** One entry of a node's permission list. The first names the owner, and what all others may do. */
export interface Permission {
  readonly access: Access;
  readonly domid: number;
  /** It stands in the list and does not count: its domain was not there, or is another one now. */
  readonly isIgnored: boolean;
}

export interface StateNode {
  /** "/", "/tool/xenstored", or a special node such as "@releaseDomain". */
  readonly path: string;
  readonly value: Uint8Array;
  /** At least the owner's. */
  readonly permissions: readonly Permission[];
  /** The count that changes with each write; null where it is not known. */
  readonly generation: bigint | null;
}

/** The generation of a node that a transaction looked for and did not find. */
export const ABSENT_GENERATION = 0xffff_ffff_ffff_ffffn;

/** A node as a transaction has it: read, changed, made or deleted there. */
export interface TransactionNode {
  readonly path: string;
  readonly isRead: boolean;
  readonly isWritten: boolean;
  /** null: it is not there in the transaction. */
  readonly content: {
    readonly value: Uint8Array;
    readonly permissions: readonly Permission[];
  } | null;
  /** What its generation was at the first access; null where it is not known. */
  readonly generation: bigint | null;
}

export interface StateTransaction {
  /** As the client names it; not 0. */
  readonly id: number;
  /** Each path once, in the order of the first access. */
  readonly nodes: readonly TransactionNode[];
}

export interface StateWatch {
  /** As it was registered: relative paths stay relative. */
  readonly path: string;
  /** Without a NUL in it. */
  readonly token: Uint8Array;
  /** Levels below the path that it sees; null: all. */
  readonly depth: number | null;
}

export interface SocketChannel {
  readonly kind: "socket";
  readonly fd: number;
}

export interface RingChannel {
  readonly kind: "ring";
  readonly domid: number;
  /** The domain it acts for since SET_TARGET. */
  readonly target: number | null;
  /** Frame of the shared page as it was introduced; null: entry 1 of the domain's grant table. */
  readonly gfn: number | null;
  /** Event channel port of the guest, and ours that is bound to it. */
  readonly remotePort: number | null;
  readonly localPort: number | null;
}

export interface StateConnection {
  /** Not 0. Only names the connection inside one dump. */
  readonly id: number;
  readonly channel: SocketChannel | RingChannel;
  /** Tells a domain from an earlier one of the same number. */
  readonly uniqueId: bigint | null;
  /** Requests that were received and not answered: whole ones, then at most one that is not. */
  readonly input: Uint8Array;
  /** Replies and events that were not yet sent. */
  readonly output: Uint8Array;
  /** So many bytes at the front of `output` are the rest of a message that was begun. */
  readonly begunOutputBytes: number;
  readonly watches: readonly StateWatch[];
  readonly transactions: readonly StateTransaction[];
}

export interface Quota {
  readonly name: string;
  /** 0: no limit. */
  readonly value: number;
}

export interface StateDomain {
  readonly domid: number;
  /** The features offered to it, as a mask; 0 where the dump does not tell. */
  readonly features: number;
  readonly quotas: readonly Quota[];
}

/** What a newer writer knew. It is kept and written again where the format is the same. */
export type UnknownPart =
  | { readonly kind: "record"; readonly type: number; readonly body: Uint8Array }
  | { readonly kind: "line"; readonly text: string };

export interface StoreState {
  readonly global: {
    readonly socketFd: number | null;
    readonly eventChannelFd: number | null;
    /** Our port of VIRQ_DOM_EXC. */
    readonly domainExceptionPort: number | null;
  };
  readonly quotas: {
    readonly perDomain: readonly Quota[];
    readonly global: readonly Quota[];
  };
  /** In the order of the dump. */
  readonly connections: readonly StateConnection[];
  readonly domains: readonly StateDomain[];
  /** Parents before their children. "/" may be left out when there is nothing to say about it. */
  readonly nodes: readonly StateNode[];
  readonly unknown: readonly UnknownPart[];
}

/** Nothing at all; the codecs and the walk of a live store start from it. */
export const EMPTY_STATE: StoreState = {
  global: { socketFd: null, eventChannelFd: null, domainExceptionPort: null },
  quotas: { perDomain: [], global: [] },
  connections: [],
  domains: [],
  nodes: [],
  unknown: [],
};

/** "socket 12", "domain 5": for people. */
export const channelName = (channel: SocketChannel | RingChannel): string =>
  channel.kind === "socket" ? `socket ${channel.fd}` : `domain ${channel.domid}`;

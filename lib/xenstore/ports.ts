// What the store needs of the program around it: memory, a queue of output for each connection, and
// somebody who carries out what reaches beyond the store (rings, event channels, the log).

/**
 * Where the arena stands: memory that grows at its end and never moves. In production a memory
 * file (lib/sys, GrowingMemory has this shape), in tests plain memory.
 */
export interface StoreMemory {
  /** All of it; replaced by grow(). */
  readonly buffer: ArrayBuffer;
  /** Makes it at least so long, what is added being zeros. Throws when it cannot. */
  grow(bytes: number): ArrayBuffer;
}

/**
 * The queue of what one connection has still to be sent: whole messages, the first of which may be
 * partly sent already. The store appends to it and looks through what is queued (an event that is
 * queued already is not queued twice).
 */
export interface Outbox {
  /** Where the messages stand, one behind the other, from `start` to `end`. */
  readonly bytes: Uint8Array;
  /** Offset of the first message that is not entirely sent: of its header, not of what is left. */
  readonly start: number;
  /** Offset behind the last message. The store moves it on when it has written a message. */
  end: number;
  /**
   * Makes room for `bytes` more behind `end`; may replace `bytes` and move `start` and `end`.
   * False: there is none, the message is lost, and the connection has to be closed.
   */
  reserve(bytes: number): boolean;
}

/** A POSIX error as the wire names it. */
export type ErrorName =
  | "EINVAL"
  | "EACCES"
  | "EEXIST"
  | "EISDIR"
  | "ENOENT"
  | "ENOMEM"
  | "ENOSPC"
  | "EIO"
  | "ENOTEMPTY"
  | "ENOSYS"
  | "EROFS"
  | "EBUSY"
  | "EAGAIN"
  | "EISCONN"
  | "E2BIG"
  | "EPERM";

/** What a CONTROL command that the host answers comes to: a text, an error, or an answer later. */
export type ControlAnswer =
  | { readonly text: string }
  | { readonly error: ErrorName }
  /** The host answers later, by XenStore.answerControl with the same connection and request. */
  | "later";

export interface ControlRequest {
  readonly connection: number;
  /** req_id and tx_id of the request, which the answer repeats. */
  readonly requestId: number;
  readonly transactionId: number;
  readonly command: "live-update" | "logfile" | "memreport" | "agent-stats";
  /** What follows the command. At most 6 for live-update, the last of them may hold NULs. */
  readonly parameters: readonly string[];
}

/** What the store asks the daemon to do, or to tell. Called during dispatch; may not call back. */
export interface Host {
  /** Where output for this connection is queued. */
  outboxOf(connection: number): Outbox;
  /** Whether the hypervisor knows the domain and it is not dying. */
  domainExists(domid: number): boolean;
  /**
   * INTRODUCE of a domain that is not introduced: map its ring, bind its event channel. The store
   * has made the connection already (kind "ring") and undoes it when an error is returned.
   */
  introduce(domid: number, connection: number, port: number): ErrorName | undefined;
  /**
   * INTRODUCE again: bind another port; the guest's wish to reconnect is to be answered. Where an
   * error is returned all else is done, and the domain has no port from here on.
   */
  rebind(domid: number, connection: number, port: number): ErrorName | undefined;
  /** The ring's connection is gone (RELEASE, death): unmap, unbind, forget its queue. */
  released(domid: number, connection: number): void;
  /** RESUME: the domain may be told to have shut down again. */
  resumed(domid: number): void;
  /** A line for the daemon's log: CONTROL print, and what an operator should know. */
  log(text: string): void;
  /** CONTROL log on|off. */
  logging(isOn: boolean): void;
  /** CONTROL log +switch|-switch has changed the switches (a mask of LOG_SWITCH). */
  logSwitches(mask: number): void;
  /** A CONTROL command that concerns the program, not the store. */
  control(request: ControlRequest): ControlAnswer;
}

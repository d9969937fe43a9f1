// The store behind its interface: arena, dispatch, care.

import { assert } from "../base/index.ts";
import { exceeds, findDomain, introducedDomain, limitOf, QUOTA, usedOf } from "./account.ts";
import { StoreDamagedError } from "./arena.ts";
import { checkStore } from "./check.ts";
import { dropAll } from "./client-operations.ts";
import { compact } from "./compact.ts";
import { addConnection, fireDomain, removeConnection, removeDomain } from "./connections.ts";
import { type Core, setClient } from "./core.ts";
import { digestOf } from "./digest.ts";
import { dispatch } from "./dispatch.ts";
import { introduceDomain } from "./domain-operations.ts";
import { ERRNO } from "./errno.ts";
import { awaitArena, formatArena, openArena, settle, takeArena } from "./format.ts";
import {
  CONNECTION,
  DOMAIN,
  DOMAIN_INTRODUCED_MASK,
  DOMAIN_SHUTDOWN_MASK,
  HEADER,
  ROW_WORDS,
  TRANSACTION,
} from "./layout.ts";
import { OPERATION, QUOTAS, type QuotaName } from "./limits.ts";
import { run, sendError, sendReply } from "./operation.ts";
import type { ErrorName, Host, StoreMemory } from "./ports.ts";
import {
  type ConnectionInfo,
  type DomainInfo,
  type Hold,
  OUTCOME,
  type Outcome,
  type StoreCounts,
  type StoreOptions,
  type XenStore,
} from "./store.ts";

class Store implements XenStore {
  private readonly core: Core;

  constructor(core: Core) {
    this.core = core;
  }

  dispatch(connection: number, bytes: Uint8Array, offset: number): Outcome {
    const isAnswered = dispatch(this.core, connection, bytes, offset);
    if (this.core.checkIsWanted) this.checkAloud();
    return isAnswered ? OUTCOME.done : OUTCOME.later;
  }

  answerControl(
    connection: number,
    requestId: number,
    transactionId: number,
    answer: { readonly text: string } | { readonly error: ErrorName },
  ): void {
    const { core } = this;
    const row = core.connectionRows[connection] ?? 0;
    if (row === 0) return; // Whoever asked has gone.
    setClient(core, row);
    core.request.requestId = requestId;
    core.request.transactionId = transactionId;
    if ("error" in answer) {
      sendError(core, ERRNO[answer.error]);
      return;
    }
    const bytes = Buffer.from(`${answer.text}\0`, "latin1");
    sendReply(core, OPERATION.CONTROL, bytes, 0, bytes.length);
  }

  // ---- Connections ----

  connectSocket(tag: number): number {
    let row = 0;
    this.whole(() => (row = addConnection(this.core, this.core.storeDomid, { domain: 0, tag })));
    return this.words[row * ROW_WORDS + CONNECTION.number]!;
  }

  disconnect(connection: number): void {
    const row = this.rowOf(connection);
    this.whole(() => {
      const domain = this.words[row * ROW_WORDS + CONNECTION.domain]!;
      if (domain !== 0) this.core.arena.set(domain * ROW_WORDS + DOMAIN.connection, 0);
      removeConnection(this.core, row);
    });
  }

  reset(connection: number): void {
    this.whole(() => dropAll(this.core, this.rowOf(connection)));
  }

  setTag(connection: number, tag: number): void {
    this.words[this.rowOf(connection) * ROW_WORDS + CONNECTION.tag] = tag;
  }

  setIdle(connection: number, inode: number): void {
    const row = this.core.connectionRows[connection] ?? 0;
    if (row !== 0) this.words[row * ROW_WORDS + CONNECTION.idle] = inode;
  }

  setRingEnds(connection: number, answersEnd: number, requestsEnd: number): void {
    const at = this.domainAt(connection);
    if (at === 0) return;
    this.words[at + DOMAIN.answersEnd] = answersEnd;
    this.words[at + DOMAIN.requestsEnd] = requestsEnd;
  }

  ringEnds(connection: number): readonly [answersEnd: number, requestsEnd: number] {
    const at = this.domainAt(connection);
    return [this.words[at + DOMAIN.answersEnd]!, this.words[at + DOMAIN.requestsEnd]!];
  }

  private domainAt(connection: number): number {
    const row = this.core.connectionRows[connection] ?? 0;
    return row === 0 ? 0 : this.words[row * ROW_WORDS + CONNECTION.domain]! * ROW_WORDS;
  }

  kindOf(connection: number): ConnectionInfo["kind"] | undefined {
    const row = this.core.connectionRows[connection] ?? 0;
    if (row === 0) return undefined;
    return this.words[row * ROW_WORDS + CONNECTION.domain] === 0 ? "socket" : "ring";
  }

  idleOf(connection: number): number {
    return this.words[this.rowOf(connection) * ROW_WORDS + CONNECTION.idle]! >>> 0;
  }

  connectionInfo(connection: number): ConnectionInfo {
    const { words } = this;
    const at = this.rowOf(connection) * ROW_WORDS;
    return {
      connection,
      kind: words[at + CONNECTION.domain] === 0 ? "socket" : "ring",
      domid: words[at + CONNECTION.domid]!,
      tag: words[at + CONNECTION.tag]!,
      watches: words[at + CONNECTION.watchCount]!,
      transactions: words[at + CONNECTION.transactionCount]!,
      idle: words[at + CONNECTION.idle]! >>> 0,
    };
  }

  oldestTransaction(connection: number): number {
    const { words } = this;
    const row = words[this.rowOf(connection) * ROW_WORDS + CONNECTION.firstTransaction]!;
    return row === 0 ? 0 : words[row * ROW_WORDS + TRANSACTION.id]!;
  }

  connections(): ConnectionInfo[] {
    const found: ConnectionInfo[] = [];
    let row = this.words[HEADER.firstConnection]!;
    for (; row !== 0; row = this.words[row * ROW_WORDS + CONNECTION.next]!) {
      found.push(this.connectionInfo(this.words[row * ROW_WORDS + CONNECTION.number]!));
    }
    return found;
  }

  // ---- Domains ----

  introduceFirst(domid: number, port: number): number {
    let errno = 0;
    this.whole(() => (errno = introduceDomain(this.core, domid, { port, frame: undefined })));
    const domain = introducedDomain(this.core, domid);
    assert(errno === 0 && domain !== 0, `domain ${domid} can be introduced`);
    const connection = this.words[domain * ROW_WORDS + DOMAIN.connection]!;
    return this.words[connection * ROW_WORDS + CONNECTION.number]!;
  }

  domainsShutdown(domids: readonly number[]): void {
    this.whole(() => {
      let last = -1;
      for (const domid of domids) {
        const row = introducedDomain(this.core, domid);
        if (row === 0 || this.words[row * ROW_WORDS]! & DOMAIN_SHUTDOWN_MASK) continue;
        this.core.arena.set(row * ROW_WORDS, this.words[row * ROW_WORDS]! | DOMAIN_SHUTDOWN_MASK);
        fireDomain(this.core, "release", domid, "own");
        last = domid;
      }
      if (last !== -1) fireDomain(this.core, "release", last, "any");
    });
  }

  domainGone(domid: number): void {
    if (findDomain(this.core, domid) === 0) return;
    let connection = 0;
    this.whole(() => (connection = removeDomain(this.core, domid)));
    if (connection !== 0) this.core.host.released(domid, connection);
  }

  domainInfo(domid: number): DomainInfo | undefined {
    const row = findDomain(this.core, domid);
    if (row === 0) return undefined;
    const { words, core } = this;
    const at = row * ROW_WORDS;
    const connection = words[at + DOMAIN.connection]!;
    const target = connection === 0 ? -1 : words[connection * ROW_WORDS + CONNECTION.target]!;
    const usage = QUOTAS.map(({ name }, quota) => {
      return [name, { used: usedOf(core, row, quota), limit: limitOf(core, row, quota) }] as const;
    });
    return {
      domid,
      isIntroduced: (words[at]! & DOMAIN_INTRODUCED_MASK) !== 0,
      isShutdown: (words[at]! & DOMAIN_SHUTDOWN_MASK) !== 0,
      connection: connection === 0 ? undefined : words[connection * ROW_WORDS + CONNECTION.number]!,
      port: words[at + DOMAIN.port]!,
      features: words[at + DOMAIN.features]!,
      target: target === -1 ? undefined : target,
      usage: Object.fromEntries(usage) as Record<QuotaName, { used: number; limit: number }>,
    };
  }

  domains(): DomainInfo[] {
    const found: DomainInfo[] = [];
    let row = this.words[HEADER.firstDomain]!;
    for (; row !== 0; row = this.words[row * ROW_WORDS + DOMAIN.next]!) {
      found.push(this.domainInfo(this.words[row * ROW_WORDS + DOMAIN.domid]!)!);
    }
    return found;
  }

  hold(connection: number, outstanding: number, queuedBytes: number): Hold {
    const { core } = this;
    const domain = this.words[this.rowOf(connection) * ROW_WORDS + CONNECTION.domain]!;
    if (domain === 0) return "none";
    if (exceeds(core, domain, QUOTA.outstanding, outstanding)) return "outstanding";
    const memory = usedOf(core, domain, QUOTA.memory) + queuedBytes;
    return exceeds(core, domain, QUOTA.memory, memory) ? "memory" : "none";
  }

  // ---- Care ----

  take(): void {
    takeArena(this.core);
  }

  tidy(): boolean {
    return compact(this.core);
  }

  check(): string[] {
    return checkStore(this.core);
  }

  digest(): string {
    return digestOf(this.core);
  }

  get lastChange(): number {
    return this.words[HEADER.tag]!;
  }

  counts(): StoreCounts {
    const { words } = this;
    return {
      nodes: words[HEADER.nodeCount]!,
      watches: words[HEADER.watchCount]!,
      transactions: words[HEADER.transactionCount]!,
      connections: words[HEADER.connectionCount]!,
      domains: words[HEADER.domainCount]!,
      usedBytes: words[HEADER.endBytes]! - words[HEADER.freeBlockBytes]!,
      arenaBytes: this.core.arena.lengthBytes,
    };
  }

  get generation(): number {
    return this.words[HEADER.generation]!;
  }

  set generation(value: number) {
    this.words[HEADER.generation] = value;
  }

  get changePort(): number {
    return this.words[HEADER.changePort]!;
  }

  set changePort(value: number) {
    this.words[HEADER.changePort] = value;
  }

  private get words(): Int32Array {
    return this.core.arena.words;
  }

  private rowOf(connection: number): number {
    const row = this.core.connectionRows[connection] ?? 0;
    if (row === 0) assert(false, `connection ${connection} is there`);
    return row; // For each of many clients in a pause: no text is made for those that are there.
  }

  /** Something the daemon does, as one operation. */
  private whole(step: () => void): void {
    const { request } = this.core;
    request.transaction = 0;
    request.connection = 0;
    request.domain = 0;
    request.isPrivileged = true;
    request.isReplyFirst = false;
    const errno = run(this.core, () => {
      step();
      return 0;
    });
    if (errno !== 0) throw new RangeError("The arena cannot grow");
  }

  private checkAloud(): void {
    const { core } = this;
    core.checkIsWanted = false;
    core.host.log("Checking store ...");
    for (const problem of checkStore(core)) core.host.log(`check_store: ${problem}`);
    core.host.log("Checking store complete.");
  }
}

/** Makes a fresh store in memory that is all zeros. */
export const formatStore = (memory: StoreMemory, host: Host, options: StoreOptions): XenStore =>
  new Store(formatArena(memory, host, options));

/**
 * Takes over the store that is in this memory, undoing what its last owner had left half done, and
 * verifies all of it. Throws StoreDamagedError, saying what is damaged. `breathe` is called
 * at least once in a millisecond or so, where somebody has something to do there.
 */
export function adoptStore(memory: StoreMemory, host: Host, breathe?: () => void): XenStore {
  const core = openArena(memory, host);
  const problems = checkStore(core, breathe);
  if (problems.length > 0) {
    throw new StoreDamagedError(`Cannot adopt the store: ${problems.slice(0, 5).join("; ")}`);
  }
  settle(core);
  return new Store(core);
}

/**
 * The same without verifying: for memory whose copy has just been verified, and which only a store
 * of ours has written since. What it costs does not grow with the store.
 */
export function continueStore(memory: StoreMemory, host: Host): XenStore {
  const core = openArena(memory, host);
  settle(core);
  return new Store(core);
}

/**
 * A store in memory that its owner still writes to: take() makes it ours, as continueStore() would,
 * and nothing else may be asked of it before. Nothing is written until then.
 */
export const awaitStore = (memory: StoreMemory, host: Host): XenStore =>
  new Store(awaitArena(memory, host));

// A store daemon in the test's own process: its loop runs only when the test says so, so that what
// happens between two of its turns is in the test's hands.

import { EVENT_TIMEOUT_MS, FileHypervisor, StoreDaemon } from "../../lib/store-daemon/index.ts";
import {
  type Fd,
  Loop,
  makeSocketPair,
  receiveNow,
  reserve,
  sendNow,
} from "../../lib/sys/index.ts";
import { adoptStore, formatStore, type StoreMemory } from "../../lib/xenstore/index.ts";
import { Inbox, type Message, messageBytes, OP, type OpName } from "./store-wire.ts";

const memory = reserve(64 * 1024);
const TURN_MS = 10;
const STORE = { privilegedDomid: 0, storeDomid: 0, seed: 1, quotas: {}, keepOrphans: false };

export interface HereOptions {
  readonly arena: StoreMemory;
  /** Stands for the hypervisor. */
  readonly shim: string;
  readonly isNew: boolean;
  readonly eventTimeoutMs?: number;
}

export class DaemonHere implements Disposable {
  readonly daemon: StoreDaemon;
  readonly log: string[] = [];
  readonly loop = new Loop();
  readonly hypervisor: FileHypervisor;

  constructor({ arena, shim, isNew, eventTimeoutMs = EVENT_TIMEOUT_MS }: HereOptions) {
    this.hypervisor = new FileHypervisor(shim, undefined);
    this.daemon = new StoreDaemon({
      loop: this.loop,
      hypervisor: this.hypervisor,
      memory: arena,
      openStore: (where, host) =>
        isNew ? formatStore(where, host, STORE) : adoptStore(where, host),
      ownDomid: 0,
      eventTimeoutMs,
      control: () => ({ error: "EINVAL" }),
      log: (line) => void this.log.push(line),
      logging: () => undefined,
      logSwitches: () => undefined,
    });
    if (isNew) this.daemon.introduceOwn();
  }

  /** Lets the daemon do what there is to do. */
  async turns(waitMs = TURN_MS): Promise<void> {
    this.loop.after(waitMs, () => this.loop.stop());
    await this.loop.run();
  }

  /** A client that is connected to it. */
  connect(): PeerHere {
    const [near, far] = makeSocketPair("stream");
    this.daemon.accept(far);
    return new PeerHere(near);
  }

  [Symbol.dispose](): void {
    this.daemon.pause();
    for (const { socket } of this.daemon.parts().clients) socket?.[Symbol.dispose]();
    this.hypervisor[Symbol.dispose]();
    this.loop[Symbol.dispose]();
  }
}

export class PeerHere implements Disposable {
  private readonly fd: Fd;
  private readonly inbox = new Inbox();
  constructor(fd: Fd) {
    this.fd = fd;
  }

  send(bytes: Uint8Array): void {
    memory.bytes.set(bytes);
    const sent = sendNow(this.fd.number, memory.address, bytes.length);
    if (sent !== bytes.length) throw new Error(`Sent ${sent} of ${bytes.length} bytes`);
  }

  /** What has come. */
  messages(): Message[] {
    const all: Message[] = [];
    for (;;) {
      const got = receiveNow(this.fd.number, memory.address, memory.length);
      if (got <= 0) break;
      this.inbox.add(memory.bytes.slice(0, got));
    }
    for (let next = this.inbox.take(); next !== undefined; next = this.inbox.take()) all.push(next);
    return all;
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

export const request = (op: OpName, number: number, body: string): Uint8Array =>
  messageBytes({ type: OP[op], request: number, transaction: 0, body });

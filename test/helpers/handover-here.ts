// An old store daemon and a new one in the test's own process, and what went over between them so
// far: every step of a live update is in the test's hands, and the new one "dies" when it says so.

import { SystemError } from "../../lib/base/index.ts";
import { type Adoption, NO_REPORT, type Survivor } from "../../lib/handover/index.ts";
import { EVENT_TIMEOUT_MS, FileHypervisor, StoreDaemon } from "../../lib/store-daemon/index.ts";
import { storeHeir } from "../../lib/store-daemon/live-heir.ts";
import { type StoreSurvivor, storeSurvivor } from "../../lib/store-daemon/live-survivor.ts";
import type { MakeDaemon, Running } from "../../lib/store-daemon/running.ts";
import { createGrowingMemory, duplicate, type Fd, Loop } from "../../lib/sys/index.ts";
import { DaemonHere } from "./store-in-process.ts";
import { temporaryFolder } from "./temporary.ts";

const ARENA_BYTES = 256 * 1024;
const TURN_MS = 5;
const DIED = { kind: "kept", reason: "it died", report: NO_REPORT } as const;

/** By domain. */
interface Shortages {
  readonly unmapped: ReadonlySet<number>;
  readonly unbound: ReadonlySet<number>;
}

/** A kernel that has no memory for the rings of some domains, and no ports for some others. */
class ShortHypervisor extends FileHypervisor {
  private readonly unmapped: ReadonlySet<number>;
  private readonly unbound: ReadonlySet<number>;
  constructor(folder: string, events: Fd | undefined, { unmapped, unbound }: Shortages) {
    super(folder, events);
    [this.unmapped, this.unbound] = [unmapped, unbound];
  }
  override bind(domid: number) {
    return this.unbound.has(domid) ? refuseBind() : super.bind(domid);
  }
  override mapRing(domid: number) {
    if (!this.unmapped.has(domid)) return super.mapRing(domid);
    const failure = { call: "mmap", object: `the ring of domain ${domid}`, errno: 12 };
    throw new SystemError(`Cannot map the ring of domain ${domid}`, { ...failure, code: "ENOMEM" });
  }
}

/** As the kernel does where the other end of an event channel is not there. */
export function refuseBind(): never {
  const failure = { call: "ioctl", object: "a port", errno: 22, code: "EINVAL" };
  throw new SystemError("Cannot bind a port", failure);
}

export class HandoverHere implements Disposable {
  readonly first: DaemonHere;
  readonly shim: string;
  readonly survivor: StoreSurvivor;
  /** Of the old one. */
  readonly running: Running;
  readonly traffic = new Map<string, boolean>();
  /** Domains whose rings the new one cannot have. */
  readonly unmapped = new Set<number>();
  /** And whose ports it cannot bind. */
  readonly unbound = new Set<number>();
  private readonly stack = new DisposableStack();
  private readonly carried = new Map<string, Fd>();
  private readonly loop = this.stack.use(new Loop());
  private served: Running | undefined;
  private readonly heir = this.newHeir();

  constructor() {
    const { stack } = this;
    this.shim = stack.use(temporaryFolder()).path;
    const memory = stack.use(createGrowingMemory("first", ARENA_BYTES));
    this.first = stack.use(new DaemonHere({ arena: memory, shim: this.shim, isNew: true }));
    const { daemon, loop, hypervisor } = this.first;
    daemon.resume();
    const rest = { listeners: [], pidFile: undefined, asker: undefined };
    this.running = { loop, memory, hypervisor, daemon, ...rest };
    this.survivor = storeSurvivor({
      running: this.running,
      makeDaemon: daemonMaker(loop, this.first.log),
      leave: () => undefined,
    });
  }

  private newHeir() {
    return storeHeir({
      loop: this.loop,
      makeDaemon: daemonMaker(this.loop, []),
      openHypervisor: (events) => new ShortHypervisor(this.shim, events?.fd, this),
      pidFilePath: undefined,
      onServing: (running) => {
        this.served = running;
        running.daemon.resume();
        return this.survivor;
      },
    });
  }

  private take(all: ReturnType<Survivor["descriptors"]>): void {
    for (const { key, fd } of all) this.carried.set(key, duplicate(fd.number, key));
  }

  private adoption(difference: Uint8Array, gone: readonly string[]): Adoption {
    const touch = (key: string, isTouched: boolean): boolean => {
      this.traffic.set(key, isTouched);
      return true;
    };
    const rest = { touched: new Set<string>(), isLastResort: false };
    return { difference, gone, descriptors: this.carried, touch, ...rest };
  }

  standBy(): void {
    this.take(this.survivor.descriptors());
    this.heir.standBy!(this.adoption(this.survivor.standby!.roster(), []));
  }

  /** As it would come to the new one, so that a test can damage it. */
  changes() {
    this.survivor.pause();
    return this.survivor.standby!.changes();
  }

  /** The same for one that has not stood by: in place. */
  whole(): ReturnType<HandoverHere["changes"]> {
    this.survivor.pause();
    const difference = this.survivor.difference();
    return { difference, added: this.survivor.descriptors(), gone: [] };
  }

  /** Returns the digest of the new one, to be that of the old one. */
  adopt({ difference, added, gone }: ReturnType<HandoverHere["changes"]>): string {
    this.take(added);
    for (const key of gone) this.carried.delete(key);
    return this.heir.adopt(this.adoption(difference, gone));
  }

  /** The old one is gone from here on, as if its process were, or waits for the new one's end. */
  async serve(isGone = true): Promise<void> {
    if (isGone) this.first.daemon.letGo();
    this.heir.serve({ kind: "updated", report: NO_REPORT });
    this.stack.defer(() => {
      this.die();
      for (const fd of this.carried.values()) fd[Symbol.dispose]();
    });
    await this.turns();
  }

  /** The new one does nothing any more, as if its process had ended. */
  die(): void {
    this.served?.daemon.pause();
    this.served?.daemon.letGo();
    this.served = undefined;
  }

  /** An update that fails after the new one has served, and `meanwhile` came. */
  async fail(meanwhile: () => void): Promise<void> {
    this.standBy();
    this.adopt(this.changes());
    await this.serve(false);
    meanwhile();
    await this.turns();
    this.die();
    await this.goOn();
  }

  /** The old one goes on after that. */
  async goOn(): Promise<void> {
    this.survivor.adoptAgain(this.touched, DIED);
    await this.first.turns();
  }

  /** The keeper of an update in place does: what it has was handed to the new one as a whole. */
  async keep({ difference, gone }: ReturnType<HandoverHere["changes"]>): Promise<void> {
    const keeper = this.newHeir();
    const rest = { touched: this.touched, isLastResort: true };
    keeper.adopt({ ...this.adoption(difference, gone), ...rest });
    keeper.serve(DIED);
    await this.turns();
  }

  private get touched(): Set<string> {
    const touched = [...this.traffic].filter(([key, isTouched]) => key !== "" && isTouched);
    return new Set(touched.map(([key]) => key));
  }

  /** Of the new one; before it serves it sees that something comes by, and leaves it be. */
  async turns(): Promise<void> {
    this.loop.after(TURN_MS, () => this.loop.stop());
    await this.loop.run();
  }

  get problems(): string[] {
    return this.served?.daemon.store.check() ?? ["nobody serves"];
  }

  [Symbol.dispose](): void {
    this.stack[Symbol.dispose]();
  }
}

const daemonMaker =
  (loop: Loop, log: string[]): MakeDaemon =>
  ({ memory, hypervisor }, openStore) =>
    new StoreDaemon({
      loop,
      hypervisor,
      memory,
      openStore,
      ownDomid: 0,
      eventTimeoutMs: EVENT_TIMEOUT_MS,
      control: () => ({ error: "EINVAL" }),
      log: (line) => void log.push(line),
      logging: () => undefined,
      logSwitches: () => undefined,
    });

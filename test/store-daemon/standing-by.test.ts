// A store daemon that stands by for another one, in one process: whatever clients do between the
// list it was given and the pause, nothing is lost, twice or somebody else's.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { NO_REPORT, type Survivor } from "../../lib/handover/index.ts";
import { EVENT_TIMEOUT_MS, FileHypervisor, StoreDaemon } from "../../lib/store-daemon/index.ts";
import { storeHeir } from "../../lib/store-daemon/live-heir.ts";
import { storeSurvivor } from "../../lib/store-daemon/live-survivor.ts";
import type { Running } from "../../lib/store-daemon/running.ts";
import { createGrowingMemory, duplicate, type Fd, Loop } from "../../lib/sys/index.ts";
import { unitRandom } from "../helpers/pieces.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { DaemonHere, PeerHere, request } from "../helpers/store-in-process.ts";
import { OP } from "../helpers/store-wire.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUNDS = 20;
const CLIENTS = 12;
const STEPS = 30;

let stack: DisposableStack;
beforeEach(() => void (stack = new DisposableStack()));
afterEach(() => stack.dispose());

/** An old daemon and a new one, and what went over between them so far. */
class Handover {
  readonly first: DaemonHere;
  readonly shim = stack.use(temporaryFolder()).path;
  readonly traffic = new Map<string, boolean>();
  private readonly survivor: Survivor;
  private readonly carried = new Map<string, Fd>();
  private readonly loop = stack.use(new Loop());
  private served: Running | undefined;
  private readonly heir = storeHeir({
    loop: this.loop,
    makeDaemon: ({ memory, hypervisor }, openStore) =>
      new StoreDaemon({
        loop: this.loop,
        hypervisor,
        memory,
        openStore,
        ownDomid: 0,
        eventTimeoutMs: EVENT_TIMEOUT_MS,
        control: () => ({ error: "EINVAL" }),
        log: () => undefined,
        logging: () => undefined,
        logSwitches: () => undefined,
      }),
    openHypervisor: (events) => new FileHypervisor(this.shim, events?.fd),
    pidFilePath: undefined,
    onServing: (running) => {
      this.served = running;
      running.daemon.resume();
      return this.survivor;
    },
  });

  constructor() {
    const memory = stack.use(createGrowingMemory("first", 256 * 1024));
    this.first = stack.use(new DaemonHere({ arena: memory, shim: this.shim, isNew: true }));
    const { daemon, loop, hypervisor } = this.first;
    daemon.resume();
    const rest = { listeners: [], pidFile: undefined, asker: undefined };
    this.survivor = storeSurvivor({
      running: { loop, memory, hypervisor, daemon, ...rest },
      makeDaemon: () => {
        throw new Error("The old daemon does not come back here");
      },
      leave: () => undefined,
    });
  }

  private take(all: ReturnType<Survivor["descriptors"]>): void {
    for (const { key, fd } of all) this.carried.set(key, duplicate(fd.number, key));
  }

  private adoption(difference: Uint8Array, gone: readonly string[]) {
    const touch = (key: string, isTouched: boolean): boolean => {
      this.traffic.set(key, isTouched);
      return true;
    };
    return { difference, gone, descriptors: this.carried, touch, touched: new Set<string>() };
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

  adopt({ difference, added, gone }: ReturnType<Handover["changes"]>): void {
    this.take(added);
    for (const key of gone) this.carried.delete(key);
    expect(this.heir.adopt(this.adoption(difference, gone))).toBe(this.survivor.digest());
  }

  /** The old one is gone from here on, as if its process were. */
  async serve(): Promise<void> {
    this.first.daemon.letGo();
    this.heir.serve({ kind: "updated", report: NO_REPORT });
    stack.defer(() => {
      this.served?.daemon.pause();
      this.served?.daemon.letGo();
      for (const fd of this.carried.values()) fd[Symbol.dispose]();
    });
    await this.turns();
  }

  /** Of the new one; before it serves it sees that something comes by, and leaves it be. */
  async turns(): Promise<void> {
    this.loop.after(5, () => this.loop.stop());
    await this.loop.run();
  }

  get problems(): string[] {
    return this.served?.daemon.store.check() ?? ["nobody serves"];
  }
}

test("half a request, an answer nobody reads, one who goes, one who comes, a guest", async () => {
  const handover = new Handover();
  const { first, shim } = handover;
  const [idle, halved, leaver, reader, busy] = Array.from({ length: 5 }, () => first.connect());
  stack.use(idle!);
  reader!.send(request("WRITE", 1, `/big\0${"x".repeat(3000)}`));
  halved!.send(request("WATCH", 1, "/w\0token\0").subarray(0, 9));
  await first.turns();
  handover.standBy();
  // What was in part may not be so any more.
  halved!.send(request("WATCH", 1, "/w\0token\0").subarray(9));
  leaver![Symbol.dispose]();
  busy!.send(request("WRITE", 2, "/w\0before"));
  await first.turns();
  const comer = stack.use(first.connect());
  comer.send(request("TRANSACTION_START", 3, "\0"));
  for (let sent = 0; sent < 300; sent++) {
    reader!.send(request("READ", sent, "/big\0"));
    // oxlint-disable-next-line no-await-in-loop -- its requests must go in.
    if (sent % 50 === 0) await first.turns(1);
  }
  makeDomain(shim, 7);
  busy!.send(request("INTRODUCE", 4, "7\x001\x005\0"));
  busy!.send(request("WRITE", 5, "/w\0after").subarray(0, 20));
  await first.turns();
  const guest = stack.use(new StoreGuest(shim, 7));
  guest.put(request("GET_DOMAIN_PATH", 9, "7\0"));
  await handover.turns();
  handover.adopt(handover.changes());
  await handover.serve();
  busy!.send(request("WRITE", 5, "/w\0after").subarray(20));
  idle!.send(request("READ", 6, "/w\0"));
  await handover.turns();
  const requests = (peer: PeerHere) => peer.messages().map((message) => message.request);
  expect(requests(busy!)).toEqual([2, 4, 5]);
  expect(idle!.messages()).toMatchObject([{ request: 6, body: "after" }]);
  expect(halved!.messages().map(({ type }) => type)).toEqual([
    OP.WATCH,
    OP.WATCH_EVENT,
    OP.WATCH_EVENT,
    OP.WATCH_EVENT,
  ]);
  comer.send(request("READ", 7, "/w\0"));
  const got: number[] = [];
  for (let round = 0; round < 100 && got.length < 301; round++) {
    got.push(...requests(reader!));
    // oxlint-disable-next-line no-await-in-loop -- what is left comes as it reads.
    await handover.turns();
  }
  expect(got).toEqual([1, ...Array.from({ length: 300 }, (_, sent) => sent)]);
  expect(requests(comer)).toEqual([3, 7]);
  guest.drain();
  expect(guest.take()).toMatchObject({ request: 9, body: "/local/domain/7\0" });
  expect(handover.problems).toEqual([]);
  // Of the sockets all have had traffic but those that have gone.
  const touched = [...handover.traffic].filter(([key, isTouched]) => key !== "" && isTouched);
  expect(touched.length).toBe(5);
}, 20_000);

/** Asks, in pieces of any length, and knows what it is to be answered. */
class Asker {
  readonly peer: PeerHere;
  sent = 0;
  private waiting: Uint8Array = new Uint8Array(0);
  private readonly got: string[] = [];
  constructor(peer: PeerHere) {
    this.peer = peer;
  }

  ask(part: number): void {
    if (this.waiting.length === 0) this.waiting = request("READ", ++this.sent, "/tool\0");
    const length = Math.max(1, Math.floor(part * (this.waiting.length + 1)));
    this.peer.send(this.waiting.subarray(0, length));
    this.waiting = this.waiting.subarray(length);
  }

  finish(): void {
    while (this.waiting.length > 0) this.ask(1);
  }

  answers(): string[] {
    this.got.push(...this.peer.messages().map(({ request: id, body }) => `${id} ${body}`));
    return this.got;
  }

  get wanted(): string[] {
    return Array.from({ length: this.sent }, (_, index) => `${index + 1} `);
  }
}

test(`clients come, go and ask at any moment (SEED=${SEED})`, async () => {
  const random = unitRandom(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    const handover = new Handover();
    const { first } = handover;
    let askers = Array.from({ length: CLIENTS }, () => new Asker(first.connect()));
    const step = async (): Promise<void> => {
      const one = Math.floor(random() * askers.length);
      const what = random();
      if (what < 0.1) {
        askers[one]?.peer[Symbol.dispose]();
        askers = askers.toSpliced(one, 1);
      } else if (what < 0.2) askers.push(new Asker(first.connect()));
      else if (what < 0.4) await first.turns(1);
      else if (what < 0.5) await handover.turns();
      else askers[one]?.ask(random());
    };
    // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
    for (let done = 0; done < STEPS; done++) await step();
    handover.standBy();
    // oxlint-disable-next-line no-await-in-loop -- as above.
    for (let done = 0; done < STEPS * random(); done++) await step();
    handover.adopt(handover.changes());
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await handover.serve();
    for (const asker of askers) asker.finish();
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await handover.turns();
    for (const asker of askers) {
      expect(asker.answers()).toEqual(asker.wanted);
      asker.peer[Symbol.dispose]();
    }
    expect(handover.problems).toEqual([]);
  }
}, 60_000);

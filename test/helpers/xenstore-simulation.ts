// Many clients over the store and over the model, the same requests to both: after each of them
// every reply and event is compared, and the arena verified. The program may "die" in between: then
// the arena is adopted by a new store.

import { deepStrictEqual } from "node:assert";
import { assert } from "../../lib/base/index.ts";
import { HEADER_BYTES, OPERATION, QUOTAS } from "../../lib/xenstore/index.ts";
import { Model } from "./xenstore-model.ts";
import { ModelState } from "./xenstore-model-state.ts";
import { requestBytes, type TestOutbox, TestStore } from "./xenstore-core.ts";
import { GUESTS, pick, type Random, randomRequest } from "./xenstore-requests.ts";

const QUOTA_VALUES = {
  nodes: 14,
  watches: 6,
  transactions: 4,
  "transaction-nodes": 9,
  "node-permissions": 4,
  "node-size": 160,
} as const;
/** What is queued, as the model has it: "type text". */
function queueOf(outbox: TestOutbox): string[] {
  const bytes = Buffer.from(outbox.bytes.buffer, outbox.bytes.byteOffset, outbox.bytes.length);
  const queue: string[] = [];
  for (let at = outbox.start; at < outbox.end;) {
    const length = bytes.readUInt32LE(at + 12);
    const from = at + HEADER_BYTES;
    queue.push(`${bytes.readUInt32LE(at)} ${bytes.toString("latin1", from, from + length)}`);
    at = from + length;
  }
  return queue;
}

export class Simulation {
  readonly real: TestStore;
  readonly model: Model;
  /** What was done last: for the message when something differs. */
  readonly trail: string[] = [];
  private readonly random: Random;
  private readonly open = new Map<number, number[]>();
  private readonly guests = new Map<number, number>();

  constructor(random: Random) {
    this.random = random;
    this.real = new TestStore({ quotas: QUOTA_VALUES, seed: random(2 ** 31) });
    const { existing } = this.real.host;
    for (const domid of GUESTS) existing.add(domid);
    const quotas = {
      nodes: QUOTA_VALUES.nodes,
      watches: QUOTA_VALUES.watches,
      transactions: QUOTA_VALUES.transactions,
      transactionNodes: QUOTA_VALUES["transaction-nodes"],
      permissions: QUOTA_VALUES["node-permissions"],
      nodeBytes: QUOTA_VALUES["node-size"],
    };
    assert(QUOTAS.length === 10, "the model knows all quotas");
    this.model = new Model(new ModelState(quotas, (domid) => existing.has(domid)));
    for (let count = 0; count < 2; count++) this.connect();
    for (const domid of GUESTS.slice(0, 2)) this.introduce(domid);
    this.privileged("WRITE", "/local/domain/1/a\0x");
    this.privileged("SET_PERMS", "/local/domain/1\0n1\0r2\0");
    this.privileged("SET_PERMS", "/local\0r0\0");
  }

  private connect(): void {
    const number = this.real.socket();
    this.model.state.connect(number, 0, true);
    this.open.set(number, []);
  }

  private introduce(domid: number): void {
    const number = this.real.guest(domid);
    this.model.state.introduce(number, domid);
    this.open.set(number, []);
    this.guests.set(domid, number);
  }

  private privileged(operation: keyof typeof OPERATION, payload: string): void {
    const [number] = this.open.keys();
    this.request(number!, OPERATION[operation], payload, 0);
  }

  private request(number: number, type: number, payload: string, id: number): void {
    this.trail.push(`${number}: ${type} ${JSON.stringify(payload)} tx ${id}`);
    if (this.trail.length > 12) this.trail.shift();
    this.real.store.dispatch(number, requestBytes(type, payload, id, 1), 3);
    this.model.request(number, type, payload, id);
  }

  /** One thing that happens. */
  step(): void {
    const { random } = this;
    const kind = random(100);
    if (kind === 0) this.comeAndGo();
    else if (kind === 1) this.real.adopt();
    else if (kind === 2) while (this.real.store.tidy());
    else this.clientStep();
    this.compare();
  }

  private comeAndGo(): void {
    const { random } = this;
    const domid = pick(random, GUESTS);
    const number = this.guests.get(domid);
    if (number === undefined) {
      this.trail.push(`introduce ${domid}`);
      this.introduce(domid);
      return;
    }
    this.trail.push(`gone ${domid}`);
    this.real.store.domainGone(domid);
    this.model.gone(domid);
    this.guests.delete(domid);
    this.open.delete(number);
  }

  private clientStep(): void {
    const { random } = this;
    const number = pick(random, [...this.open.keys()]);
    const ids = this.open.get(number)!;
    const kind = random(12);
    if (kind === 0) {
      this.request(number, OPERATION.TRANSACTION_START, "\0", 0);
      const said = /^6 (\d+)\0$/.exec(this.model.state.clients.get(number)!.queue.at(-1)!);
      if (said !== null) ids.push(Number(said[1]));
      return;
    }
    const id = ids.length > 0 && random(3) > 0 ? pick(random, ids) : random(40) === 0 ? 77 : 0;
    if (kind === 1 && id !== 0) {
      this.request(number, OPERATION.TRANSACTION_END, pick(random, ["T\0", "T\0", "F\0"]), id);
      if (ids.includes(id)) ids.splice(ids.indexOf(id), 1);
      return;
    }
    const [type, payload] = randomRequest(random);
    this.request(number, type, payload, id);
    if (type === OPERATION.RESET_WATCHES && id === 0) ids.length = 0;
    if (
      type === OPERATION.RESET_WATCHES &&
      this.model.state.clients.get(number)!.transactions.size === 0
    ) {
      ids.length = 0;
    }
  }

  /** Everything that is queued is the same, and the arena is whole. */
  private compare(): void {
    const { host, store } = this.real;
    const trail = this.trail.join("\n");
    for (const [number, client] of this.model.state.clients) {
      const outbox = host.outboxOf(number);
      deepStrictEqual(queueOf(outbox), client.queue, `connection ${number} after:\n${trail}`);
      if (this.random(4) !== 0 && client.queue.length < 40) continue;
      client.queue.length = 0;
      outbox.start = 0;
      outbox.end = 0;
    }
    deepStrictEqual(store.check(), [], `after:\n${trail}`);
    assert(store.counts().nodes === this.model.state.nodes.size, "as many nodes as in the model");
  }
}

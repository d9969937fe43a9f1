// Clients that do things to a store, one at a time, the same things whenever the seed is the same.

import { OPERATION, type XenStore } from "../../lib/xenstore/index.ts";
import { requestBytes, type TestHost } from "./xenstore-core.ts";
import { GUESTS, pick, type Random, randomRequest } from "./xenstore-requests.ts";

export class Workload {
  private readonly store: XenStore;
  private readonly host: TestHost;
  private readonly random: Random;
  private readonly open = new Map<number, number[]>();
  private readonly guests = new Map<number, number>();

  constructor(store: XenStore, host: TestHost, random: Random) {
    this.store = store;
    this.host = host;
    this.random = random;
    for (const domid of GUESTS) host.existing.add(domid);
  }

  /** One operation of the store. */
  step(): void {
    const { random } = this;
    const kind = random(200);
    if (this.open.size < 2) this.open.set(this.store.connectSocket(7), []);
    else if (kind === 0 || this.guests.size === 0) this.comeAndGo();
    else if (kind === 1 && this.open.size < 8) this.open.set(this.store.connectSocket(8), []);
    else if (kind === 2) this.leave();
    else this.request();
    for (const number of this.open.keys()) this.host.drain(number);
  }

  private comeAndGo(): void {
    const domid = pick(this.random, GUESTS);
    const number = this.guests.get(domid);
    if (number === undefined) {
      const made = this.store.introduceFirst(domid, 1);
      this.guests.set(domid, made);
      this.open.set(made, []);
      return;
    }
    this.store.domainGone(domid);
    this.guests.delete(domid);
    this.open.delete(number);
  }

  private leave(): void {
    const sockets = [...this.open.keys()].filter((one) => ![...this.guests.values()].includes(one));
    if (sockets.length < 2) return this.request();
    const number = pick(this.random, sockets);
    this.store.disconnect(number);
    this.open.delete(number);
  }

  private request(): void {
    const { random } = this;
    const number = pick(random, [...this.open.keys()]);
    const ids = this.open.get(number)!;
    const id = ids.length > 0 && random(2) === 0 ? pick(random, ids) : 0;
    const kind = random(10);
    if (id !== 0 && kind < 2) {
      ids.splice(ids.indexOf(id), 1);
      this.send(number, OPERATION.TRANSACTION_END, kind === 0 ? "F\0" : "T\0", id);
      return;
    }
    if (kind === 2 && ids.length < 4) {
      const reply = this.send(number, OPERATION.TRANSACTION_START, "\0", 0);
      if (/^\d+\0$/.test(reply)) ids.push(Number(reply.slice(0, -1)));
      return;
    }
    const [type, payload] = randomRequest(random);
    this.send(number, type, payload, id);
    if (type === OPERATION.RESET_WATCHES) ids.length = 0;
  }

  private send(number: number, type: number, payload: string, id: number): string {
    this.store.dispatch(number, requestBytes(type, payload, id, 1), 3);
    const replies = this.host.drain(number).filter((one) => one.type !== OPERATION.WATCH_EVENT);
    return replies[0]?.text ?? "";
  }
}

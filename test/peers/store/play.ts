// Plays steps to one daemon, one after the other, and writes down what every actor was told.
//
// After each step two requests of a connection of our own go there and back: by then the daemon has
// looked at everything that was ready before, so that nothing is left to chance, and what the step
// caused has arrived. Actors read all that is there before the next step: the daemon merges equal
// events that nobody has read yet.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { domainExists, endDomain, makeDomain, markDomain } from "../../helpers/store-guest.ts";
import { raise, VIRQ_DOM_EXC } from "../../helpers/store-guest.ts";
import { StoreGuest } from "../../helpers/store-guest.ts";
import type { StoreDaemon } from "../../helpers/store-peers.ts";
import { StoreSocket } from "../../helpers/store-socket.ts";
import { describeMessage, type Message, messageBytes, OP } from "../../helpers/store-wire.ts";
import { type Asked, DOMIDS, type Step } from "./steps.ts";

/** A number that no daemon gives to a transaction here. */
const NEVER_OPENED = 77_777;
const QUOTAS = {
  nodes: 1000,
  watches: 128,
  transactions: 10,
  "node-size": 2048,
  "transaction-nodes": 1024,
  "node-permissions": 5,
  "path-max": 2048,
};

/** What one step told one actor. */
export interface Told {
  readonly step: number;
  readonly actor: string;
  readonly text: string;
}

type Actor = StoreSocket | StoreGuest;

export class Player implements Disposable {
  readonly told: Told[] = [];
  private readonly daemon: StoreDaemon;
  private readonly own: StoreSocket;
  private readonly sockets = new Map<string, StoreSocket>();
  private readonly guests = new Map<string, StoreGuest>();
  private readonly slots = new Map<string, number>();
  private step = -1;

  /** Brings the daemon to a known state. */
  constructor(daemon: StoreDaemon) {
    this.daemon = daemon;
    this.own = new StoreSocket(daemon.socket);
    this.reset();
  }

  play(steps: readonly Step[]): Told[] {
    for (const [index, step] of steps.entries()) {
      this.step = index;
      this.one(step);
      this.settle();
    }
    return this.told;
  }

  private one(step: Step): void {
    const { shim } = this.daemon;
    switch (step.kind) {
      case "ask":
        return this.ask(step);
      case "burst":
        return this.burst(step.actor, step.asks);
      case "overlong":
        return this.overlong(step.actor, step.length);
      case "close":
        this.sockets.get(step.actor)?.[Symbol.dispose]();
        this.forget(step.actor);
        return;
      case "make":
        if (!domainExists(shim, step.domid)) makeDomain(shim, step.domid);
        return;
      case "end":
        this.guests.get(`g${step.domid}`)?.[Symbol.dispose]();
        this.forget(`g${step.domid}`);
        return endDomain(shim, step.domid);
      case "mark":
        return this.mark(step.domid, step.state);
    }
  }

  /**
   * One at a time, and seen at once: of several that come to their end, who is first is open. Who
   * is dying is gone next.
   */
  private mark(domid: number, state: "shut" | "dying"): void {
    const { shim } = this.daemon;
    if (!domainExists(shim, domid) || !this.isIntroduced(domid)) return;
    markDomain(shim, domid, state);
    if (state === "shut") return;
    this.barrier();
    this.barrier();
    this.one({ kind: "end", domid });
  }

  private ask({ actor, op, slot, body }: Extract<Step, { kind: "ask" }>): void {
    const asking = this.actor(actor);
    if (asking === undefined) return this.tell(actor, "is not connected");
    const key = `${actor} ${Math.abs(slot)}`;
    const isStart = op === OP.TRANSACTION_START;
    const inside = isStart ? slot < 0 : slot !== 0;
    const id = inside ? (this.slots.get(key) ?? NEVER_OPENED) : 0;
    // Until 4.20 a permission of an earlier domain of that number counts again where no node was
    // written in between.
    if (op === OP.INTRODUCE) this.own.ask("WRITE", "/tool/xenstored\0", 0);
    const reply = asking.ask(op, body, id);
    this.flush(actor, asking);
    if (reply === undefined) return this.hungUp(actor);
    this.tell(actor, describe(reply));
    if (isStart && reply.type === op) this.slots.set(key, Number.parseInt(reply.body, 10));
    if (op === OP.TRANSACTION_END && reply.type !== OP.ERROR) this.slots.delete(key);
    if (reply.type === op) this.learn(op, body);
  }

  private burst(actor: string, asks: readonly Asked[]): void {
    const asking = this.actor(actor);
    if (asking === undefined) return this.tell(actor, "is not connected");
    const requests = asks.map(({ op, body }, index) =>
      messageBytes({ type: op, request: 1000 + index, transaction: 0, body }),
    );
    asking.sendBytes(new Uint8Array(Buffer.concat(requests)));
    for (const _ of asks) {
      const reply = asking.reply(0);
      this.flush(actor, asking);
      if (reply === undefined) return this.hungUp(actor);
      this.tell(actor, describe(reply));
    }
  }

  private overlong(actor: string, length: number): void {
    const asking = this.actor(actor);
    if (asking === undefined) return;
    const message = { type: OP.READ, request: 1, transaction: 0, body: "" };
    asking.sendBytes(messageBytes(message, length));
    const reply = asking.reply(1);
    this.flush(actor, asking);
    if (reply === undefined) return this.hungUp(actor);
    this.tell(actor, describe(reply));
  }

  /** What is resumed, or released, has not shut down any more. */
  private wakeUp(domid: number): void {
    rmSync(join(this.daemon.shim, `shut.${domid}`), { force: true });
  }

  /** An introduced guest is connected until it is released or its ring is given up. */
  private learn(op: number, body: string): void {
    const domid = Number.parseInt(body, 10);
    const name = `g${domid}`;
    if (!DOMIDS.some((known) => known === domid)) return;
    if (op === OP.RESUME || op === OP.RELEASE) this.wakeUp(domid);
    if (op !== OP.INTRODUCE || !domainExists(this.daemon.shim, domid)) return;
    if (!this.guests.has(name)) this.guests.set(name, new StoreGuest(this.daemon.shim, domid));
  }

  private actor(name: string): Actor | undefined {
    if (name.startsWith("g")) return this.guest(name);
    let found = this.sockets.get(name);
    if (found === undefined) {
      found = new StoreSocket(this.daemon.socket);
      this.sockets.set(name, found);
    }
    return found;
  }

  /** Domains go away in many ways: what counts is whether the daemon still has it. */
  private guest(name: string): StoreGuest | undefined {
    const guest = this.guests.get(name);
    if (guest === undefined) return undefined;
    if (this.isIntroduced(guest.domid)) return guest;
    guest[Symbol.dispose]();
    this.forget(name);
    return undefined;
  }

  private isIntroduced(domid: number): boolean {
    return this.own.ask("IS_DOMAIN_INTRODUCED", `${domid}\0`, 0)?.body === "T\0";
  }

  private hungUp(actor: string): void {
    this.tell(actor, "was hung up on");
    (this.sockets.get(actor) ?? this.guests.get(actor))?.[Symbol.dispose]();
    this.forget(actor);
  }

  private forget(actor: string): void {
    this.sockets.delete(actor);
    this.guests.delete(actor);
    for (const key of this.slots.keys()) if (key.startsWith(`${actor} `)) this.slots.delete(key);
  }

  /**
   * Lets the daemon finish with the step, and writes down the events that it caused. Until there
   * are none: in a turn of its loop the C daemon sends one message to a client, not all it has.
   */
  private settle(): void {
    for (let busy = true; busy;) {
      this.barrier();
      this.barrier();
      busy = false;
      for (const [name, guest] of this.guests) {
        busy = guest.drain() > 0 || busy;
        for (let found = guest.take(); found !== undefined; found = guest.take()) {
          guest.events.push(found);
        }
        this.flush(name, guest);
      }
      for (const [name, socket] of this.sockets) {
        for (let found = socket.receive(0); found !== undefined; found = socket.receive(0)) {
          socket.events.push(found);
          busy = true;
        }
        this.flush(name, socket);
        if (socket.isClosed) this.hungUp(name);
      }
    }
  }

  private barrier(): void {
    const reply = this.own.ask("READ", "/tool\0", 0);
    if (reply === undefined) throw new Error(`${this.daemon.name} hung up on a good client`);
  }

  private flush(actor: string, from: Actor): void {
    for (const event of from.events.splice(0)) this.tell(actor, describe(event));
  }

  private tell(actor: string, text: string): void {
    this.told.push({ step: this.step, actor, text });
  }

  /** No guests, no nodes, nothing in the root, the quotas and permissions of the beginning. */
  private reset(): void {
    const { shim } = this.daemon;
    for (const domid of DOMIDS) {
      for (const name of ["ring", "shut", "dying"]) {
        rmSync(join(shim, `${name}.${domid}`), { force: true });
      }
    }
    const ask = (op: keyof typeof OP, ...words: string[]): Message => {
      const reply = this.own.ask(op, words.map((word) => `${word}\0`).join(""), 0);
      if (reply === undefined) throw new Error(`${this.daemon.name} hung up during a reset`);
      return reply;
    };
    for (const domid of [4, ...DOMIDS.toReversed()]) ask("RELEASE", String(domid)); // Stubs first.
    // A domain may be known only because a permission names it: that it is not there is seen now.
    raise(shim, VIRQ_DOM_EXC);
    this.barrier();
    this.barrier();
    // In parts: names may be so long that all do not fit into one answer.
    for (let left = true; left;) {
      const [, ...names] = ask("DIRECTORY_PART", "/", "0").body.split("\0");
      const found = names.filter((text) => text !== "");
      for (const name of found) ask("RM", `/${name}`);
      left = found.length > 0;
    }
    ask("WRITE", "/");
    ask("MKDIR", "/tool/xenstored");
    for (const path of ["/", "@releaseDomain", "@introduceDomain"]) ask("SET_PERMS", path, "n0");
    for (const [name, most] of Object.entries(QUOTAS)) {
      ask("CONTROL", "quota", "set", name, String(most));
    }
    ask("CONTROL", "quota", "max", "-r");
  }

  [Symbol.dispose](): void {
    for (const actor of [...this.sockets.values(), ...this.guests.values()]) {
      actor[Symbol.dispose]();
    }
    this.barrier();
    this.barrier();
    this.own[Symbol.dispose]();
  }
}

/**
 * A directory's generation count depends on all that the daemon ever did. The most that a domain
 * ever used counts what only the C daemon has: a request in hand as outstanding, nodes of a
 * transaction that is still open, and the sizes of nodes that a transaction has only read. Memory
 * counts permissions of domains that have gone (see allowed.ts). What a quota means a daemon says
 * in its own words.
 */
function describe(message: Message): string {
  const { type, body } = message;
  if (type === OP.DIRECTORY_PART) {
    return describeMessage({ ...message, body: body.replace(/^\d+/, "GENERATION") });
  }
  if (type !== OP.CONTROL) return describeMessage(message);
  const isMaxima = body.startsWith("Max. seen");
  const lines = body.split("\n").map((line) => {
    const [, name = "", used, rest = ""] = /^([\w-]+) *: +(\d+)(.*)$/.exec(line) ?? [];
    if (used === undefined) return line;
    if (name === "memory") return name;
    const isMost = ["nodes", "outstanding", "node-size"].includes(name);
    if (isMaxima) return `${name} ${isMost ? "SEEN" : used}`;
    return `${name} ${used} ${rest.includes("(max") && !isMost ? rest : ""}`;
  });
  return describeMessage({ ...message, body: lines.join(" ") });
}

// Clients of a xenstore daemon that account for every reply and event: each writes its own node,
// watches it, and holds transactions open. Requests are sent in pieces. What is missing, comes
// twice, out of order or with another value is a mistake.

import { unitRandom } from "./pieces.ts";
import { Inbox, type Message, messageBytes, OP, type OpName, quoteBytes } from "./store-wire.ts";

type Socket = Awaited<ReturnType<typeof Bun.connect>>;

export interface StoreLoadClient {
  readonly name: string;
  requests: number;
  events: number;
  commits: number;
  mistakes: string[];
  isClosed: boolean;
}

const HOLD_MS = 300;

class Client {
  readonly facts: StoreLoadClient;
  private readonly path: string;
  private readonly random: () => number;
  private readonly inbox = new Inbox();
  private readonly waiting: ((message: Message | undefined) => void)[] = [];
  private readonly messages: Message[] = [];
  private socket: Socket | undefined;
  private request = 0;
  private value = 0;

  constructor(index: number, seed: number) {
    this.path = `/load/${index}`;
    this.random = unitRandom(seed * 1000 + index);
    const name = `client ${index}`;
    this.facts = { name, requests: 0, events: 0, commits: 0, mistakes: [], isClosed: false };
  }

  async connect(socket: string): Promise<void> {
    const handlers = {
      data: (_: Socket, bytes: Buffer) => this.received(bytes),
      close: () => this.closed(),
      error: () => this.closed(),
    };
    for (let left = 200; this.socket === undefined; left--) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one attempt after the other.
        this.socket = await Bun.connect({ unix: socket, socket: handlers });
      } catch (error) {
        if (left === 0) throw error;
        // oxlint-disable-next-line no-await-in-loop -- as above: its backlog was full.
        await Bun.sleep(10);
      }
    }
  }

  /** Until `isStopping`, or something is wrong. */
  async run(isStopping: () => boolean): Promise<void> {
    await this.expectOk("WRITE", `${this.path}\0${this.value}`, 0);
    await this.expectOk("WATCH", `${this.path}\0token\0`, 0);
    await this.expectEvent();
    while (!isStopping() && !this.facts.isClosed && this.facts.mistakes.length === 0) {
      // oxlint-disable-next-line no-await-in-loop -- one operation after the other is the point.
      await (this.random() < 0.7 ? this.writeOnce() : this.commitOnce());
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await this.readBack();
    }
    this.isOver = true;
    this.socket?.end();
  }
  private isOver = false;

  private async writeOnce(): Promise<void> {
    await this.expectOk("WRITE", `${this.path}\0${++this.value}`, 0);
    await this.expectEvent();
  }

  /** A transaction that is open for a while, over an update perhaps. */
  private async commitOnce(): Promise<void> {
    const started = await this.ask("TRANSACTION_START", "\0", 0);
    const transaction = Number.parseInt(started?.body ?? "", 10);
    await this.expectOk("WRITE", `${this.path}\0${++this.value}`, transaction);
    await Bun.sleep(this.random() * HOLD_MS);
    await this.expectOk("TRANSACTION_END", "T\0", transaction);
    await this.expectEvent();
    this.facts.commits++;
  }

  private async readBack(): Promise<void> {
    const reply = await this.ask("READ", `${this.path}\0`, 0);
    if (reply !== undefined && reply.body !== String(this.value)) {
      this.wrong(`${this.path} is ${quoteBytes(reply.body)}, wanted ${this.value}`);
    }
  }

  private async expectOk(op: OpName, body: string, transaction: number): Promise<void> {
    const reply = await this.ask(op, body, transaction);
    if (reply === undefined || reply.body === "OK\0") return;
    this.wrong(`${op} in transaction ${transaction} is answered ${quoteBytes(reply.body)}`);
  }

  private async expectEvent(): Promise<void> {
    const message = await this.next();
    if (message === undefined) return;
    this.facts.events++;
    const isRight = message.type === OP.WATCH_EVENT && message.body === `${this.path}\0token\0`;
    if (!isRight) this.wrong(`instead of an event comes ${quoteBytes(message.body)}`);
  }

  private async ask(op: OpName, body: string, transaction: number): Promise<Message | undefined> {
    const request = ++this.request;
    this.facts.requests++;
    const bytes = messageBytes({ type: OP[op], request, transaction, body });
    const cut = Math.floor(this.random() * bytes.length);
    this.socket?.write(bytes.subarray(0, cut));
    if (cut > 0) await Bun.sleep(this.random() * 2);
    this.socket?.write(bytes.subarray(cut));
    const reply = await this.reply();
    if (reply !== undefined && reply.request !== request) {
      this.wrong(`request ${request} is answered by the reply to ${reply.request}`);
    }
    return reply;
  }

  /** The event of a write is queued in front of its reply: it is looked at afterwards. */
  private async reply(): Promise<Message | undefined> {
    const message = await this.next();
    if (message?.type !== OP.WATCH_EVENT) return message;
    const reply = await this.next();
    this.messages.unshift(message);
    return reply;
  }

  private next(): Promise<Message | undefined> {
    const message = this.messages.shift();
    if (message !== undefined || this.facts.isClosed) return Promise.resolve(message);
    return new Promise((resolve) => void this.waiting.push(resolve));
  }

  private received(bytes: Buffer): void {
    this.inbox.add(bytes);
    for (let message = this.inbox.take(); message !== undefined; message = this.inbox.take()) {
      const waiting = this.waiting.shift();
      if (waiting === undefined) this.messages.push(message);
      else waiting(message);
    }
  }

  private closed(): void {
    if (!this.isOver) this.facts.isClosed = true;
    for (const waiting of this.waiting.splice(0)) waiting(undefined);
  }

  /** What came that nobody asked for. */
  finish(): void {
    for (const { body } of this.messages) this.wrong(`too much: ${quoteBytes(body)}`);
  }

  private wrong(what: string): void {
    this.facts.mistakes.push(`${this.facts.name}: ${what}`);
  }
}

export class StoreLoad {
  private readonly clients: Client[] = [];
  private readonly runs: Promise<void>[] = [];
  private isStopping = false;

  static async start(socket: string, count: number, seed: number): Promise<StoreLoad> {
    const load = new StoreLoad();
    for (let index = 0; index < count; index++) {
      const client = new Client(index, seed);
      // oxlint-disable-next-line no-await-in-loop -- one after the other: the backlog is short.
      await client.connect(socket);
      load.clients.push(client);
      load.runs.push(client.run(() => load.isStopping));
    }
    return load;
  }

  /** Ends all of them; throws when one still waits for something after that time. */
  async stop(waitMs: number): Promise<void> {
    this.isStopping = true;
    const late = Bun.sleep(waitMs).then(() => "late");
    const done = Promise.all(this.runs).then(() => "done");
    if ((await Promise.race([late, done])) === "late") {
      this.lateMistakes.push("a reply or an event is missing");
    }
    for (const client of this.clients) client.finish();
  }
  private readonly lateMistakes: string[] = [];

  get commits(): number {
    return this.clients.reduce((sum, { facts }) => sum + facts.commits, 0);
  }

  get closed(): number {
    return this.clients.filter(({ facts }) => facts.isClosed).length;
  }

  get mistakes(): string[] {
    return [...this.lateMistakes, ...this.clients.flatMap(({ facts }) => facts.mistakes)];
  }
}

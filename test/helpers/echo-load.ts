// Clients of the echo server that account for every reply: each counts its own requests, and a
// reply that is missing, comes twice, out of order or with other bytes is a mistake. Requests are
// sent in pieces, so that there is always one half read; some clients read late, so that replies
// wait.

import { unitRandom } from "./pieces.ts";

type Socket = Awaited<ReturnType<typeof Bun.connect>>;
type SocketHandlers = Parameters<typeof Bun.connect>[0]["socket"];

const PIECES_MAX = 3;
const PAYLOAD_BYTES_MAX = 2000;
const LATE_EVERY = 4;
const LATE_BURST = 200;

export interface EchoClient {
  readonly name: string;
  /** Requests sent, replies checked. */
  sent: number;
  answered: number;
  /** What was wrong. */
  mistakes: string[];
  isClosed: boolean;
  longestMs: number;
}

interface Running {
  readonly client: EchoClient;
  readonly random: () => number;
  readonly isLate: boolean;
  socket: Socket | undefined;
  input: Buffer;
  expected: Buffer[];
  sentAtMs: number;
}

export class EchoLoad {
  readonly clients: EchoClient[] = [];
  private readonly running: Running[] = [];
  private isStopping = false;
  private isOver = false;

  /** Connects `count` clients, which ask without rest until stop(). */
  static async start(path: string, count: number, seed: number): Promise<EchoLoad> {
    const load = new EchoLoad();
    for (let index = 0; index < count; index++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other: the backlog is short.
      await load.connect(path, index, seed);
    }
    return load;
  }

  private async connect(path: string, index: number, seed: number): Promise<void> {
    const name = `client ${index}`;
    const client: EchoClient = {
      name,
      sent: 0,
      answered: 0,
      mistakes: [],
      isClosed: false,
      longestMs: 0,
    };
    const run: Running = {
      client,
      random: unitRandom(seed * 1000 + index),
      isLate: index % LATE_EVERY === LATE_EVERY - 1,
      socket: undefined,
      input: Buffer.alloc(0),
      expected: [],
      sentAtMs: 0,
    };
    const handlers = {
      data: (_: Socket, bytes: Buffer) => this.received(run, bytes),
      close: () => void (client.isClosed ||= !this.isOver),
      error: () => void (client.isClosed ||= !this.isOver),
      end: (socket: Socket) => void socket.end(),
    };
    run.socket = await connected(path, handlers);
    this.clients.push(client);
    this.running.push(run);
    this.ask(run);
  }

  /** The next requests: one in pieces, or a burst whose replies nobody reads for a while. */
  private ask(run: Running): void {
    if (this.isStopping || run.client.isClosed) return;
    const isBurst = run.isLate && run.random() < 0.05;
    const count = isBurst ? LATE_BURST : 1;
    const requests = Array.from({ length: count }, () => this.request(run));
    const whole = Buffer.concat(requests);
    run.sentAtMs = performance.now();
    if (isBurst) {
      run.socket?.pause();
      setTimeout(() => run.socket?.resume(), 20);
      return void write(run.socket, whole);
    }
    const pieces = 1 + Math.floor(run.random() * PIECES_MAX);
    const step = Math.ceil(whole.length / pieces);
    const send = (at: number): void => {
      if (run.client.isClosed || at >= whole.length) return;
      void write(run.socket, whole.subarray(at, at + step));
      if (at + step < whole.length) setTimeout(() => send(at + step), run.random() * 3);
    };
    send(0);
  }

  private request({ client, random, expected }: Running): Buffer {
    client.sent++;
    const payload = Buffer.alloc(Math.floor(random() * PAYLOAD_BYTES_MAX), client.sent % 251);
    const reply = Buffer.alloc(8 + payload.length);
    reply.writeUInt32LE(payload.length + 4, 0);
    reply.writeUInt32LE(client.sent, 4);
    payload.copy(reply, 8);
    expected.push(reply);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(payload.length, 0);
    return Buffer.concat([head, payload]);
  }

  private received(run: Running, bytes: Buffer): void {
    const { client, expected } = run;
    run.input = Buffer.concat([run.input, bytes]);
    for (;;) {
      const { input } = run;
      if (input.length < 4 || input.length < 4 + input.readUInt32LE(0)) break;
      const reply = input.subarray(0, 4 + input.readUInt32LE(0));
      const wanted = expected.shift();
      client.answered++;
      if (wanted === undefined || !wanted.equals(reply)) {
        client.mistakes.push(`reply ${client.answered} is not what was asked for`);
      }
      run.input = input.subarray(reply.length);
    }
    if (expected.length > 0) return;
    client.longestMs = Math.max(client.longestMs, performance.now() - run.sentAtMs);
    setTimeout(() => this.ask(run), run.random() * 4);
  }

  /** Sends no more, waits for the replies that are due, and closes. */
  async stop(waitMs: number): Promise<void> {
    this.isStopping = true;
    const untilMs = performance.now() + waitMs;
    const isDone = ({ client }: Running): boolean =>
      client.isClosed || client.answered === client.sent;
    while (performance.now() < untilMs && !this.running.every(isDone)) await Bun.sleep(5);
    this.isOver = true;
    for (const { socket } of this.running) socket?.end();
  }

  get answered(): number {
    return this.clients.reduce((sum, { answered }) => sum + answered, 0);
  }

  /** What was wrong with any of them; empty when all went well. */
  mistakes(options: { readonly mayClose: boolean }): string[] {
    return this.clients.flatMap(({ name, sent, answered, mistakes, isClosed }) => {
      const lost = answered < sent && !isClosed ? [`${sent - answered} replies are missing`] : [];
      const closed = isClosed && !options.mayClose ? ["the connection was closed"] : [];
      return [...mistakes, ...lost, ...closed].map((what) => `${name}: ${what}`);
    });
  }
}

/** A listener whose backlog is full refuses: it has not come to us yet. */
async function connected(path: string, handlers: SocketHandlers): Promise<Socket> {
  for (let left = 200; ; left--) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one attempt after the other.
      return await Bun.connect({ unix: path, socket: handlers });
    } catch (error) {
      if (left === 0) throw error;
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await Bun.sleep(10);
    }
  }
}

const waiting = new WeakMap<Socket, Promise<void>>();

/** All of it, behind what still waits to be written. */
async function write(socket: Socket | undefined, bytes: Buffer): Promise<void> {
  if (socket === undefined) return;
  const before = waiting.get(socket) ?? Promise.resolve();
  const put = async (): Promise<void> => {
    await before;
    for (let at = 0; at < bytes.length;) {
      const wrote = socket.write(bytes.subarray(at));
      if (wrote < 0) return;
      at += wrote;
      if (at < bytes.length) await Bun.sleep(1);
    }
  };
  const done = put();
  waiting.set(socket, done);
  await done;
}

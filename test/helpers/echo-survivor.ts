// A small program that can be replaced: an echo server that counts. Its counters stand in shared
// memory, as a store's nodes do; what a connection has half read and not yet sent is in the
// difference.
//
//   request   u32 length, payload            reply   u32 length, u32 count, payload
//
// The count is the connection's own, from 1: a request that is lost or answered twice shows.

import { writeSync } from "node:fs";
import { RefusedError, SystemError } from "../../lib/base/index.ts";
import type {
  Adoption,
  CarriedDescriptor,
  ProbeTalk,
  Survivor,
  Touch,
} from "../../lib/handover/index.ts";
import {
  acceptUnix,
  createMemfd,
  Fd,
  type Loop,
  mapShared,
  READY_MASK,
  receiveDescriptors,
  resizeFile,
  sendDescriptors,
  type SharedMemory,
  shutdownConnection,
} from "../../lib/sys/index.ts";

export const ECHO_STATE_VERSION = 1;
const ARENA_BYTES = 64 * 1024;
const TOTAL_AT = 1;
const FIRST_SLOT = 16;

interface Connection {
  readonly key: string;
  readonly fd: Fd;
  readonly slot: number;
  input: Buffer;
  output: Buffer;
  /** The holder's own, during a handover: its count begins anew and is not kept. */
  readonly isProbe: boolean;
}

interface Difference {
  readonly next_key: number;
  readonly connections: readonly {
    readonly key: string;
    readonly slot: number;
    readonly input: string;
    readonly output: string;
  }[];
}

/** The server, its connections and its memory. */
export class Echo {
  readonly loop: Loop;
  readonly arenaFile: Fd;
  private readonly arena: SharedMemory;
  readonly listener: Fd;
  readonly control: Fd;
  private readonly connections = new Map<string, Connection>();
  /** Who asked for an update and waits for the end of it. */
  asker: Fd | undefined;
  onOrder: (order: string, asker: Fd) => void = () => undefined;
  touch: Touch = () => false;
  onServed: (() => void) | undefined;
  private nextKey = 1;
  probeAnswer: (reply: Buffer) => Buffer = (reply) => reply;

  constructor(loop: Loop, fds: { arena: Fd; listener: Fd; control: Fd }) {
    this.loop = loop;
    this.arenaFile = fds.arena;
    this.arena = mapShared(fds.arena, "write");
    this.listener = fds.listener;
    this.control = fds.control;
  }

  static newArena(): Fd {
    const file = createMemfd("echo-arena");
    resizeFile(file, ARENA_BYTES);
    return file;
  }

  // ---- Serving --------------------------------------------------------------------------------

  startServing(): void {
    this.loop.watch(this.listener, READY_MASK.readable, () => this.accept());
    this.loop.watch(this.control, READY_MASK.readable, () => this.acceptControl());
    for (const connection of this.connections.values()) this.watch(connection);
  }

  stopServing(): void {
    this.loop.forget(this.listener);
    this.loop.forget(this.control);
    for (const { fd } of this.connections.values()) this.loop.forget(fd);
  }

  private watch(connection: Connection): void {
    this.loop.watch(connection.fd, this.mask(connection), (mask) => this.ready(connection, mask));
  }

  private mask({ output }: Connection): number {
    return output.length > 0 ? READY_MASK.readable | READY_MASK.writable : READY_MASK.readable;
  }

  private accept(): void {
    this.touch("listener", true);
    for (let fd = acceptUnix(this.listener); fd !== undefined; fd = acceptUnix(this.listener)) {
      this.addConnection(fd, false);
    }
  }

  addConnection(fd: Fd, isProbe: boolean): void {
    const key = `c${this.nextKey++}`;
    const slot = isProbe ? ARENA_BYTES / 4 - 1 : this.freeSlot();
    this.arena.words[slot] = 0;
    const none = Buffer.alloc(0);
    const connection = { key, fd, slot, input: none, output: none, isProbe };
    this.connections.set(key, connection);
    this.watch(connection);
  }

  private freeSlot(): number {
    const taken = new Set([...this.connections.values()].map(({ slot }) => slot));
    for (let slot = FIRST_SLOT; ; slot++) if (!taken.has(slot)) return slot;
  }

  private ready(connection: Connection, mask: number): void {
    this.touch(connection.key, true);
    try {
      if ((mask & READY_MASK.writable) !== 0) this.flush(connection);
      if ((mask & ~READY_MASK.writable) !== 0) this.read(connection);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.drop(connection);
    }
  }

  private read(connection: Connection): void {
    const got = receiveDescriptors(connection.fd, 16 * 1024);
    if (got === undefined) return;
    if (got.bytes.length === 0) return this.drop(connection);
    connection.input = Buffer.concat([connection.input, got.bytes]);
    for (;;) {
      const { input } = connection;
      if (input.length < 4 || input.length < 4 + input.readUInt32LE(0)) break;
      const payload = input.subarray(4, 4 + input.readUInt32LE(0));
      this.answer(connection, payload);
      connection.input = input.subarray(4 + payload.length);
    }
    this.flush(connection);
    this.onServed?.();
    this.onServed = undefined;
  }

  private answer(connection: Connection, payload: Buffer): void {
    const count = Atomics.add(this.arena.words, connection.slot, 1) + 1;
    if (!connection.isProbe) Atomics.add(this.arena.words, TOTAL_AT, 1);
    const head = Buffer.alloc(8);
    head.writeUInt32LE(payload.length + 4, 0);
    head.writeUInt32LE(count, 4);
    const reply = Buffer.concat([head, payload]);
    const told = connection.isProbe ? this.probeAnswer(reply) : reply;
    connection.output = Buffer.concat([connection.output, told]);
  }

  private flush(connection: Connection): void {
    while (connection.output.length > 0) {
      const part = connection.output.subarray(0, 32 * 1024);
      const sent = sendDescriptors(connection.fd, part, []);
      connection.output = connection.output.subarray(sent);
      if (sent === 0) break;
    }
    this.loop.change(connection.fd, this.mask(connection));
  }

  private drop(connection: Connection): void {
    this.loop.forget(connection.fd);
    this.forgetConnection(connection);
  }

  private forgetConnection({ key, fd }: Connection): void {
    this.connections.delete(key);
    shutdownConnection(fd);
    fd[Symbol.dispose]();
  }

  private acceptControl(): void {
    const asker = acceptUnix(this.control);
    if (asker === undefined) return;
    this.loop.watch(asker, READY_MASK.readable, () => {
      const order = receiveDescriptors(asker, 16 * 1024);
      if (order === undefined) return;
      this.loop.forget(asker);
      this.onOrder(Buffer.from(order.bytes).toString(), asker);
    });
  }

  // ---- State ----------------------------------------------------------------------------------

  get total(): number {
    return this.arena.words[TOTAL_AT]!;
  }

  get connectionCount(): number {
    return this.real().length;
  }

  /** Without the probe. */
  private real(): Connection[] {
    return [...this.connections.values()].filter(({ isProbe }) => !isProbe);
  }

  digest(): string {
    const counts = this.real().map(({ slot }) => this.arena.words[slot]!);
    return `${this.total} ${counts.length} ${counts.reduce((sum, count) => sum + count, 0)}`;
  }

  descriptors(): CarriedDescriptor[] {
    return [
      { key: "arena", fd: this.arenaFile },
      { key: "listener", fd: this.listener },
      { key: "control", fd: this.control },
      ...(this.asker === undefined ? [] : [{ key: `asker${this.asker.number}`, fd: this.asker }]),
      ...this.real(),
    ];
  }

  difference(): Buffer {
    const told: Difference = {
      next_key: this.nextKey,
      connections: this.real().map(({ key, slot, input, output }) => ({
        key,
        slot,
        input: input.toString("base64"),
        output: output.toString("base64"),
      })),
    };
    return Buffer.from(JSON.stringify(told));
  }

  adoptConnections({ difference, descriptors, touched }: Adoption): void {
    const told = JSON.parse(Buffer.from(difference).toString()) as Difference;
    this.nextKey = told.next_key;
    for (const { key, slot, input, output } of told.connections) {
      const fd = descriptors.get(key);
      if (fd === undefined) throw new RefusedError(`Cannot adopt "${key}": no descriptor`);
      const connection: Connection = {
        key,
        fd,
        slot,
        input: Buffer.from(input, "base64"),
        output: Buffer.from(output, "base64"),
        isProbe: false,
      };
      this.connections.set(key, connection);
      if (touched.has(key)) this.forgetConnection(connection);
    }
  }

  dropTouched(touched: ReadonlySet<string>): void {
    for (const connection of [...this.connections.values()]) {
      if (touched.has(connection.key)) this.forgetConnection(connection);
    }
  }

  tellAsker(outcome: unknown): void {
    const { asker } = this;
    this.asker = undefined;
    if (asker !== undefined) this.tellAskerOn(asker, outcome);
  }

  tellAskerOn(asker: Fd, outcome: unknown): void {
    try {
      sendDescriptors(asker, Buffer.from(JSON.stringify(outcome)), []);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // It has gone.
    }
    shutdownConnection(asker);
    asker[Symbol.dispose]();
  }
}

/** The first request of a connection, and its only right answer. */
export function echoProbe(): ProbeTalk {
  const payload = Buffer.from("probe");
  const opening = Buffer.alloc(9);
  opening.writeUInt32LE(5, 0);
  payload.copy(opening, 4);
  const wanted = Buffer.alloc(13);
  wanted.writeUInt32LE(9, 0);
  wanted.writeUInt32LE(1, 4);
  payload.copy(wanted, 8);
  return {
    opening,
    next(answer) {
      if (answer.length < wanted.length) return { kind: "more" };
      if (wanted.equals(answer)) return { kind: "right" };
      throw new RefusedError(`found ${Buffer.from(answer).toString("hex")}`);
    },
  };
}

/** The server as something that can be replaced. */
export function echoSurvivor(echo: Echo): Survivor {
  return {
    kind: "echo",
    stateVersion: ECHO_STATE_VERSION,
    settings: "",
    obstacles: () => [],
    counts: () => ({ connections: echo.connectionCount, requests: echo.total }),
    snapshot() {
      const file = createMemfd("echo-copy");
      const digest = echo.digest();
      sendToFile(file, digest);
      return { file, digest, advance: () => true, [Symbol.dispose]: () => file[Symbol.dispose]() };
    },
    descriptors: () => echo.descriptors(),
    pause: () => echo.stopServing(),
    resume(outcome) {
      echo.startServing();
      echo.tellAsker(outcome);
    },
    difference: () => echo.difference(),
    digest: () => echo.digest(),
    probe: echoProbe,
    adoptAgain(touched, outcome) {
      echo.dropTouched(touched);
      echo.startServing();
      echo.tellAsker(outcome);
    },
    leave: () => echo.loop.stop(),
  };
}

const sendToFile = (file: Fd, text: string): void => void writeSync(file.number, text);

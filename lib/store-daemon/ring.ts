// The page that a domain shares with us: a ring of requests, a ring of answers
// (docs/misc/xenstore-ring.txt and xen/include/public/io/xs_wire.h of Xen).
//
//   +0     1024 bytes of requests      +2064  server features u32, ours to write
//   +1024  1024 bytes of answers       +2068  connection u32: 0 connected, 1 the guest wants anew
//   +2048  requests consumed u32       +2072  error u32, ours to write: why we no longer listen
//   +2052  requests produced u32       +2076  event channel u32, for domains without a toolstack
//   +2056  answers consumed u32
//   +2060  answers produced u32
//
// The counters run on modulo 2^32; a byte's place is its number modulo 1024. The other side may
// write anything there at any moment, so each counter is read once, checked, and only then used;
// whatever it says, only these 4096 bytes are touched.
//
// Requests stay on the ring until they are answered: a program that is killed leaves them there for
// the next one. Only those that fill the ring are given up before, for the guest has to go on.
//
// Guests raise an event only for requests that come to a ring that they see empty (Linux: xb_write
// in drivers/xen/xenbus/xenbus_comms.c, which puts a request there in two parts). So whoever lets
// requests stand, looks for more by himself: after release(), and while isHolding.

import type { SharedMemory } from "../sys/index.ts";
import { copyMemory } from "../sys/index.ts";
import { hasMoved, type RingNow, type RingPlace, type RingRest } from "./ring-place.ts";

/** Of each of the two. */
export const RING_BYTES = 1024;
const ANSWERS_AT = 1024;

/** Places of the words, by 4 bytes. */
const WORD = {
  requestsConsumed: 2048 / 4,
  requestsProduced: 2052 / 4,
  answersConsumed: 2056 / 4,
  answersProduced: 2060 / 4,
  features: 2064 / 4,
  connection: 2068 / 4,
  error: 2072 / 4,
  eventChannel: 2076 / 4,
} as const;

export const RING_FEATURE_MASK = { reconnection: 1, error: 2, watchDepth: 4, domidAny: 8 } as const;

/** What the error word says. */
export const RING_ERROR = {
  none: 0,
  /** The event channel or the page cannot be used. */
  communication: 1,
  /** The counters are more than a ring apart. */
  indices: 2,
  /** A message that is none. */
  protocol: 3,
} as const;

const CONNECTED = 0;
const RECONNECT = 1;
const WIPED = 0xff;

/** Nothing is there, or nothing fits. */
export const RING_WAIT = -1;
/** The counters are impossible. */
export const RING_BROKEN = -2;

/** One domain's page; the page is disposed of by its owner. */
export class Ring {
  readonly page: SharedMemory;
  /** The other side has something to see: tell it before the turn ends. */
  hasNews = false;
  /** Bytes of requests that were received, and stand on the ring still. */
  private taken = 0;
  /** Where it goes on is not known: it is as good as broken. */
  private isLost = false;
  /** The counters when this program was paused: another one may have moved them since. */
  private paused: RingNow | undefined;

  constructor(page: SharedMemory) {
    this.page = page;
  }

  /** Takes up to `bytesMax` bytes of requests. Returns how many, RING_WAIT or RING_BROKEN. */
  receive(address: number, bytesMax: number): number {
    const { words } = this.page;
    const consumed = Atomics.load(words, WORD.requestsConsumed);
    const produced = Atomics.load(words, WORD.requestsProduced);
    const waiting = (produced - consumed) >>> 0;
    if (waiting > RING_BYTES || waiting < this.taken || this.isLost) return RING_BROKEN;
    const bytes = Math.min(waiting - this.taken, bytesMax);
    if (bytes === 0) return RING_WAIT;
    const at = (consumed + this.taken) & (RING_BYTES - 1);
    const first = Math.min(bytes, RING_BYTES - at);
    copyMemory(address, this.page.address + at, first);
    if (bytes > first) copyMemory(address + first, this.page.address, bytes - first);
    this.taken += bytes;
    if (waiting === RING_BYTES) this.release(0);
    return bytes;
  }

  /** Where the counters stand once `answerBytes` are produced, and all but `kept` released. */
  answersEnd(answerBytes: number): number {
    return (Atomics.load(this.page.words, WORD.answersProduced) + answerBytes) | 0;
  }
  requestsEnd(kept: number): number {
    return (Atomics.load(this.page.words, WORD.requestsConsumed) + this.taken - kept) | 0;
  }

  /** Releases what a program that was killed has answered, from what it had written down. */
  settle(answersEnd: number, requestsEnd: number): void {
    const { words } = this.page;
    if (Atomics.load(words, WORD.answersProduced) !== answersEnd) return;
    const consumed = Atomics.load(words, WORD.requestsConsumed);
    const waiting = (Atomics.load(words, WORD.requestsProduced) - consumed) >>> 0;
    const answered = (requestsEnd - consumed) >>> 0;
    if (answered <= waiting) Atomics.store(words, WORD.requestsConsumed, requestsEnd);
  }

  /** The counters are noted: place() tells them, whatever becomes of them. */
  pause(): void {
    this.paused = this.now;
  }
  resume(): void {
    this.paused = undefined;
  }
  /** Somebody else has served it since. */
  get hasMoved(): boolean {
    return this.paused !== undefined && hasMoved(this.paused, this.now);
  }

  /** For another program, the last `kept` bytes that were received not having been carried out. */
  place(kept: number): RingPlace {
    const { consumed, answersProduced } = this.paused ?? this.now;
    return { consumed, answersProduced, taken: Math.max(0, this.taken - kept) };
  }
  /** How many of the last `kept` bytes that were received stand on the ring. */
  standing(kept: number): number {
    return Math.min(this.taken, kept);
  }

  get now(): RingNow {
    const { words } = this.page;
    const consumed = Atomics.load(words, WORD.requestsConsumed) >>> 0;
    const waiting = (Atomics.load(words, WORD.requestsProduced) - consumed) >>> 0;
    const answersProduced = Atomics.load(words, WORD.answersProduced) >>> 0;
    return { consumed, answersProduced, waiting };
  }

  /** As another program has left it. */
  goOn(rest: RingRest | undefined): void {
    this.isLost = rest === undefined;
    if (rest === undefined) return;
    this.taken = rest.taken;
    const { words } = this.page;
    if (Atomics.load(words, WORD.requestsConsumed) >>> 0 === rest.consumed >>> 0) return;
    Atomics.store(words, WORD.requestsConsumed, rest.consumed);
    this.hasNews = true;
  }

  /** Gives back the room of all that was received but for the last `kept` bytes. */
  release(kept: number): void {
    const { words } = this.page;
    const bytes = this.taken - kept;
    if (bytes <= 0) return;
    this.taken = kept;
    const consumed = Atomics.load(words, WORD.requestsConsumed);
    Atomics.store(words, WORD.requestsConsumed, consumed + bytes);
    this.hasNews = true;
  }

  /** Puts up to `bytes` bytes of answers. Returns how many, RING_WAIT or RING_BROKEN. */
  send(address: number, bytes: number): number {
    const { words } = this.page;
    const consumed = Atomics.load(words, WORD.answersConsumed);
    const produced = Atomics.load(words, WORD.answersProduced);
    const waiting = (produced - consumed) >>> 0;
    if (waiting > RING_BYTES || this.isLost) return RING_BROKEN;
    const fitting = Math.min(bytes, RING_BYTES - waiting);
    if (fitting === 0) return RING_WAIT;
    const at = produced & (RING_BYTES - 1);
    const first = Math.min(fitting, RING_BYTES - at);
    const answers = this.page.address + ANSWERS_AT;
    copyMemory(answers + at, address, first);
    if (fitting > first) copyMemory(answers, address + first, fitting - first);
    Atomics.store(words, WORD.answersProduced, produced + fitting);
    this.hasNews = true;
    return fitting;
  }

  /** Whether requests wait to be received, or the counters are impossible. */
  get hasInput(): boolean {
    const { words } = this.page;
    const received = (Atomics.load(words, WORD.requestsConsumed) + this.taken) | 0;
    return received !== Atomics.load(words, WORD.requestsProduced);
  }

  /** Requests stand there that were received: what comes behind them comes without an event. */
  get isHolding(): boolean {
    return this.taken > 0;
  }

  /** What we offer: read by the guest when it connects. */
  set features(mask: number) {
    Atomics.store(this.page.words, WORD.features, mask);
  }

  set error(reason: number) {
    Atomics.store(this.page.words, WORD.error, reason);
    this.hasNews = true;
  }

  /** The port a domain without a toolstack has written there itself; 0 for the others. */
  get eventChannel(): number {
    return Atomics.load(this.page.words, WORD.eventChannel) >>> 0;
  }

  get wantsReconnection(): boolean {
    return Atomics.load(this.page.words, WORD.connection) === RECONNECT;
  }

  /** After INTRODUCE: both rings empty. */
  reset(): void {
    const { words } = this.page;
    this.taken = 0;
    this.isLost = false;
    Atomics.store(words, WORD.requestsConsumed, 0);
    Atomics.store(words, WORD.requestsProduced, 0);
    Atomics.store(words, WORD.answersConsumed, 0);
    Atomics.store(words, WORD.answersProduced, 0);
  }

  /** The guest asked for a new start: nothing of the old one is left to be misread. */
  wipe(): void {
    this.reset();
    this.page.bytes.fill(WIPED, 0, ANSWERS_AT + RING_BYTES);
  }

  /** Tells the guest that it is connected. */
  connect(): void {
    Atomics.store(this.page.words, WORD.connection, CONNECTED);
    this.hasNews = true;
  }
}

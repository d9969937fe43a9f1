// A back end that we are the front end of, to save and load its state. What can go wrong is looked
// for before anything is sent that cannot be taken back.

import { hex, RefusedError, SystemError } from "../base/index.ts";
import { connectUnix, errnoName, type Fd, makeNonBlocking, peerProcessOf } from "../sys/index.ts";
import {
  backEndPid,
  isPasst,
  repairHelperOf,
  socketUse,
  tcpConnectionsOf,
} from "./back-end-process.ts";
import { ClosedError, FrontEnd, NO_PAYLOAD, numberPayload, payloadOf } from "./front-end.ts";
import {
  DEVICE_STATE,
  DIRECTION,
  FEATURE_BITS,
  FLAGS,
  hasBit,
  NO_STATE_DESCRIPTOR_MASK,
  NUMBER,
  PROTOCOL_BIT,
  PROTOCOL_FEATURES_BIT,
  STATE_ERROR_MASK,
} from "./messages.ts";
import { sizeOf } from "../bytes/index.ts";
import { drainState, fillState, makeStatePipe, STATE_BYTES_MAX } from "./state-pipe.ts";

const LOG_ALL_BIT = BigInt(FEATURE_BITS["log-all"] ?? 0);

export interface BackEndOptions {
  readonly path: string;
  /** How long each answer, and each byte of a state, may take. */
  readonly waitMs: number;
}

export type Direction = keyof typeof DIRECTION;

/** What looks like a state and can be saved and loaded, here or through a proxy. */
export interface StateEnd extends Disposable {
  readonly name: string;
  /** Of the process behind it, where it is known. */
  readonly pid: number | undefined;
  readonly features: bigint;
  /** Writes the whole state to a file or pipe; returns how many bytes. */
  save(target: Fd): number;
  /** Reads `bytes` bytes of state from where the file stands, and asks whether it is good. */
  load(source: Fd, bytes: number): void;
  /** Asks whether the last transfer was good. Throws RefusedError with what it answers. */
  check(): void;
}

/** Connects, negotiates, and refuses what is in use or cannot move its state. */
export class BackEnd implements StateEnd {
  readonly name: string;
  readonly pid: number | undefined;
  readonly features: bigint;
  readonly frontEnd: FrontEnd;
  private readonly socket: Fd;
  private readonly waitMs: number;

  constructor({ path, waitMs }: BackEndOptions) {
    this.name = `"${path}"`;
    this.waitMs = waitMs;
    const inUse =
      `Cannot use ${this.name}: a guest's front end is attached to it, and only that ` +
      "one can move the state: use the control socket of agent device proxy";
    if (isInUse(path)) throw new RefusedError(inUse);
    this.socket = connectUnix({ path, kind: "stream", waitMs });
    makeNonBlocking(this.socket);
    this.frontEnd = new FrontEnd(this.socket, waitMs);
    try {
      const peer = peerProcessOf(this.socket.number);
      this.pid = peer === undefined ? undefined : backEndPid(path, peer.pid);
      if (this.pid !== undefined && socketUse(this.pid, path).connections > 1) {
        throw new RefusedError(inUse);
      }
      this.features = negotiate(this.frontEnd, this.name);
    } catch (error) {
      this[Symbol.dispose]();
      // passt accepts a second front end and closes it at once.
      throw error instanceof ClosedError ? new RefusedError(inUse, { cause: error }) : error;
    }
  }

  [Symbol.dispose](): void {
    this.frontEnd[Symbol.dispose]();
    this.socket[Symbol.dispose]();
  }

  /** The connection is its caller's from now on. */
  release(): Fd {
    this.frontEnd[Symbol.dispose]();
    return this.socket;
  }

  save(target: Fd): number {
    const pipe = makeStatePipe("readEnd");
    using readEnd = pipe.readEnd;
    using from = beginTransfer(this.frontEnd, "save", pipe.writeEnd) ?? readEnd;
    return drainState(from, target, { waitMs: this.waitMs, bytesMax: STATE_BYTES_MAX });
  }

  load(source: Fd, bytes: number): void {
    const pipe = makeStatePipe("writeEnd");
    {
      using writeEnd = pipe.writeEnd;
      using to = beginTransfer(this.frontEnd, "load", pipe.readEnd) ?? writeEnd;
      fillState(source, to, { bytes, waitMs: this.waitMs });
    } // The end of it is what the back end waits for.
    this.check();
  }

  check(): void {
    const value = this.frontEnd.ask("CHECK_DEVICE_STATE", NO_PAYLOAD);
    if (value !== 0n) throw new RefusedError(`${this.name} says ${describeCheck(value)}`);
  }
}

const LOOK_EVERY_MS = 2;
const LOOKS = 50;

/**
 * Whether a front end is connected, and stays so: one that has just gone is still to be noticed.
 */
function isInUse(path: string): boolean {
  for (let look = 0; look < LOOKS; look++) {
    if (socketUse("self", path).connections === 0) return false;
    Bun.sleepSync(LOOK_EVERY_MS);
  }
  return true;
}

/** Negotiates device state and acknowledgements. Returns the features that the back end offers. */
export function negotiate(frontEnd: FrontEnd, name: string): bigint {
  const features = frontEnd.ask("GET_FEATURES", NO_PAYLOAD);
  const none = `Cannot move the state of ${name}: it`;
  if (!hasBit(features, PROTOCOL_FEATURES_BIT)) {
    throw new RefusedError(`${none} has no protocol features, so no device state`);
  }
  const offered = frontEnd.ask("GET_PROTOCOL_FEATURES", NO_PAYLOAD);
  if (!hasBit(offered, PROTOCOL_BIT.deviceState)) {
    const since = "passt has it since 2025_02_17, virtiofsd (Rust) since 1.11";
    throw new RefusedError(
      `${none} offers protocol features ${hex(offered)}, without device state (bit 19): ${since}`,
    );
  }
  const wanted = (1n << PROTOCOL_BIT.deviceState) | (1n << PROTOCOL_BIT.replyAck);
  frontEnd.tell("SET_PROTOCOL_FEATURES", numberPayload(offered & wanted));
  frontEnd.acknowledges = hasBit(offered, PROTOCOL_BIT.replyAck);
  frontEnd.tell("SET_OWNER", NO_PAYLOAD);
  frontEnd.tell("SET_FEATURES", numberPayload(features & ~(1n << LOG_ALL_BIT)));
  return features;
}

/**
 * Passes one end of a pipe, which is closed here as soon as it is sent, or the end of the state
 * would never come. Returns the descriptor that the back end wants to be used instead of the pipe.
 */
export function beginTransfer(
  frontEnd: FrontEnd,
  direction: Direction,
  passed: Fd,
): Fd | undefined {
  {
    using end = passed;
    const payload = payloadOf(DEVICE_STATE, { direction: DIRECTION[direction], phase: 0 });
    frontEnd.send("SET_DEVICE_STATE_FD", { ...payload, descriptors: [end] }, FLAGS.version);
  }
  const message = frontEnd.answer("SET_DEVICE_STATE_FD", sizeOf(NUMBER));
  const value = message.view.getBigUint64(0, true);
  const [own, ...more] = message.descriptors;
  const isOurs = (value & NO_STATE_DESCRIPTOR_MASK) !== 0n;
  const hasFailed = (value & STATE_ERROR_MASK) !== 0n;
  if (!hasFailed && more.length === 0 && isOurs === (own === undefined)) return own;
  message[Symbol.dispose]();
  throw new RefusedError(
    `Cannot ${direction} the state of ${frontEnd.socket.name}: it answered ${hex(value)} with ` +
      `${message.descriptors.length} descriptors`,
  );
}

/** What CHECK_DEVICE_STATE answered: errno, sometimes negative, of passt; a plain 1 of others. */
export function describeCheck(value: bigint): string {
  const signed = BigInt.asIntN(64, value);
  const errno = Number(signed < 0n ? -signed : signed);
  const meaning = CHECK_MEANING[errno];
  const name = errno > 1 && errno < 200 ? ` (${errnoName(errno)})` : "";
  const why = meaning === undefined ? "" : `: ${meaning}`;
  return `that the transfer failed with ${signed}${name}${why}`;
}

const CHECK_MEANING: Readonly<Record<number, string>> = {
  22: "it takes the state for no state of its own",
  32: "the reader of its state had gone",
  61: "the state ended too early",
  95: "it does not know this version of the state",
};

/** Why the state of this back end must not be taken now; undefined when it may. */
export function dangerOfSaving(end: StateEnd, path: string): string | undefined {
  if (end.pid === undefined) return undefined;
  const helper = repairHelperOf(end.pid, path);
  if (helper === "none" && !isPasst(end.pid)) return undefined;
  const connections = tcpConnectionsOf(end.pid);
  if (connections === 0 || helper === "connected") return undefined;
  const lost =
    connections === undefined ? "its TCP connections" : `its ${connections} TCP connections`;
  return (
    `${lost} would be lost without a word: no TCP repair helper is connected to ` +
    `"${path}.repair" (start agent repair), or allow it with --lose-connections`
  );
}

/** A socket that is not there, or where nobody listens, in one sentence. */
export function isAbsent(error: unknown): boolean {
  return error instanceof SystemError && ["ENOENT", "ECONNREFUSED"].includes(error.failure.code);
}

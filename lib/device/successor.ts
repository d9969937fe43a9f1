// A back end that is to take the place of another one under a running guest: connected, looked at
// from all sides while nothing has happened yet, then told what the guest has negotiated.

import { hex, RefusedError } from "../base/index.ts";
import { connectUnix, type Fd, makeNonBlocking, peerProcessOf } from "../sys/index.ts";
import { beginTransfer, describeCheck } from "./back-end.ts";
import {
  backEndPid,
  isPasst,
  socketUse,
  tcpConnectionsOf,
  waitForRepairHelper,
} from "./back-end-process.ts";
import type { DeviceRecord } from "./device-record.ts";
import { FrontEnd, NO_PAYLOAD } from "./front-end.ts";
import { describeFeatures, hasBit, PROTOCOL_BIT } from "./messages.ts";
import { checkedPasstState, emptyPasstState } from "./passt-state.ts";
import { replayDevice } from "./replay.ts";
import { fillState, makeStatePipe } from "./state-pipe.ts";
import { stateFile } from "./state-file.ts";

const HELPER_WAIT_MS = 500;

export interface SuccessorOptions {
  readonly path: string;
  readonly waitMs: number;
  /** What the guest was promised. */
  readonly record: DeviceRecord;
  /** The one in use is passt and holds TCP connections, which need a helper here too. */
  readonly needsRepairHelper: boolean;
  /** The version and compat_version that the state will have, where it is passt's. */
  readonly passtVersion: readonly [number, number] | undefined;
}

/** Owns the connection until release() hands it out. */
export class Successor implements Disposable {
  readonly path: string;
  readonly pid: number | undefined;
  readonly frontEnd: FrontEnd;
  private readonly options: SuccessorOptions;
  private readonly socket: Fd;
  private isReleased = false;

  constructor(options: SuccessorOptions) {
    this.options = options;
    this.path = options.path;
    this.socket = connectUnix({ path: options.path, kind: "stream", waitMs: options.waitMs });
    makeNonBlocking(this.socket);
    const peer = peerProcessOf(this.socket.number);
    this.pid = peer === undefined ? undefined : backEndPid(options.path, peer.pid);
    this.frontEnd = new FrontEnd(this.socket, options.waitMs);
  }

  /** Every reason against it. What it is told stays without effect on it when it is not taken. */
  reasonsAgainst(): string[] {
    return [...this.usedReasons(), ...this.featureReasons()];
  }

  /** Tells it what the guest negotiated, and asks whether it can read what will come. */
  prepare(): void {
    replayDevice(this.options.record, this.frontEnd);
    const version = this.options.passtVersion;
    if (version === undefined || this.pid === undefined || !isPasst(this.pid)) return;
    using file = stateFile(emptyPasstState(...version));
    using look = file.look();
    checkedPasstState(look); // Also so that this code has run once before a guest waits for it.
    const pipe = makeStatePipe("writeEnd");
    {
      using writeEnd = pipe.writeEnd;
      using to = beginTransfer(this.frontEnd, "load", pipe.readEnd) ?? writeEnd;
      fillState(file.fd, to, { bytes: file.bytes, waitMs: this.options.waitMs });
    }
    const answer = this.frontEnd.ask("CHECK_DEVICE_STATE", NO_PAYLOAD);
    if (answer === 0n) {
      this.awaitHelper(this.pid);
      return;
    }
    const what = `asked to load an empty state of version ${version.join("/")}`;
    throw new RefusedError(`"${this.path}", ${what}, says ${describeCheck(answer)}`);
  }

  /** The probe was a transfer, after which passt lets its helper go. */
  private awaitHelper(pid: number): void {
    const { path, waitMs, needsRepairHelper } = this.options;
    if (!needsRepairHelper || waitForRepairHelper(pid, path, waitMs)) return;
    throw new RefusedError(
      `"${path}": its repair helper has not come back within ${waitMs} ms after a first transfer ` +
        "(agent repair does; passt-repair ends)",
    );
  }

  /** The connection is its caller's from now on. */
  release(): Fd {
    this.isReleased = true;
    this.frontEnd[Symbol.dispose]();
    return this.socket;
  }

  [Symbol.dispose](): void {
    if (this.isReleased) return;
    this.frontEnd[Symbol.dispose]();
    this.socket[Symbol.dispose]();
  }

  private usedReasons(): string[] {
    const { pid, path } = this;
    if (pid === undefined) return [];
    const reasons: string[] = [];
    if (socketUse(pid, path).connections > 1) {
      reasons.push(`"${path}": a front end is attached to it already`);
    }
    const flows = tcpConnectionsOf(pid) ?? 0;
    if (flows > 0) {
      reasons.push(`"${path}" is not fresh: it holds ${flows} TCP connections already`);
    }
    // One that has just been started is found by its helper within milliseconds.
    if (this.options.needsRepairHelper && !waitForRepairHelper(pid, path, HELPER_WAIT_MS)) {
      const what = "TCP connections cannot be moved to it: no repair helper is connected";
      reasons.push(`"${path}": ${what} to "${path}.repair" (agent repair)`);
    }
    return reasons;
  }

  private featureReasons(): string[] {
    const { record } = this.options;
    const promised = record.number("SET_FEATURES") ?? 0n;
    const reasons: string[] = [];
    const lacked = promised & ~this.frontEnd.ask("GET_FEATURES", NO_PAYLOAD);
    if (lacked !== 0n) {
      const what = `features that the guest uses: ${describeFeatures(lacked)} (${hex(lacked)})`;
      reasons.push(
        `"${this.path}" lacks ${what}; mask them at the proxy's start to keep a way back`,
      );
    }
    const offered = this.frontEnd.ask("GET_PROTOCOL_FEATURES", NO_PAYLOAD);
    const protocol = record.number("SET_PROTOCOL_FEATURES") ?? 0n;
    const missing = protocol & ~offered;
    if (missing !== 0n) {
      reasons.push(`"${this.path}" lacks protocol features that are in use: ${hex(missing)}`);
    }
    if (!hasBit(offered, PROTOCOL_BIT.deviceState)) {
      reasons.push(`"${this.path}" cannot load device state (protocol feature 19)`);
    }
    return reasons;
  }
}

// Another back end in the place of the one under a running guest, with its state: all or nothing.
//
//   check     the new one (and the fallback): connected, offers all that the guest was promised,
//             fresh, a TCP repair helper at each; the old one may be ended, and what its front end
//             told it can be repeated
//   prepare   the new one is told what the guest negotiated, and asked if it reads such a state
//   pause     every ring of the old one is stopped: from here the guest waits
//   save      its state is taken, and looked at whole before anything else happens
//   end       the old one is killed: as long as its sockets are open they keep the addresses, and the
//             new one's flows would all be reset (CHECK says 0 nevertheless)
//   load      the state goes into the new one, which says that it is good
//   resume    the rings go on there, and both sides are nudged to look at them
//
// The old one's sockets are gone once it was saved: what undoes a save is the fallback, a fresh
// back end of the old version, which is given the saved bytes. Until it was ended, and if no flow
// was in the state, the old one itself goes on.

import { RefusedError } from "../base/index.ts";
import {
  type Fd,
  hasEnded,
  monotonicMs,
  openPidfd,
  peerProcessOf,
  SIGNAL,
  signalPidfd,
  writeFully,
} from "../sys/index.ts";
import { NO_JOURNAL, type Outcome, runTransitionNow, type Step } from "../transition/index.ts";
import { beginTransfer, describeCheck } from "./back-end.ts";
import {
  backEndPid,
  isPasst,
  repairHelperOf,
  socketInodes,
  tcpConnectionsOf,
  tcpInodesOf,
} from "./back-end-process.ts";
import type { DeviceRecord } from "./device-record.ts";
import { ClosedError, FrontEnd, NO_PAYLOAD, SilentError } from "./front-end.ts";
import { VERSIONS } from "./passt-layout.ts";
import { checkedPasstState, isPasstState } from "./passt-state.ts";
import { eventsOf, startRings, stopRings } from "./replay.ts";
import { StateFile } from "./state-file.ts";
import { drainState, fillState, makeStatePipe, STATE_BYTES_MAX } from "./state-pipe.ts";
import { Successor } from "./successor.ts";

const EVENT = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);

export interface SwapOptions {
  readonly record: DeviceRecord;
  /** The old back end's connection, at a safe point. It stays the caller's. */
  readonly old: Fd;
  readonly oldPath: string;
  readonly to: string;
  /** A fresh back end of the old version, for when the new one does not take the state. */
  readonly fallback: string | undefined;
  readonly waitMs: number;
  /** Go on although TCP connections will be lost. */
  readonly losesConnections: boolean;
  /** An empty memory file to hold the state, so that its owner has it afterwards. */
  readonly keep: Fd | undefined;
}

export interface SwapResult {
  readonly outcome: Outcome;
  /** The back end that the guest has now, when it is another one. */
  readonly active: { readonly path: string; readonly socket: Fd } | undefined;
  /** Nobody serves the guest any more. */
  readonly isWithoutBackEnd: boolean;
  readonly stateBytes: number;
  readonly flows: number | undefined;
  /** Of them, those that the new process holds; undefined where it cannot be looked at. */
  readonly flowsAfter: number | undefined;
  /** How long the rings stood. */
  readonly pausedMs: number;
  /** The state, for whoever wants to keep it. */
  readonly state: StateFile;
}

export function swapBackEnd(options: SwapOptions): SwapResult {
  return new Swap(options).run();
}

class Swap {
  private readonly options: SwapOptions;
  private readonly oldEnd: FrontEnd;
  private readonly oldPid: number | undefined;
  private readonly state: StateFile;
  private oldProcess: Fd | undefined;
  private target: Successor | undefined;
  private fallback: Successor | undefined;
  private stopped: readonly number[] = [];
  private pausedAtMs = 0;
  private pausedMs = 0;
  private flows: number | undefined;
  private flowsAfter: number | undefined;
  /** Who has the guest's rings: "nobody" between the pause and the resume. */
  private serving: "old" | "nobody" | "target" | "fallback" = "old";
  private isOldUsable = true;
  /** How many TCP connections the old one held when it was asked for its state. */
  private expected: number | undefined;
  /** The inodes of their sockets. */
  private connections: ReadonlySet<string> | undefined;

  constructor(options: SwapOptions) {
    this.options = options;
    this.state = new StateFile(options.keep);
    this.oldEnd = new FrontEnd(options.old, options.waitMs);
    const acked = options.record.number("SET_PROTOCOL_FEATURES") ?? 0n;
    this.oldEnd.acknowledges = ((acked >> 3n) & 1n) === 1n;
    const peer = peerProcessOf(options.old.number);
    this.oldPid = peer === undefined ? undefined : backEndPid(options.oldPath, peer.pid);
  }

  run(): SwapResult {
    const steps = [this.newOne(), this.fallbackOne(), this.rings(), this.oldOne(), this.load()];
    const outcome = runTransitionNow({ steps, journal: NO_JOURNAL, onFailure: "cancel" });
    const successor = this.serving === "target" ? this.target : this.fallback;
    const isTaken = this.serving === "target" || this.serving === "fallback";
    const active =
      isTaken && successor !== undefined
        ? { path: successor.path, socket: successor.release() }
        : undefined;
    for (const owned of [this.target, this.fallback, this.oldEnd, this.oldProcess]) {
      owned?.[Symbol.dispose]();
    }
    return {
      outcome,
      active,
      isWithoutBackEnd: this.serving === "nobody",
      stateBytes: this.state.bytes,
      flows: this.flows,
      flowsAfter: this.flowsAfter,
      pausedMs: this.pausedMs,
      state: this.state,
    };
  }

  // ---- The steps -------------------------------------------------------------------------------

  private newOne(): Step {
    return {
      name: "new back end",
      check: () => {
        const target = this.successor(this.options.to);
        this.target = target;
        const reasons = target.reasonsAgainst();
        if (reasons.length === 0) target.prepare();
        return reasons;
      },
      execute() {}, // It was prepared; what it was told changes nothing for the guest.
      cancel() {},
    };
  }

  private fallbackOne(): Step {
    return {
      name: "fallback",
      check: () => {
        const { fallback: path } = this.options;
        if (path === undefined) return [];
        const fallback = this.successor(path);
        this.fallback = fallback;
        const reasons = fallback.reasonsAgainst();
        if (reasons.length === 0) fallback.prepare();
        return reasons;
      },
      execute() {},
      cancel() {},
    };
  }

  private rings(): Step {
    return {
      name: "rings",
      check: () => {
        const { unrepeatable } = this.options.record;
        if (unrepeatable.size === 0) return [];
        const what = [...unrepeatable].join(", ");
        return [`a new back end cannot be told what the guest's front end has said: ${what}`];
      },
      execute: () => {
        this.pausedAtMs = monotonicMs();
        this.stopped = this.options.record.startedRings;
        this.serving = "nobody";
        this.withOld(() => stopRings(this.options.record, this.oldEnd));
      },
      cancel: () => {
        if (this.serving !== "nobody" || !this.isOldUsable) return;
        this.resume(this.oldEnd);
        this.serving = "old";
      },
    };
  }

  private oldOne(): Step {
    return {
      name: "old back end",
      check: () => this.reasonsAgainstEnding(),
      execute: () => {
        this.save();
        this.lookAtState();
        this.endOld();
      },
      commit: () => this.awaitEnd(),
      cancel: () => {
        if (this.isOldUsable || this.serving !== "nobody") return;
        const { fallback } = this;
        if (fallback === undefined) {
          throw new RefusedError("the old back end is gone, and there is no fallback");
        }
        this.endOld(); // It may live yet, with the addresses of the flows.
        this.loadInto(fallback);
        this.resume(fallback.frontEnd);
        this.serving = "fallback";
      },
    };
  }

  private load(): Step {
    return {
      name: "load",
      execute: () => {
        const { target } = this;
        if (target === undefined) throw new RefusedError("there is no new back end");
        this.loadInto(target);
        this.resume(target.frontEnd);
        this.serving = "target";
        this.flowsAfter = target.pid === undefined ? undefined : tcpConnectionsOf(target.pid);
      },
      cancel() {}, // It is closed, and whoever started it ends it.
    };
  }

  // ---- What they do ----------------------------------------------------------------------------

  private successor(path: string): Successor {
    const { record, waitMs, losesConnections } = this.options;
    const isOldPasst = this.oldPid !== undefined && isPasst(this.oldPid);
    const connections = this.oldPid === undefined ? 0 : (tcpConnectionsOf(this.oldPid) ?? 1);
    const newest = VERSIONS[0].id;
    return new Successor({
      path,
      waitMs,
      record,
      needsRepairHelper: isOldPasst && connections > 0 && !losesConnections,
      passtVersion: isOldPasst ? [newest, newest] : undefined,
    });
  }

  private reasonsAgainstEnding(): string[] {
    const { oldPath, losesConnections } = this.options;
    const pid = this.oldPid;
    if (pid === undefined) return [`the process behind "${oldPath}" cannot be found to end it`];
    this.oldProcess = openPidfd(pid);
    if (this.oldProcess === undefined) return [`process ${pid} of "${oldPath}" has ended`];
    signalPidfd(this.oldProcess, 0); // Throws where we may not.
    this.connections = tcpInodesOf(pid);
    const connections = this.connections?.size;
    this.expected = connections;
    if (!isPasst(pid) || losesConnections) return [];
    if (connections === 0 || repairHelperOf(pid, oldPath) === "connected") return [];
    const lost = connections ?? "its";
    const allow = "start agent repair, or allow it with --lose-connections";
    return [
      `${lost} TCP connections would be lost without a word: no repair helper is connected to ` +
        `"${oldPath}.repair" (${allow})`,
    ];
  }

  private save(): void {
    const { waitMs } = this.options;
    const pipe = makeStatePipe("readEnd");
    using readEnd = pipe.readEnd;
    using from = this.withOld(() => beginTransfer(this.oldEnd, "save", pipe.writeEnd)) ?? readEnd;
    this.isOldUsable = this.expected === 0; // Its flows are closed or frozen from here on.
    this.state.bytes = drainState(from, this.state.fd, { waitMs, bytesMax: STATE_BYTES_MAX });
  }
  private lookAtState(): void {
    using bytes = this.state.look();
    if (!isPasstState(bytes)) return; // Opaque: whoever wrote it reads it.
    const { seen } = checkedPasstState(bytes);
    this.flows = seen?.flows ?? 0;
    if (this.flows > 0) this.isOldUsable = false;
    if (this.flows > 0 || (this.expected ?? 0) === 0) return;
    this.isOldUsable = true; // It froze none: nothing of it was sent.
    if (this.options.losesConnections) return;
    throw new RefusedError(
      `the state holds no flow, but the back end holds ${this.expected} TCP connections: its ` +
        "repair helper did not serve it",
    );
  }

  private endOld(): void {
    const { oldProcess } = this;
    if (oldProcess === undefined) throw new RefusedError("the old back end cannot be ended");
    this.isOldUsable = false;
    // A passt of 2025 has closed its connections as it saved, and each millisecond until the new
    // one has them is one in which a peer that sends is answered with a reset.
    const hasClosed = this.hasClosedFlows();
    signalPidfd(oldProcess, SIGNAL.kill);
    if (!hasClosed) this.awaitEnd();
  }

  private awaitEnd(): void {
    const { oldProcess } = this;
    if (oldProcess === undefined || hasEnded(oldProcess, this.options.waitMs)) return;
    throw new RefusedError(`the old back end did not end within ${this.options.waitMs} ms`);
  }

  /** Whether the very sockets of its flows are gone. Cheap: a guest waits. */
  private hasClosedFlows(): boolean {
    const { oldPid, flows = 0, connections } = this;
    const open = oldPid === undefined ? undefined : socketInodes(oldPid);
    if (open === undefined || connections === undefined || connections.size < flows) return false;
    return flows > 0 && open.size > 0 && open.isDisjointFrom(connections);
  }

  /** Whatever it answers, one that has gone or does not answer is not gone back to. */
  private withOld<T>(request: () => T): T {
    try {
      return request();
    } catch (error) {
      if (error instanceof ClosedError || error instanceof SilentError) this.isOldUsable = false;
      throw error;
    }
  }

  private loadInto({ frontEnd, path }: Successor): void {
    if (this.state.bytes === 0) return; // The old one gave none: at least the guest has a network.
    const pipe = makeStatePipe("writeEnd");
    {
      using writeEnd = pipe.writeEnd;
      using to = beginTransfer(frontEnd, "load", pipe.readEnd) ?? writeEnd;
      const { bytes } = this.state;
      fillState(this.state.rewind(), to, { bytes, waitMs: this.options.waitMs });
    }
    const answer = frontEnd.ask("CHECK_DEVICE_STATE", NO_PAYLOAD);
    if (answer !== 0n) throw new RefusedError(`"${path}" says ${describeCheck(answer)}`);
  }

  private resume(frontEnd: FrontEnd): void {
    const { record } = this.options;
    startRings(record, this.stopped, frontEnd);
    frontEnd.ask("GET_FEATURES", NO_PAYLOAD); // Answered when all before it is done.
    // What either side asked for while nobody looked is looked at now; too often does no harm.
    for (const event of eventsOf(record, this.stopped)) writeFully(event, EVENT, EVENT.length);
    this.pausedMs = monotonicMs() - this.pausedAtMs;
  }
}

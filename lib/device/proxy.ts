// Stands between a guest's front end (QEMU) and its vhost-user back end, and can do what neither
// can: pull the back end's state, and put another back end in its place while the guest runs.
//
//   listening   no guest. A back end may be connected already, with a state loaded into it
//               ("prepared"): the next guest gets that very connection
//   attached    a guest's front end and a connection to the back end, joined by a Session
//
// One guest at a time, as the back ends have it: a second front end is closed at once. When the
// guest's front end goes, so does the connection to the back end.
//
// What is asked over the control socket runs at the session's safe point and to its end: no message
// of the guest's front end is passed meanwhile, and every wait in it has a limit.

import { unlinkSync } from "node:fs";
import { RefusedError, SystemError } from "../base/index.ts";
import {
  acceptUnix,
  connectUnix,
  duplicate,
  type Fd,
  type Loop,
  makeNonBlocking,
  peerProcessOf,
  READY_MASK,
} from "../sys/index.ts";
import type { CarriedDescriptor, Touch } from "../handover/index.ts";
import { describeProblem, describeStates } from "../transition/index.ts";
import { BackEnd } from "./back-end.ts";
import { backEndPid, tcpConnectionsOf } from "./back-end-process.ts";
import { type ControlAnswer, hexBits, type SwapReport } from "./control-messages.ts";
import { ControlServer, type OwnRequest, refusing, type Reply } from "./control-server.ts";
import { saveUnderGuest } from "./pull.ts";
import { Carried, type ProxyState, type RestoredProxy } from "./proxy-state.ts";
import type { KeyOf, SessionState, TakeFd } from "./session-state.ts";
import { type Masks, Session, type SessionOptions } from "./session.ts";
import { swapBackEnd } from "./swap.ts";
import { listenOn } from "./unix-name.ts";

export type ProxyEvent =
  | { readonly kind: "attached"; readonly pid: number | undefined }
  | { readonly kind: "detached"; readonly reason: string }
  | { readonly kind: "turned_away"; readonly reason: string }
  | { readonly kind: "swapped"; readonly report: SwapReport };

export interface ProxyOptions {
  readonly loop: Loop;
  readonly listen: string;
  readonly backend: string;
  readonly control: string;
  readonly masks: Masks;
  readonly waitMs: number;
  readonly onEvent: (event: ProxyEvent) => void;
}

interface Asked {
  readonly request: OwnRequest;
  readonly file: Fd | undefined;
}

/** Owns its sockets, with their names. */
export class Proxy implements Disposable {
  /** Called with its key before anything is read from or written to a descriptor. */
  touch: Touch = () => false;
  private readonly options: ProxyOptions;
  private readonly listener: Fd;
  readonly control: ControlServer;
  private readonly carried: Carried;
  private backendPath: string;
  private session: Session | undefined;
  private prepared: BackEnd | undefined;
  private hasLeft = false;

  /** Begins to listen; or is paused where another program has stopped. */
  constructor(options: ProxyOptions, restored?: RestoredProxy) {
    this.options = options;
    this.backendPath = restored?.state.backend ?? options.backend;
    this.carried = new Carried(restored?.state.next_key ?? 1);
    if (restored === undefined) {
      this.listener = listenOn(options.listen, "stream");
      this.control = this.controlOn(listenOn(options.control, "seqpacket"));
      this.resume();
      return;
    }
    const { state } = restored;
    const take = (key: string): Fd => this.carried.adopt(key, restored.take(key));
    this.listener = take(state.listener);
    this.control = this.controlOn(take(state.control));
    const clients = state.clients.map(take);
    for (const client of clients) this.control.adopt(client);
    this.control.asker = clients[state.asker ?? clients.length];
    if (state.session !== null) this.session = this.join(state.session, take);
  }

  /** What stands in the way of another program going on with this. */
  get obstacles(): string[] {
    const obstacles: string[] = [];
    if (this.prepared !== undefined) obstacles.push("a loaded back end waits for its guest");
    if (this.session?.isWaited === true) obstacles.push("an operation waits for its moment");
    return obstacles;
  }

  get counts(): Readonly<Record<string, number>> {
    const guests = this.session === undefined ? 0 : 1;
    return {
      guests,
      messages: this.session?.messageCount ?? 0,
      clients: this.control.clients.length,
    };
  }

  /** All there is to know; the descriptors stand in descriptors(). */
  state(): ProxyState {
    const keyOf: KeyOf = (fd) => this.carried.keyOf(fd);
    const { clients, asker } = this.control;
    const askerAt = asker === undefined ? -1 : clients.indexOf(asker);
    return {
      listener: keyOf(this.listener),
      control: keyOf(this.control.listener),
      backend: this.backendPath,
      clients: clients.map(keyOf),
      asker: askerAt === -1 ? null : askerAt,
      session: this.session?.state(keyOf) ?? null,
      next_key: this.carried.nextKey,
    };
  }

  descriptors(): readonly CarriedDescriptor[] {
    this.carried.begin();
    this.state();
    return this.carried.list();
  }

  pause(): void {
    this.options.loop.forget(this.listener);
    this.control.pause();
    this.session?.pause();
  }

  resume(): void {
    this.options.loop.watch(this.listener, READY_MASK.readable, () => this.attach());
    this.control.resume();
    this.session?.resume();
  }

  /** Gives up what another program, dead by now, has had traffic with. Before resume(). */
  dropTouched(touched: ReadonlySet<string>): void {
    const isTouched = (fd: Fd): boolean => touched.has(this.carried.keyOf(fd));
    for (const client of this.control.clients) {
      if (isTouched(client)) this.control.close(client);
    }
    const { session } = this;
    if (session === undefined || !session.sockets.some(isTouched)) return;
    session.resume(); // It is ended as any other is.
    session.end("what a program that has died has passed on for it is not known");
  }

  /** Another program serves: its sockets and their names are left alone. */
  leave(): void {
    this.hasLeft = true;
    this.options.loop.stop();
  }

  [Symbol.dispose](): void {
    if (this.hasLeft) return; // The process ends; its descriptors are copies.
    const { loop, listen, control } = this.options;
    this.session?.[Symbol.dispose]();
    this.prepared?.[Symbol.dispose]();
    this.control[Symbol.dispose]();
    loop.forget(this.listener);
    this.listener[Symbol.dispose]();
    for (const path of [listen, control]) unlinkSync(path);
  }

  // ---- Guests -----------------------------------------------------------------------------------

  private attach(): void {
    const front = acceptUnix(this.listener);
    if (front === undefined) return;
    if (this.session !== undefined) {
      front[Symbol.dispose]();
      this.tell({ kind: "turned_away", reason: "a guest is attached already" });
      return;
    }
    let back: Fd;
    try {
      back = this.connectBack();
    } catch (error) {
      front[Symbol.dispose]();
      if (!(error instanceof SystemError)) throw error;
      this.tell({ kind: "turned_away", reason: error.message });
      return;
    }
    this.session = this.sessionOf(front, back, undefined);
    this.tell({ kind: "attached", pid: peerProcessOf(front.number)?.pid });
  }

  private sessionOf(front: Fd, back: Fd, restored: SessionOptions["restored"]): Session {
    const { loop, masks } = this.options;
    const onEnd = (reason: string): void => {
      this.session = undefined;
      this.tell({ kind: "detached", reason });
    };
    const session = new Session({ loop, front, back, masks, onEnd, restored });
    session.onTraffic = () => {
      for (const fd of session.sockets) this.touch(this.carried.keyOf(fd), true);
    };
    return session;
  }

  private join(state: SessionState, take: TakeFd): Session {
    const [front, back] = [take(state.front.socket), take(state.back.socket)];
    return this.sessionOf(front, back, { state, take });
  }

  private connectBack(): Fd {
    const { prepared } = this;
    this.prepared = undefined;
    if (prepared !== undefined) return prepared.release();
    const { waitMs } = this.options;
    const back = connectUnix({ path: this.backendPath, kind: "stream", waitMs });
    makeNonBlocking(back);
    return back;
  }

  // ---- Control ---------------------------------------------------------------------------------

  private controlOn(listener: Fd): ControlServer {
    return new ControlServer({
      loop: this.options.loop,
      listener,
      handle: (request, file, reply) => this.handle({ request, file }, reply),
      onTraffic: (client) => void this.touch(this.carried.keyOf(client), true),
    });
  }

  private handle({ request, file }: Asked, reply: Reply): void {
    const refuse = (reason: string): void => reply({ answer: "refused", reason });
    const run = (): void => {
      let answer: ControlAnswer | undefined;
      refusing(() => {
        answer = this.do(request, file);
      }, refuse);
      if (answer !== undefined) reply(answer);
    };
    const { session } = this;
    if (session === undefined || request.do === "status") {
      run();
      return;
    }
    const { waitMs } = this.options;
    const late = `The guest's front end has waited for the back end for ${waitMs} ms`;
    refusing(() => session.whenIdle(waitMs, run, () => refuse(late)), refuse);
  }

  private do(request: OwnRequest, file: Fd | undefined): ControlAnswer {
    switch (request.do) {
      case "status":
        return { answer: "status", status: this.status() };
      case "save":
        return { answer: "saved", bytes: this.save(required(file), request.loses_connections) };
      case "load":
        this.load(required(file), request.bytes);
        return { answer: "done" };
      case "check":
        if (this.session === undefined) this.preparedEnd().check();
        return { answer: "done" };
      case "swap":
        return { answer: "swapped", report: this.swap(request, file) };
    }
  }

  private status(): Extract<ControlAnswer, { answer: "status" }>["status"] {
    const { session, prepared, options } = this;
    const socket = session?.backSocket;
    const peer = socket === undefined ? undefined : peerProcessOf(socket.number);
    const pid =
      peer === undefined ? prepared?.pid : (backEndPid(this.backendPath, peer.pid) ?? undefined);
    const features = session?.record.number("SET_FEATURES") ?? prepared?.features ?? 0n;
    return {
      listen: options.listen,
      backend: this.backendPath,
      pid: pid ?? null,
      attached: session !== undefined,
      rings: session?.record.startedRings.length ?? 0,
      messages: session?.messageCount ?? 0,
      features: hexBits(features),
      masked: hexBits(options.masks.features),
      unrepeatable: [...(session?.record.unrepeatable ?? [])],
      tcp_connections: pid === undefined ? null : (tcpConnectionsOf(pid) ?? null),
    };
  }

  private save(target: Fd, losesConnections: boolean): number {
    const { session, options } = this;
    if (session === undefined) return this.preparedEnd().save(target);
    return saveUnderGuest({
      record: session.record,
      socket: session.backSocket,
      path: this.backendPath,
      waitMs: options.waitMs,
      losesConnections,
      target,
    });
  }

  private load(source: Fd, bytes: number): void {
    if (this.session !== undefined) {
      throw new RefusedError(
        "Cannot load: a guest is attached, and its back end is not fresh: use agent device swap",
      );
    }
    this.preparedEnd().load(source, bytes);
  }

  /** A connection to the back end while there is no guest; the next guest gets it. */
  private preparedEnd(): BackEnd {
    const { waitMs } = this.options;
    this.prepared ??= new BackEnd({ path: this.backendPath, waitMs });
    return this.prepared;
  }

  /** The state is kept in `keep`, a memory file of whoever asks, if there is one. */
  private swap(request: Extract<OwnRequest, { do: "swap" }>, keep: Fd | undefined): SwapReport {
    const { session } = this;
    const from = this.backendPath;
    if (session === undefined) {
      throw new RefusedError(
        "Cannot swap: no guest is attached: start the proxy on another back end",
      );
    }
    const result = swapBackEnd({
      record: session.record,
      old: session.backSocket,
      oldPath: from,
      to: request.to,
      fallback: request.fallback ?? undefined,
      waitMs: this.options.waitMs,
      losesConnections: request.loses_connections,
      keep: keep === undefined ? undefined : duplicate(keep.number, keep.name),
    });
    result.state[Symbol.dispose]();
    if (result.active !== undefined) {
      session.replaceBack(result.active.socket);
      this.backendPath = result.active.path;
    }
    const report: SwapReport = {
      result: result.outcome.result,
      problems: result.outcome.problems.map(describeProblem),
      states: describeStates(result.outcome),
      from,
      to: this.backendPath,
      has_back_end: !result.isWithoutBackEnd,
      state_bytes: result.stateBytes,
      flows: result.flows ?? null,
      flows_after: result.flowsAfter ?? null,
      paused_ms: Math.round(result.pausedMs * 1000) / 1000,
    };
    if (result.isWithoutBackEnd) session.end("The back end is gone, and no other took its place");
    this.tell({ kind: "swapped", report });
    return report;
  }

  private tell(event: ProxyEvent): void {
    this.options.onEvent(event);
  }
}

function required(file: Fd | undefined): Fd {
  if (file !== undefined) return file;
  throw new RefusedError("The proxy wants a file with this request");
}

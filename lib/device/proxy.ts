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
  MESSAGE_BYTES_MAX,
  peerProcessOf,
  READY_MASK,
  receiveDescriptors,
  sendDescriptors,
} from "../sys/index.ts";
import { describeProblem, describeStates } from "../transition/index.ts";
import { BackEnd } from "./back-end.ts";
import { backEndPid, tcpConnectionsOf } from "./back-end-process.ts";
import {
  type ControlAnswer,
  ControlRequest,
  hexBits,
  packetOf,
  parsePacket,
  type SwapReport,
} from "./control-messages.ts";
import { saveUnderGuest } from "./pull.ts";
import { type Masks, Session } from "./session.ts";
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

/** Owns its sockets, with their names. */
export class Proxy implements Disposable {
  private readonly options: ProxyOptions;
  private readonly listener: Fd;
  private readonly control: Fd;
  private readonly clients = new Set<Fd>();
  private backendPath: string;
  private session: Session | undefined;
  private prepared: BackEnd | undefined;

  constructor(options: ProxyOptions) {
    this.options = options;
    this.backendPath = options.backend;
    this.listener = listenOn(options.listen, "stream");
    this.control = listenOn(options.control, "seqpacket");
    const { loop } = options;
    loop.watch(this.listener, READY_MASK.readable, () => this.attach());
    loop.watch(this.control, READY_MASK.readable, () => this.acceptControl());
  }

  [Symbol.dispose](): void {
    const { loop, listen, control } = this.options;
    this.session?.[Symbol.dispose]();
    this.prepared?.[Symbol.dispose]();
    for (const client of this.clients) this.closeClient(client);
    for (const [fd, path] of [
      [this.listener, listen],
      [this.control, control],
    ] as const) {
      loop.forget(fd);
      fd[Symbol.dispose]();
      unlinkSync(path);
    }
  }

  // ---- Guests
  // ------------------------------------------------------------------------------------

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
    const { loop, masks } = this.options;
    const onEnd = (reason: string): void => {
      this.session = undefined;
      this.tell({ kind: "detached", reason });
    };
    this.session = new Session({ loop, front, back, masks, onEnd });
    this.tell({ kind: "attached", pid: peerProcessOf(front.number)?.pid });
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

  // ---- Control
  // -----------------------------------------------------------------------------------

  private acceptControl(): void {
    const client = acceptUnix(this.control);
    if (client === undefined) return;
    this.clients.add(client);
    this.options.loop.watch(client, READY_MASK.readable, () => this.serve(client));
  }

  private closeClient(client: Fd): void {
    this.clients.delete(client);
    this.options.loop.forget(client);
    client[Symbol.dispose]();
  }

  private serve(client: Fd): void {
    let received: ReturnType<typeof receiveDescriptors>;
    try {
      received = receiveDescriptors(client, MESSAGE_BYTES_MAX);
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RefusedError)) throw error;
      this.closeClient(client);
      return;
    }
    if (received === undefined) return;
    if (received.bytes.length === 0) {
      received[Symbol.dispose]();
      this.closeClient(client);
      return;
    }
    const [file, ...more] = received.descriptors;
    const request = more.length > 0 ? undefined : parsePacket(ControlRequest, received.bytes);
    const message = received;
    const answer = (document: ControlAnswer): void => {
      message[Symbol.dispose]();
      if (this.clients.has(client)) this.answer(client, document);
    };
    if (request === undefined) {
      answer({ answer: "refused", reason: "The proxy does not know this request" });
      return;
    }
    const run = (): void => answer(this.answerTo(request, file));
    const { session } = this;
    if (session === undefined || request.do === "status") {
      run();
      return;
    }
    const late = `The guest's front end has waited for the back end for ${this.options.waitMs} ms`;
    const refuse = (reason: string): void => answer({ answer: "refused", reason });
    this.refusing(() => session.whenIdle(this.options.waitMs, run, () => refuse(late)), refuse);
  }

  private answer(client: Fd, document: ControlAnswer): void {
    try {
      sendDescriptors(client, packetOf(document), []);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.closeClient(client); // It did not wait for the answer.
    }
  }

  private refusing(run: () => void, refuse: (reason: string) => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Error) || error.name === "Bug") throw error;
      refuse(error.message);
    }
  }

  private answerTo(request: ControlRequest, file: Fd | undefined): ControlAnswer {
    let found: ControlAnswer = { answer: "done" };
    this.refusing(
      () => {
        found = this.do(request, file);
      },
      (reason) => {
        found = { answer: "refused", reason };
      },
    );
    return found;
  }

  private do(request: ControlRequest, file: Fd | undefined): ControlAnswer {
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
  private swap(request: Extract<ControlRequest, { do: "swap" }>, keep: Fd | undefined): SwapReport {
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

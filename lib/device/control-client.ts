// The other side of the proxy's control socket: what agent device save, load, copy and swap say to
// it.

import { RefusedError, SystemError } from "../base/index.ts";
import {
  connectUnix,
  type Fd,
  MESSAGE_BYTES_MAX,
  PollSet,
  receiveDescriptors,
  sendDescriptors,
} from "../sys/index.ts";
import type { UpdateRequest } from "./control-server.ts";
import type { StateEnd } from "./back-end.ts";
import {
  ControlAnswer,
  type ControlRequest,
  packetOf,
  parsePacket,
  type ProxyStatus,
  type SwapReport,
} from "./control-messages.ts";

const EPROTOTYPE = "EPROTOTYPE";
/** A proxy does several things for one request, each with its own limit. */
const LIMITS_A_REQUEST = 12;

/**
 * Connects if the socket is a proxy's; undefined when it is a back end's, which is not disturbed.
 */
export function connectControl(path: string, waitMs: number): ControlClient | undefined {
  try {
    return new ControlClient(path, connectUnix({ path, kind: "seqpacket", waitMs }), waitMs);
  } catch (error) {
    if (!(error instanceof SystemError) || error.failure.code !== EPROTOTYPE) throw error;
    return undefined;
  }
}

export interface SwapRequest {
  readonly to: string;
  readonly fallback: string | undefined;
  readonly losesConnections: boolean;
  /** Where the state is kept. */
  readonly keep: Fd | undefined;
}

/** A back end through its proxy. Owns the connection. */
export class ControlClient implements StateEnd {
  readonly name: string;
  readonly status: ProxyStatus;
  losesConnections = false;
  private readonly socket: Fd;
  private readonly waitMs: number;

  constructor(path: string, socket: Fd, waitMs: number) {
    this.name = `"${path}"`;
    this.socket = socket;
    this.waitMs = waitMs;
    this.status = this.askStatus();
  }

  get pid(): number | undefined {
    return this.status.pid ?? undefined;
  }

  get features(): bigint {
    return BigInt(this.status.features);
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }

  askStatus(): ProxyStatus {
    const answer = this.ask({ do: "status" }, undefined);
    if (answer.answer !== "status") throw this.unexpected(answer.answer);
    return answer.status;
  }

  save(target: Fd): number {
    const answer = this.ask({ do: "save", loses_connections: this.losesConnections }, target);
    if (answer.answer !== "saved") throw this.unexpected(answer.answer);
    return answer.bytes;
  }

  load(source: Fd, bytes: number): void {
    const answer = this.ask({ do: "load", bytes }, source);
    if (answer.answer !== "done") throw this.unexpected(answer.answer);
  }

  check(): void {
    const answer = this.ask({ do: "check" }, undefined);
    if (answer.answer !== "done") throw this.unexpected(answer.answer);
  }

  swap({ to, fallback: other, losesConnections, keep }: SwapRequest): SwapReport {
    const fallback = other ?? null;
    const request = { do: "swap", to, fallback, loses_connections: losesConnections } as const;
    const answer = this.ask(request, keep);
    if (answer.answer !== "swapped") throw this.unexpected(answer.answer);
    return answer.report;
  }

  /** Has the proxy's program replaced by another binary. */
  update(order: Omit<UpdateRequest, "do">): Extract<ControlAnswer, { answer: "updated" }> {
    const answer = this.ask({ do: "update", ...order }, undefined);
    if (answer.answer !== "updated") throw this.unexpected(answer.answer);
    return answer;
  }

  private ask(request: ControlRequest, fd: Fd | undefined): ControlAnswer {
    sendDescriptors(this.socket, packetOf(request), fd === undefined ? [] : [fd.number]);
    using poll = new PollSet();
    poll.add(this.socket, "readable");
    if (!poll.wait(this.waitMs * LIMITS_A_REQUEST)) {
      throw new RefusedError(`${this.name} did not answer "${request.do}" in time`);
    }
    using received = receiveDescriptors(this.socket, MESSAGE_BYTES_MAX);
    const answer = parsePacket(ControlAnswer, received?.bytes ?? new Uint8Array(0));
    if (answer === undefined) {
      const found = received?.bytes.length === 0 ? "that it closed" : "something else";
      throw new RefusedError(`${this.name}: wanted the answer of a proxy, found ${found}`);
    }
    if (answer.answer === "refused") throw new RefusedError(answer.reason);
    return answer;
  }

  private unexpected(found: string): RefusedError {
    return new RefusedError(`${this.name} gave an answer to something else: ${found}`);
  }
}

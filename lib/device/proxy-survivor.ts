// The proxy as a program that can be replaced, and its successor. All of its state is in the
// difference: it is small, and half of a message is part of it.

import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { RefusedError } from "../base/index.ts";
import {
  type Adoption,
  carriedFd,
  type Heir,
  type Outcome,
  type ProbeTalk,
  type Survivor,
} from "../handover/index.ts";
import { createMemfd, type Fd, type Loop, statOf, writeBytesAt } from "../sys/index.ts";
import { ControlAnswer, packetOf, parsePacket } from "./control-messages.ts";
import { ProxyState } from "./proxy-state.ts";
import { Proxy, type ProxyOptions } from "./proxy.ts";

export const PROXY_KIND = "device_proxy";
export const PROXY_STATE_VERSION = 1;
const STATE_BYTES_MAX = 16 * 1024 * 1024;
/** The first requests may be long in coming: a guest at rest sends none. */
const SERVED_AFTER_MS = 20;

const encode = (proxy: Proxy): Uint8Array => Buffer.from(JSON.stringify(proxy.state()));
const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export function proxySurvivor(proxy: Proxy): Survivor {
  return {
    kind: PROXY_KIND,
    stateVersion: PROXY_STATE_VERSION,
    settings: "",
    obstacles: () => proxy.obstacles,
    counts: () => proxy.counts,
    snapshot() {
      const file = createMemfd("device proxy");
      const bytes = encode(proxy);
      writeBytesAt(file, bytes, 0);
      const close = (): void => file[Symbol.dispose]();
      return { file, digest: digestOf(bytes), advance: () => true, [Symbol.dispose]: close };
    },
    descriptors: () => proxy.descriptors(),
    pause: () => proxy.pause(),
    resume(outcome) {
      proxy.resume();
      proxy.control.tellAsker(answerOf(outcome));
    },
    difference: () => encode(proxy),
    digest: () => digestOf(encode(proxy)),
    probe,
    adoptAgain(touched, outcome) {
      proxy.dropTouched(touched);
      proxy.resume();
      proxy.control.tellAsker(answerOf(outcome));
    },
    leave: () => proxy.leave(),
  };
}

export interface ProxyHeirOptions {
  readonly loop: Loop;
  readonly proxy: ProxyOptions;
  readonly onServing: (proxy: Proxy) => void;
}

export function proxyHeir({ loop, proxy: options, onServing }: ProxyHeirOptions): Heir {
  let proxy: Proxy | undefined;
  const adopted = (): Proxy => {
    if (proxy === undefined) throw new RefusedError("Cannot serve: nothing was adopted");
    return proxy;
  };
  return {
    rehearse(copy) {
      const bytes = contentOf(copy);
      decode(bytes);
      return digestOf(bytes);
    },
    adopt(adoption: Adoption) {
      const { difference, touched, touch } = adoption;
      const take = (key: string): Fd => carriedFd(adoption, key);
      proxy = new Proxy(options, { state: decode(difference), take });
      proxy.touch = touch;
      proxy.descriptors(); // Nothing new: the order is that of the list.
      const digest = digestOf(encode(proxy));
      if (touched.size > 0) proxy.dropTouched(touched);
      return digest;
    },
    probe,
    serveProbe: (fd) => adopted().control.add(fd),
    serve(outcome) {
      const served = adopted();
      served.resume();
      served.control.tellAsker(answerOf(outcome));
      onServing(served);
      return proxySurvivor(served);
    },
    onFirstServed: (report) => void loop.after(SERVED_AFTER_MS, report),
  };
}

/** The status, which any proxy tells. */
function probe(): ProbeTalk {
  return {
    opening: packetOf({ do: "status" }),
    next(bytes) {
      const answer = parsePacket(ControlAnswer, bytes);
      if (answer === undefined) return { kind: "more" };
      if (answer.answer === "status") return { kind: "right" };
      throw new RefusedError(
        `The new program answers "${answer.answer}" when asked for its status`,
      );
    },
  };
}

function answerOf({ kind, ...outcome }: Outcome): ControlAnswer {
  const { report } = outcome;
  if (kind === "kept" && "reason" in outcome) return { answer: "refused", reason: outcome.reason };
  const { generation, pause_ms: pause } = report;
  return { answer: "updated", generation, pause_ms: pause.measured };
}

function decode(bytes: Uint8Array): ProxyState {
  const state = parsePacket(ProxyState, bytes);
  if (state !== undefined) return state;
  throw new RefusedError("Cannot adopt the state of the proxy: it is none that this program knows");
}

function contentOf(file: Fd): Uint8Array {
  const { size } = statOf(file.number);
  if (size > STATE_BYTES_MAX) throw new RefusedError("Cannot adopt: the state is too large");
  const bytes = new Uint8Array(size);
  readSync(file.number, bytes, 0, size, 0);
  return bytes;
}

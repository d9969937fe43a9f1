// Where the sender's stream comes from: standard input, an inherited descriptor, or a connection
// that is waited for. xl's sender begins when it has read the receiver's banner; that goes back the
// other way, where there is one.

import { unlinkSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { SystemError, UsageError } from "../base/index.ts";
import { BANNER } from "../stream/index.ts";
import {
  acceptUnix,
  bindTcp,
  bindUnix,
  connectUnix,
  duplicate,
  type Fd,
  type FileKind,
  kindOf,
  statOf,
  waitReadable,
  writeFully,
} from "../sys/index.ts";

export interface Sender extends Disposable {
  readonly fd: Fd;
  readonly kind: FileKind;
  /** Where the banner goes; undefined where nobody would read it. */
  readonly back: Fd | undefined;
}

export type SenderPlace =
  | { readonly kind: "stdin" }
  | { readonly kind: "descriptor"; readonly number: number }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** "unix:PATH", "HOST:PORT", "[HOST]:PORT" or ":PORT". Throws UsageError. */
export function parseListenAddress(text: string): SenderPlace {
  if (text.startsWith("unix:") && text.length > 5) return { kind: "unix", path: text.slice(5) };
  const found = /^(?:\[([^\]]+)\]|([^:]*)):([0-9]{1,5})$/.exec(text);
  const host = found?.[1] ?? (found?.[2] === "" ? "::" : found?.[2]);
  const port = Number(found?.[3]);
  const isHost = host !== undefined && (isIPv4(host) || isIPv6(host));
  if (isHost && port <= 65535) return { kind: "tcp", host, port };
  const wanted = "wanted ADDRESS:PORT, [ADDRESS]:PORT, :PORT or unix:PATH";
  throw new UsageError(`Cannot listen on "${text}": ${wanted}, the address in numbers`);
}

/** `listening` is told before a connection is waited for. */
export function openSender(place: SenderPlace, listening: (name: string) => void): Sender {
  switch (place.kind) {
    case "stdin": {
      const output = duplicate(1, "standard output");
      const kind = kindOf(statOf(output.number));
      const hasReader = kind === "pipe" || kind === "socket";
      return senderOf(duplicate(0, "standard input"), hasReader ? output : undefined);
    }
    case "descriptor": {
      const fd = duplicate(place.number, `descriptor ${place.number}`);
      return senderOf(fd, kindOf(statOf(fd.number)) === "socket" ? fd : undefined);
    }
    case "tcp":
      return accept(bindTcp(place), listening);
    case "unix": {
      const { path } = place;
      const sender = accept(bindFresh(path), listening);
      unlinkSync(path); // Nobody else is waited for.
      return sender;
    }
  }
}

/** A socket that a receiver left behind when it was killed is no reason not to listen. */
function bindFresh(path: string): Fd {
  try {
    return bindUnix({ path, kind: "stream" });
  } catch (error) {
    if (!(error instanceof SystemError) || error.failure.code !== "EADDRINUSE") throw error;
    if (!isLeftBehind(path)) throw error;
    unlinkSync(path);
    return bindUnix({ path, kind: "stream" });
  }
}

function isLeftBehind(path: string): boolean {
  try {
    using _ = connectUnix({ path, kind: "stream", waitMs: 1000 });
    return false;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.failure.code === "ECONNREFUSED";
  }
}

function accept(listener: Fd, listening: (name: string) => void): Sender {
  using socket = listener;
  listening(socket.name);
  for (;;) {
    waitReadable(socket);
    const fd = acceptUnix(socket);
    if (fd === undefined) continue;
    fd.name = `the connection to ${socket.name}`;
    return senderOf(fd, fd);
  }
}

function senderOf(fd: Fd, back: Fd | undefined): Sender {
  return {
    fd,
    kind: kindOf(statOf(fd.number)),
    back,
    [Symbol.dispose]() {
      fd[Symbol.dispose]();
      back?.[Symbol.dispose]();
    },
  };
}

/** Tells xl's sender that it may begin. */
export function sendBanner({ back }: Sender): void {
  if (back !== undefined) writeFully(back, new TextEncoder().encode(BANNER), BANNER.length);
}

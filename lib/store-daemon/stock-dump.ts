// What a stock daemon leaves behind when its own live update makes it the program that runs now: a
// file in its run folder, and descriptors under the numbers that the file names.
//
//   C xenstored   <run folder>/state_dump   the migration stream
//   oxenstored    <run folder>/db           its text
//
// There is no way back from here, so what can be served is served: a client's descriptor that is no
// socket is said and left out. A file that is not whole is refused, for a store that is nearly
// right is worse than none, and stays for whoever looks into it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { RefusedError } from "../base/index.ts";
import { StreamError } from "../bytes/index.ts";
import {
  closeOnExec,
  descriptorTarget,
  Fd,
  isListening,
  kindOf,
  openDescriptorNumbers,
  openForReading,
  statOf,
  STDERR_FD,
} from "../sys/index.ts";
import {
  channelName,
  decodeState,
  DUMP_BYTES_MAX,
  HEADER_BYTES,
  PAYLOAD_BYTES_MAX,
  type StateConnection,
  type StateFormat,
  type StoreState,
} from "../xenstore/index.ts";
import type { ClientParts } from "./parts.ts";

export type StockKind = "c" | "oxenstored";

export interface StockDump {
  readonly kind: StockKind;
  readonly path: string;
}

const FILE: Readonly<Record<StockKind, string>> = { c: "state_dump", oxenstored: "db" };
const FORMATS: Readonly<Record<StockKind, readonly StateFormat[]>> = {
  c: ["stream", "stream-v2"],
  oxenstored: ["text"],
};
const LENGTH_AT = 12;

export const stockDump = (kind: StockKind, runFolder: string): StockDump => ({
  kind,
  path: join(runFolder, FILE[kind]),
});

/** Reads and verifies all of it. Throws SystemError, RefusedError. */
export function readStockDump({ kind, path }: StockDump): StoreState {
  using file = openForReading(path);
  const { size } = statOf(file.number);
  if (size > DUMP_BYTES_MAX) {
    throw unfit(path, `wanted at most ${DUMP_BYTES_MAX} bytes, found ${size}`);
  }
  const { state, format } = decoded(path, new Uint8Array(readFileSync(file.number)));
  if (!FORMATS[kind].includes(format)) {
    throw unfit(path, `wanted ${FORMATS[kind].join(" or ")}, found ${format}`);
  }
  const { socketFd, eventChannelFd } = state.global;
  if (socketFd === null) throw unfit(path, "wanted a listening socket, found none");
  const seen = new Set<number>();
  const sockets = state.connections.flatMap(({ channel }) =>
    channel.kind === "socket" ? [channel.fd] : [],
  );
  for (const fd of [socketFd, ...(eventChannelFd === null ? [] : [eventChannelFd]), ...sockets]) {
    if (seen.has(fd)) throw unfit(path, `wanted each descriptor once, found ${fd} again`);
    seen.add(fd);
  }
  for (const connection of state.connections) checkMessages(path, connection);
  return state;
}

function decoded(path: string, bytes: Uint8Array) {
  try {
    return decodeState(bytes);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    throw unfit(path, error.message);
  }
}

const unfit = (path: string, why: string): RefusedError =>
  new RefusedError(`Cannot go on with the store of "${path}": ${why}`);

/** What waits to be sent is walked by its lengths later on: they must lead to its end. */
function checkMessages(path: string, { channel, output, begunOutputBytes }: StateConnection): void {
  const view = new DataView(output.buffer, output.byteOffset, output.length);
  let at = begunOutputBytes;
  while (at < output.length) {
    const left = output.length - at;
    const length = left < HEADER_BYTES ? Infinity : view.getUint32(at + LENGTH_AT, true);
    if (length > PAYLOAD_BYTES_MAX || HEADER_BYTES + length > left) {
      const what = `the output of ${channelName(channel)} at 0x${at.toString(16)}`;
      throw unfit(path, `${what}: wanted a whole message, found ${left} bytes`);
    }
    at += HEADER_BYTES + length;
  }
}

/** The listening socket. */
export function claimListener(path: string, number: number): Fd {
  if (!isListening(number)) {
    throw unfit(path, `wanted a listening socket as descriptor ${number}, found ${whatIs(number)}`);
  }
  return own(number, "the listening socket");
}

/** The device of the event channels: the bindings are in it. */
export function claimEvents(path: string, number: number): Fd {
  const kind = kindAt(number);
  if (kind === "character" || kind === "pipe") return own(number, "the event channels");
  throw unfit(path, `wanted event channels as descriptor ${number}, found ${whatIs(number)}`);
}

/** A client's socket; undefined: it is none. */
export const claimClient = (number: number): Fd | undefined =>
  kindAt(number) === "socket" && !isListening(number)
    ? own(number, `fd ${number} (socket)`)
    : undefined;

function own(number: number, name: string): Fd {
  const fd = new Fd(number, name);
  closeOnExec(fd); // The runtime leaves an inherited 3 as it was.
  return fd;
}

function kindAt(number: number) {
  try {
    return number <= STDERR_FD ? "other" : kindOf(statOf(number));
  } catch {
    return "closed";
  }
}

export const whatIs = (number: number): string => `${kindAt(number)} (${descriptorTarget(number)})`;

/**
 * Output as an outbox keeps it: from the beginning of a message on. The header of one that the
 * stock daemon has begun is gone; one is put there that only tells how long the rest is.
 */
export function outputOf({
  output,
  begunOutputBytes,
}: StateConnection): Pick<ClientParts, "output" | "sentBytes"> {
  if (begunOutputBytes === 0) return { output, sentBytes: 0 };
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(begunOutputBytes, LENGTH_AT);
  return { output: Buffer.concat([header, output]), sentBytes: HEADER_BYTES };
}

const WRITING_MASK = 0o3;
const FLAGS = /^flags:\s*([0-7]+)$/m;

/**
 * Closes the logs and the pid file that the stock daemon had open, which nobody asks for any more;
 * the lock of the pid file goes with it. Before files of our own are opened.
 */
export function closeInheritedFiles(): void {
  for (const number of openDescriptorNumbers()) {
    if (number <= STDERR_FD || kindAt(number) !== "file") continue;
    if (!descriptorTarget(number).startsWith("/") || isMemory(number)) continue;
    const [, flags = "0"] = FLAGS.exec(readFileSync(`/proc/self/fdinfo/${number}`, "latin1")) ?? [];
    if ((Number.parseInt(flags, 8) & WRITING_MASK) !== 0) new Fd(number, "")[Symbol.dispose]();
  }
}

const isMemory = (number: number): boolean => descriptorTarget(number).startsWith("/memfd:");

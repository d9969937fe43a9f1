// Requests and answers, written down: in the C daemon's form (its -T), or as oxenstored's access
// log does it. Only made when asked for: this makes strings for every request.
//
//   io: IN 0x5 (d0) 20261121 13:40:07 READ (/local/domain/0/name )
//   [20261121T13:40:07.123Z]  A5           write     /tool/x 1

import { HEADER_BYTES, LOG_SWITCH, OPERATION } from "../xenstore/index.ts";
import type { Client } from "./client.ts";
import type { LogFile } from "./log-file.ts";

export interface RequestTrace {
  /** The header stands at `at`. */
  request(client: Client, bytes: Uint8Array, at: number): void;
  /** Something of its outbox is about to be sent. */
  output(client: Client): void;
  connected(client: Client): void;
  gone(client: Client): void;
  /** What the operator is told anyway. */
  note(line: string): void;
  /** CONTROL log has changed what is wanted, as a mask of LOG_SWITCH. */
  switches(mask: number): void;
  /** The turn is over. */
  flush(): void;
  reopen(): void;
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(OPERATION).map(([name, number]) => [number, name]),
);
const TRANSACTION_AT = 8;
const LENGTH_AT = 12;

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;

/** The payload as text on one line, NULs as blanks. */
function payloadText(bytes: Uint8Array, at: number): string {
  const start = at + HEADER_BYTES;
  const length = word(bytes, at + LENGTH_AT);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString("latin1");
  return text.replaceAll("\0", " ").replaceAll(/[\x01-\x1f\x7f-\xff]/g, escaped);
}

const escaped = (character: string): string =>
  `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;

const two = (value: number): string => String(value).padStart(2, "0");

/** As the C daemon writes it. */
export class WireTrace implements RequestTrace {
  private readonly file: LogFile;
  private mask: number;
  /** How far the output of each client has been written down, by its place in the stream. */
  private readonly traced = new WeakMap<Client, number>();

  constructor(file: LogFile, mask: number) {
    this.file = file;
    this.mask = mask;
    file.add("");
    file.add("***");
  }

  request(client: Client, bytes: Uint8Array, at: number): void {
    this.line("IN", client, bytes, at);
  }

  output(client: Client): void {
    const { outbox } = client;
    const from = Math.max(this.traced.get(client) ?? 0, outbox.base + outbox.start) - outbox.base;
    for (let at = from; at < outbox.end;) {
      this.line("OUT", client, outbox.bytes, at);
      at += HEADER_BYTES + word(outbox.bytes, at + LENGTH_AT);
    }
    this.traced.set(client, outbox.base + outbox.end);
  }

  connected(client: Client): void {
    if ((this.mask & LOG_SWITCH.obj) !== 0) this.file.add(`obj: CREATE connection ${id(client)}`);
  }
  gone(client: Client): void {
    if ((this.mask & LOG_SWITCH.obj) !== 0) this.file.add(`obj: DESTROY connection ${id(client)}`);
  }
  note(line: string): void {
    this.file.add(line);
  }
  switches(mask: number): void {
    this.mask = mask;
  }
  flush(): void {
    this.file.flush();
  }
  reopen(): void {
    this.file.reopen();
  }

  private line(direction: string, client: Client, bytes: Uint8Array, at: number): void {
    if ((this.mask & LOG_SWITCH.io) === 0) return;
    const now = new Date();
    const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
    const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
    const name = NAMES.get(word(bytes, at)) ?? "**UNKNOWN**";
    const text = payloadText(bytes, at);
    const who = `${id(client)} (d${client.domid})`;
    this.file.add(`io: ${direction} ${who} ${day} ${time} ${name} (${text})`);
  }
}

const id = (client: Client): string => `0x${client.connection.toString(16)}`;

/** oxenstored's words, where they are not the operation's name in lower case. */
const ACCESS_WORDS: Readonly<Record<string, string>> = {
  CONTROL: "debug",
  GET_PERMS: "getperms",
  SET_PERMS: "setperms",
  TRANSACTION_START: "t start",
  TRANSACTION_END: "t end",
  GET_DOMAIN_PATH: "getdomain",
  IS_DOMAIN_INTRODUCED: "is introduced",
  SET_TARGET: "settarget",
  RESET_WATCHES: "reset watches",
  DIRECTORY_PART: "directory part",
};
const READING: ReadonlySet<string> = new Set([
  "READ",
  "DIRECTORY",
  "DIRECTORY_PART",
  "GET_PERMS",
  "GET_DOMAIN_PATH",
  "IS_DOMAIN_INTRODUCED",
]);

/** Who changed what, a line each: reading requests only where they are wanted too. */
export class AccessLog implements RequestTrace {
  private readonly file: LogFile;
  private readonly withReads: boolean;

  constructor(file: LogFile, withReads: boolean) {
    this.file = file;
    this.withReads = withReads;
  }

  request(client: Client, bytes: Uint8Array, at: number): void {
    const name = NAMES.get(word(bytes, at)) ?? "unknown";
    if (!this.withReads && READING.has(name)) return;
    const transaction = word(bytes, at + TRANSACTION_AT);
    const access = ACCESS_WORDS[name] ?? name.toLowerCase();
    this.line(client, transaction, access, payloadText(bytes, at));
  }
  output(): void {
    // Only what is asked for is written down.
  }
  connected(client: Client): void {
    this.line(client, 0, "newconn", "");
  }
  gone(client: Client): void {
    this.line(client, 0, "endconn", "");
  }
  note(): void {
    // That goes to the daemon's own log.
  }
  switches(): void {
    // These are the other form's.
  }
  flush(): void {
    this.file.flush();
  }
  reopen(): void {
    this.file.reopen();
  }

  private line(client: Client, transaction: number, access: string, text: string): void {
    const stamp = new Date().toISOString().replaceAll("-", "");
    const name = client.socket === undefined ? `D${client.domid}` : `A${client.connection}`;
    const who = transaction === 0 ? name : `${name}.${transaction}`;
    this.file.add(`[${stamp}]  ${who.padEnd(12)} ${access.padEnd(9)} ${text}`.trimEnd());
  }
}

/** Several at once. */
export function traceTogether(traces: readonly RequestTrace[]): RequestTrace | undefined {
  const [first] = traces;
  if (first === undefined || traces.length === 1) return first;
  const each = (visit: (trace: RequestTrace) => void) => (): void => traces.forEach(visit);
  return {
    request: (client, bytes, at) => traces.forEach((trace) => trace.request(client, bytes, at)),
    output: (client) => traces.forEach((trace) => trace.output(client)),
    connected: (client) => traces.forEach((trace) => trace.connected(client)),
    gone: (client) => traces.forEach((trace) => trace.gone(client)),
    note: (line) => traces.forEach((trace) => trace.note(line)),
    switches: (mask) => traces.forEach((trace) => trace.switches(mask)),
    flush: each((trace) => trace.flush()),
    reopen: each((trace) => trace.reopen()),
  };
}

// The xenstore protocol as clients of tests speak it, on purpose apart from what lib/xenstore says
// of it: operation numbers, messages to bytes and back, and messages as one line of text.

export const OP = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESTRICT: 20,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
  GET_FEATURE: 23,
  SET_FEATURE: 24,
  GET_QUOTA: 25,
  SET_QUOTA: 26,
} as const;

export type OpName = keyof typeof OP;

export const HEADER_BYTES = 16;
export const PAYLOAD_BYTES_MAX = 4096;

/** A message with its payload as text of one character a byte. */
export interface Message {
  readonly type: number;
  readonly request: number;
  readonly transaction: number;
  readonly body: string;
}

/** The bytes of a message. `length` is what its header says, where that is to be wrong. */
export function messageBytes(message: Message, length = message.body.length): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + message.body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, message.type, true);
  view.setUint32(4, message.request, true);
  view.setUint32(8, message.transaction, true);
  view.setUint32(12, length, true);
  for (let index = 0; index < message.body.length; index++) {
    bytes[HEADER_BYTES + index] = message.body.charCodeAt(index);
  }
  return bytes;
}

/** Puts what arrives together again. */
export class Inbox {
  private held = Buffer.alloc(8 * 1024);
  private from = 0;
  private to = 0;

  add(bytes: Uint8Array): void {
    if (this.to + bytes.length > this.held.length) {
      const left = this.held.subarray(this.from, this.to);
      const grown = Buffer.alloc(Math.max(this.held.length, (left.length + bytes.length) * 2));
      left.copy(grown);
      [this.held, this.from, this.to] = [grown, 0, left.length];
    }
    this.held.set(bytes, this.to);
    this.to += bytes.length;
  }

  /** The next whole message. */
  take(): Message | undefined {
    const have = this.to - this.from;
    if (have < HEADER_BYTES) return undefined;
    const length = this.held.readUInt32LE(this.from + 12);
    if (have < HEADER_BYTES + length) return undefined;
    const at = this.from;
    this.from += HEADER_BYTES + length;
    const body = this.held.toString("latin1", at + HEADER_BYTES, this.from);
    const message = {
      type: this.held.readUInt32LE(at),
      request: this.held.readUInt32LE(at + 4),
      transaction: this.held.readUInt32LE(at + 8),
      body,
    };
    if (this.from === this.to) this.from = this.to = 0;
    return message;
  }
}

const NAMES = new Map<number, string>(Object.entries(OP).map(([name, number]) => [number, name]));

export const opName = (type: number): string => NAMES.get(type) ?? `type ${type}`;

/** READ #3 t1 "a\0b" */
export function describeMessage({ type, request, transaction, body }: Message): string {
  const tx = transaction === 0 ? "" : ` t${transaction}`;
  return `${opName(type)} #${request}${tx} ${quoteBytes(body)}`;
}

/** Text in quotes, NUL as |, other bytes that do not print as \xHH, long ones shortened. */
export function quoteBytes(body: string): string {
  const plain = body.replaceAll(/[^\x20-\x7e]/g, (found) =>
    found === "\0" ? "|" : `\\x${found.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  if (plain.length <= 600) return `"${plain}"`;
  const digest = Bun.hash.crc32(body).toString(16);
  return `"${plain.slice(0, 100)}..." (${body.length} bytes, ${digest})`;
}

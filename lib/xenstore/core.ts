// What one store has at hand while it works: the arena, the request, and registers that functions
// fill for each other instead of making objects.

import type { Arena } from "./arena.ts";
import type { EventQueue } from "./event-queue.ts";
import { CONNECTION, HEADER, NODE, ROW_WORDS } from "./layout.ts";
import { PAYLOAD_BYTES_MAX } from "./limits.ts";
import type { Path } from "./path.ts";
import type { Host } from "./ports.ts";

/** A node as somebody sees it: of the store, or of a transaction's own copy. */
export class View {
  /** Row of the node or of the overlay; 0: it is not there. */
  row = 0;
  isOverlay = false;
  /** Word of the first permission. */
  permissionsAt = 0;
  permissionCount = 0;
  /** Byte offset of the value. */
  valueAt = 0;
  valueBytes = 0;
  /** Length of its children's names, each with a NUL. */
  childBytes = 0;
  generation = 0;
}

/** The request in hand. */
export class Request {
  /** Row of the connection, and what of it is asked for all the time. */
  connection = 0;
  number = 0;
  domid = 0;
  domain = 0;
  target = -1;
  isPrivileged = false;
  /** Row of the transaction; 0: none. */
  transaction = 0;
  bytes: Uint8Array = new Uint8Array(0);
  type = 0;
  requestId = 0;
  transactionId = 0;
  /** Payload. */
  from = 0;
  length = 0;
  /** The answer: bytes of the arena, of `scratch` or of a fixed text. */
  reply: Uint8Array = new Uint8Array(0);
  replyAt = 0;
  replyLength = 0;
  /** The reply goes before the events (WATCH). */
  isReplyFirst = false;
  /** There is no reply yet: the host answers later. */
  isLater = false;
}

export class Core {
  readonly arena: Arena;
  readonly host: Host;
  readonly path: Path;
  /** A second path, for walks below the first and up its parents. */
  readonly walk: Path;
  readonly events: EventQueue;
  readonly request = new Request();
  /** Where replies are put together. */
  readonly scratch = new Uint8Array(2 * PAYLOAD_BYTES_MAX);
  readonly view = new View();
  readonly other = new View();
  /** What the host is told when the operation is final. */
  readonly afterwards: (() => void)[] = [];
  /** CONTROL check: everything is to be verified when the operation is final. */
  checkIsWanted = false;
  /** Rows by the daemon's numbers, and by domid: derived from the arena. */
  readonly connectionRows: number[] = [0];
  readonly domainRows = new Int32Array(65536);
  readonly privilegedDomid: number;
  readonly storeDomid: number;
  readonly keepOrphans: boolean;

  constructor(arena: Arena, host: Host, paths: { path: Path; walk: Path; events: EventQueue }) {
    this.arena = arena;
    this.host = host;
    this.path = paths.path;
    this.walk = paths.walk;
    this.events = paths.events;
    this.privilegedDomid = arena.words[HEADER.privilegedDomid]!;
    this.storeDomid = arena.words[HEADER.storeDomid]!;
    this.keepOrphans = arena.words[HEADER.keepOrphans] !== 0;
  }

  /** Takes a new generation, as each write does. */
  nextGeneration(): number {
    const generation = this.arena.get64(HEADER.storeGeneration) + 1;
    this.arena.set64(HEADER.storeGeneration, generation);
    return generation;
  }
}

/** Loads the view with a node of the store. */
export function viewNode(core: Core, view: View, row: number): void {
  const words = core.arena.words;
  const at = row * ROW_WORDS;
  const name = words[at + NODE.name]!;
  const payload = words[at + NODE.block]! + 12;
  view.row = row;
  view.isOverlay = false;
  view.permissionsAt = payload >> 2;
  view.permissionCount = name >>> 16;
  view.valueAt = payload + view.permissionCount * 4 + (((name & 0xffff) + 3) & ~3);
  view.valueBytes = words[at + NODE.valueBytes]!;
  view.childBytes = words[at + NODE.childBytes]!;
  view.generation = core.arena.get64(at + NODE.generation);
}

/** Takes over whose request it is. */
export function setClient(core: Core, connection: number): void {
  const { request, arena } = core;
  const at = connection * ROW_WORDS;
  const words = arena.words;
  request.connection = connection;
  request.number = words[at + CONNECTION.number]!;
  request.domid = words[at + CONNECTION.domid]!;
  request.domain = words[at + CONNECTION.domain]!;
  request.target = words[at + CONNECTION.target]!;
  request.isPrivileged = request.domid === core.privilegedDomid;
  request.transaction = 0;
}

const OK_TEXT = Buffer.from("OK\0");

/** The answer of an operation that only says that it is done. */
export function acknowledge(core: Core): number {
  return answer(core, OK_TEXT, 0, OK_TEXT.length);
}

/** The answer is these bytes; they are looked at when the operation is final. */
export function answer(core: Core, bytes: Uint8Array, at: number, length: number): number {
  const { request } = core;
  request.reply = bytes;
  request.replyAt = at;
  request.replyLength = length;
  return 0;
}

/** The answer is a text, with a NUL behind it. */
export const answerText = (core: Core, text: string): number => {
  const bytes = Buffer.from(`${text}\0`, "latin1");
  return answer(core, bytes, 0, bytes.length);
};

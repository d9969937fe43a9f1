// What a new program does before it takes over, so that the takeover itself is quick: it serves
// clients of its own on a copy of the store, again and again hands them over to itself, and so has
// run all of the code that the clients of the old program would have to wait for otherwise. Code of
// this runtime is ten times slower when it runs for the first time.

import {
  borrow,
  type Fd,
  giveWay,
  type GrowingMemory,
  Loop,
  makeNonBlocking,
  makeSocketPair,
  readReady,
  TRY_AGAIN,
  writeReady,
} from "../sys/index.ts";
import { awaitStore, continueStore } from "../xenstore/index.ts";
import type { Client } from "./client.ts";
import { noHypervisor } from "./hypervisor.ts";
import { decodeLiveParts, encodeLiveParts } from "./live-parts.ts";
import { storeProbe } from "./live-probe.ts";
import { clientsBeside, rosterOf } from "./live-survivor.ts";
import type { ClientParts } from "./parts.ts";
import { StoreDaemon } from "./store-daemon.ts";

/** Few, as the limit of descriptors holds for them too; often, until everything is compiled. */
const CLIENTS = 16;
const ROUNDS = 60;
const TALKS = 2;
const READ_BYTES = 4096;
/** READ /tool: u32 type, request, transaction, length; then the payload. */
const READ_REQUEST = Buffer.from("020000000100000000000000060000002f746f6f6c00", "hex");

interface Pair {
  readonly ours: Fd;
  readonly theirs: Fd;
}

/** The copy is changed by it. */
export function practise(memory: GrowingMemory): void {
  using loop = new Loop();
  using undo = new DisposableStack();
  let daemon = practiceDaemon(loop, memory, continueStore);
  daemon.adopt([], true); // Whoever the copy knows is not here.
  const pairs = Array.from({ length: CLIENTS }, () => connectedPair(daemon, undo));
  for (let round = 0; round < ROUNDS; round++) {
    probe(daemon);
    giveWay();
    daemon.resume();
    for (const { theirs } of pairs.slice(0, TALKS)) {
      ask(loop, theirs);
      giveWay();
    }
    daemon.pause();
    daemon = handedOver(daemon, practiceDaemon(loop, memory, awaitStore));
  }
}

function connectedPair(daemon: StoreDaemon, undo: DisposableStack): Pair {
  const pair = nonBlockingPair();
  undo.use(pair.ours);
  undo.use(pair.theirs);
  daemon.accept(pair.ours);
  return pair;
}

function nonBlockingPair(): Pair {
  const [ours, theirs] = makeSocketPair("stream");
  makeNonBlocking(ours);
  makeNonBlocking(theirs);
  return { ours, theirs };
}

/** What the old program writes down and the new one reads, first most of it, then the rest. */
function handedOver(from: StoreDaemon, to: StoreDaemon): StoreDaemon {
  const clients = new Set(from.allClients());
  const sockets = new Map(from.allClients().map(({ key, socket }) => [key, socket]));
  const keyOf = (connection: number): string => from.client(connection)?.key ?? "";
  const rest = { listeners: [], events: null, pid_file: null, asker: null };
  const roster = encodeLiveParts(rosterOf(clients), keyOf, rest);
  const changes = encodeLiveParts({ clients: changesOf(from, clients) }, keyOf, rest);
  const all = encodeLiveParts(from.parts(), keyOf, rest);
  giveWay();
  from.letGo();
  for (const { connection, key } of decodeLiveParts(roster).head.clients) {
    const socket = sockets.get(key ?? "");
    if (socket !== undefined) to.standBy(connection, socket);
  }
  giveWay();
  to.store.take();
  decodeLiveParts(changes);
  const { head, bytes } = decodeLiveParts(all);
  to.adopt(
    head.clients.map((client, index) => ({
      ...client,
      ...bytes[index]!, // As many of both.
      kind: client.key === null ? "ring" : "socket",
      socket: sockets.get(client.key ?? ""),
      ring: client.ring ?? undefined,
      sentBytes: client.sent_bytes,
      isIgnored: client.is_ignored,
    })),
    true,
  );
  to.store.digest();
  giveWay();
  return to;
}

const changesOf = (daemon: StoreDaemon, known: ReadonlySet<Client>): ClientParts[] =>
  clientsBeside(known, daemon).rest.map((client) => client.parts());

/** As the old program does. It asks for a bit of everything. The daemon is paused. */
function probe(daemon: StoreDaemon): void {
  const { ours, theirs } = nonBlockingPair();
  using _ = theirs;
  using loan = borrow(READ_BYTES);
  const { address, bytes } = loan.region;
  const { opening, next } = storeProbe();
  bytes.set(opening);
  writeReady(theirs, "socket", { address, bytes: opening.length });
  daemon.acceptProbe(ours);
  const got = readReady(theirs, address, READ_BYTES);
  if (got !== TRY_AGAIN && got !== 0) next(bytes.slice(0, got));
}

function ask(loop: Loop, socket: Fd): void {
  using loan = borrow(READ_BYTES);
  const { address, bytes } = loan.region;
  bytes.set(READ_REQUEST);
  writeReady(socket, "socket", { address, bytes: READ_REQUEST.length });
  loop.turn();
  readReady(socket, address, READ_BYTES);
}

function practiceDaemon(
  loop: Loop,
  memory: GrowingMemory,
  openStore: typeof awaitStore,
): StoreDaemon {
  const nothing = (): void => undefined;
  return new StoreDaemon({
    loop,
    hypervisor: noHypervisor(),
    memory,
    openStore,
    ownDomid: 0,
    eventTimeoutMs: 0,
    control: () => ({ error: "EINVAL" }),
    log: nothing,
    logging: nothing,
    logSwitches: nothing,
  });
}

// What a new program does before it takes over, so that the takeover itself is quick: it serves
// clients of its own on a copy of the store, again and again hands them over to itself, and so has
// run all of the code that the clients of the old program would have to wait for otherwise. Code of
// this runtime is ten times slower when it runs for the first time.

import {
  borrow,
  type Fd,
  type GrowingMemory,
  Loop,
  makeNonBlocking,
  makeSocketPair,
  readReady,
  TRY_AGAIN,
  writeReady,
} from "../sys/index.ts";
import { continueStore } from "../xenstore/index.ts";
import { noHypervisor } from "./hypervisor.ts";
import { decodeLiveParts, encodeLiveParts } from "./live-parts.ts";
import { storeProbe } from "./live-probe.ts";
import { StoreDaemon } from "./store-daemon.ts";

/** Few, as the limit of descriptors holds for them too; often, until everything is compiled. */
const CLIENTS = 16;
const ROUNDS = 24;
const TALKS = 2;
const READ_BYTES = 4096;

interface Pair {
  readonly ours: Fd;
  readonly theirs: Fd;
}

/** The copy is changed by it. */
export function practise(memory: GrowingMemory): void {
  using loop = new Loop();
  using undo = new DisposableStack();
  let daemon = practiceDaemon(loop, memory);
  daemon.adopt([], true); // Whoever the copy knows is not here.
  const pairs = Array.from({ length: CLIENTS }, () => connectedPair(daemon, undo));
  for (let round = 0; round < ROUNDS; round++) {
    daemon.resume();
    for (const { theirs } of pairs.slice(0, TALKS)) talk(loop, theirs);
    daemon.pause();
    daemon = handedOver(daemon, practiceDaemon(loop, memory));
  }
}

function connectedPair(daemon: StoreDaemon, undo: DisposableStack): Pair {
  const [ours, theirs] = makeSocketPair("stream");
  undo.use(ours);
  undo.use(theirs);
  makeNonBlocking(ours);
  makeNonBlocking(theirs);
  daemon.accept(ours);
  return { ours, theirs };
}

/** What the old program writes down and the new one reads. */
function handedOver(from: StoreDaemon, to: StoreDaemon): StoreDaemon {
  const keyOf = (connection: number): string => `client ${connection}`;
  const parts = from.parts();
  from.letGo();
  const rest = { listeners: [], events: null, pid_file: null, asker: null };
  const { head, bytes } = decodeLiveParts(encodeLiveParts(parts, keyOf, rest));
  const sockets = new Map(parts.clients.map(({ connection, socket }) => [connection, socket]));
  to.adopt(
    head.clients.map((client, index) => ({
      ...client,
      ...bytes[index]!, // As many of both.
      kind: client.key === null ? "ring" : "socket",
      socket: sockets.get(client.connection),
      sentBytes: client.sent_bytes,
      isIgnored: client.is_ignored,
    })),
    true,
  );
  return to;
}

/** The probe, which asks for a bit of everything. */
function talk(loop: Loop, socket: Fd): void {
  using loan = borrow(READ_BYTES);
  const { address, bytes } = loan.region;
  const probe = storeProbe();
  let request: Uint8Array | undefined = probe.opening;
  while (request !== undefined) {
    bytes.set(request);
    writeReady(socket, "socket", { address, bytes: request.length });
    loop.turn();
    const got = readReady(socket, address, READ_BYTES);
    if (got === TRY_AGAIN || got === 0) return; // The real probe says what is wrong.
    const step = probe.next(bytes.slice(0, got));
    request = step.kind === "send" ? step.bytes : undefined;
  }
}

function practiceDaemon(loop: Loop, memory: GrowingMemory): StoreDaemon {
  const nothing = (): void => undefined;
  return new StoreDaemon({
    loop,
    hypervisor: noHypervisor(),
    memory,
    openStore: continueStore,
    ownDomid: 0,
    eventTimeoutMs: 0,
    control: () => ({ error: "EINVAL" }),
    log: nothing,
    logging: nothing,
    logSwitches: nothing,
  });
}

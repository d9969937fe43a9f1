// Our xenstore daemon under damaged requests, over its socket and over rings of guests, and beside
// the C daemon. The daemons are started by the first case and serve all that follow; a good client
// has to be answered after each.

import { assert } from "../../lib/base/index.ts";
import { endDomain, makeDomain, RING, StoreGuest } from "../helpers/store-guest.ts";
import { HAS_PEERS, startPeer, type StoreDaemon } from "../helpers/store-peers.ts";
import { serveFromSource } from "../helpers/store-serve.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { type Message, messageBytes, OP } from "../helpers/store-wire.ts";
import { findDifference, report, shorten } from "../peers/store/differ.ts";
import { drawSteps } from "../peers/store/steps.ts";
import type { Fuzzer } from "./fuzzers.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import { edgy, onceIn, pick, type Random } from "./random.ts";

const DOMID = 21;
/** As many as a soak is to play a million of in all. */
const STEPS = 50;
const PAGE_BYTES = 4096;
const ANSWER_MS = 20_000;

/** A daemon that starts when it is needed. */
class Shared {
  private readonly start: () => StoreDaemon;
  private running: StoreDaemon | undefined;
  constructor(start: () => StoreDaemon) {
    this.start = start;
  }
  get(): StoreDaemon {
    this.running ??= this.start();
    return this.running;
  }
  end(): void {
    this.running?.[Symbol.dispose]();
    this.running = undefined;
  }
}

const ours = new Shared(serveFromSource);
const peer = new Shared(() => startPeer("c-4.20"));
/** Also where the fuzzing program ends without a word. */
process.on("exit", endStoreDaemons);

/** Ends what the cases have started. */
export function endStoreDaemons(): void {
  ours.end();
  peer.end();
}

function expectServed(daemon: StoreDaemon): void {
  using client = new StoreSocket(daemon.socket);
  const reply = client.ask("GET_DOMAIN_PATH", "0\0", 0);
  assert(reply?.body === "/local/domain/0\0", "a good client is answered");
}

/** Requests one behind the other, of which some are not what they should be. */
function requests(random: Random): Uint8Array {
  const count = 1 + random(6);
  const all = drawSteps(random, 20 + count)
    .slice(-count)
    .flatMap((step): Message[] => {
      if (step.kind !== "ask") return [];
      const transaction = onceIn(random, 3) ? edgy(random) : 0;
      return [{ type: step.op, request: edgy(random), transaction, body: step.body }];
    })
    // What changes quotas, or where the log goes, would tell on every case that follows.
    .filter(({ type }) => type !== OP.CONTROL)
    .map((message) => messageBytes(message));
  return onceIn(random, 3)
    ? new Uint8Array(Buffer.concat(all))
    : mutateBytes(new Uint8Array(Buffer.concat(all)), random);
}

/** Requests over a socket, in pieces, cut off somewhere. */
const storeWire: Fuzzer = {
  name: "store_wire",
  share: 1,
  run(random) {
    const daemon = ours.get();
    using client = new StoreSocket(daemon.socket);
    const bytes = requests(random);
    for (let at = 0; at < bytes.length;) {
      const length = onceIn(random, 2) ? bytes.length : 1 + random(40);
      if (!client.sendBytes(bytes.subarray(at, at + length))) break;
      at += length;
    }
    for (let found = client.receive(0); found !== undefined; found = client.receive(0)) {
      assert(found.body.length <= PAGE_BYTES, "no answer is longer than the protocol has it");
    }
    expectServed(daemon);
  },
};

/** A guest that writes what it likes into its ring page. */
const storeRing: Fuzzer = {
  name: "store_ring",
  share: 1,
  run(random) {
    const daemon = ours.get();
    using tools = new StoreSocket(daemon.socket);
    makeDomain(daemon.shim, DOMID);
    const introduced = tools.ask("INTRODUCE", `${DOMID}\x001\x005\0`, 0);
    assert(introduced?.type === OP.INTRODUCE, "a domain is introduced");
    {
      using guest = new StoreGuest(daemon.shim, DOMID);
      for (let turn = 1 + random(4); turn > 0; turn--) disturb(guest, random);
      expectServed(daemon);
    }
    endDomain(daemon.shim, DOMID);
    const untilMs = performance.now() + ANSWER_MS;
    while (tools.ask("IS_DOMAIN_INTRODUCED", `${DOMID}\0`, 0)?.body !== "F\0") {
      assert(performance.now() < untilMs, "a domain that died is forgotten");
    }
  },
};

function disturb(guest: StoreGuest, random: Random): void {
  const kind = random(4);
  if (kind === 0) guest.setField(2048 + 4 * random(8), edgy(random));
  else if (kind === 1) guest.page[random(PAGE_BYTES)] = random(256);
  else if (kind === 2) guest.setField(pick(random, Object.values(RING)) & ~3, random(2048));
  else guest.put(requests(random));
  guest.notify();
  if (onceIn(random, 2)) guest.drain();
}

/** The same operations sent to the C daemon and to ours. */
const storePeers: Fuzzer = {
  name: "store_peers",
  share: 1,
  run(random) {
    const pair = [ours.get(), peer.get()] as const;
    const steps = drawSteps(random, STEPS);
    const found = findDifference(pair, steps);
    if (found === undefined) return;
    const short = shorten(pair, steps, found);
    throw new Error(report(short, findDifference(pair, short) ?? found));
  },
};

export const STORE_FUZZERS: readonly Fuzzer[] = [
  storeWire,
  storeRing,
  ...(HAS_PEERS ? [storePeers] : []),
];

// What a client of `agent store serve` notices of a live update: the longest silence that one sees
// which asks without rest (ping-store.c), over the whole update, from the order to its answer.
//
//   promote    with many idle connections, at several sizes of the store; beside each update goes a
//              window of the same length without one, and that is what the machine itself costs
//   in place   with few connections, in turns with the C xenstored's own live update
//
// A busy machine is silent for long by itself: the figures that decide are the ratios.

import { readFileSync } from "node:fs";
import { monotonicMs } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { HAS_PEERS, startPeer, type StoreDaemon, xsload } from "../helpers/store-peers.ts";
import { startServe } from "../helpers/store-serve.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { killAll, settledPids, updateStore } from "../helpers/store-update.ts";
import { compileC, median } from "./runner.ts";
import type { StoreFigure } from "./store.ts";

export interface LiveUpdateSizes {
  readonly promoteNodes: readonly number[];
  readonly connections: number;
  readonly inPlaceNodes: readonly number[];
  readonly updates: number;
  /** For the resident memory. */
  readonly manyUpdates: number;
  /** Then the program has let go of what its start took. */
  readonly restMs: number;
}

const PROMOTE_MS_MAX = 5;
const PLACE_CONNECTIONS = 10;
const RATIO_MAX = 0.25;
/** Above so many nodes the C daemon's copying is what its clients wait for. */
const LARGE_NODES = 100_000;
const RSS_RATIO_MAX = 1.05;
const P95_RATIO_MAX = 2;
/** What is still on its way when the answer to the order has come. */
const AFTER_MS = 30;
const C_BINARY = "/usr/lib/xen-4.20/bin/xenstored";
const C = "c-4.20";

type Way = "promote" | "in-place";

interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export async function liveUpdateFigures(
  sizes: LiveUpdateSizes,
  folder: string,
): Promise<StoreFigure[]> {
  const ping = compileC("ping-store", folder);
  const found: StoreFigure[] = [];
  for (const nodes of sizes.promoteNodes) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other is the point.
    found.push(...(await promoted(ping, nodes, sizes)));
  }
  for (const nodes of sizes.inPlaceNodes) {
    // oxlint-disable-next-line no-await-in-loop -- as above.
    found.push(await inPlace(ping, nodes, sizes));
  }
  found.push(await memory(sizes));
  return found;
}

const describeStore = (nodes: number, connections: number): string =>
  `${nodes} nodes, ${connections} connections`;

// ---- Promote, against no update -----------------------------------------------------------------

async function promoted(
  ping: string,
  nodes: number,
  { updates, connections }: LiveUpdateSizes,
): Promise<StoreFigure[]> {
  const store = describeStore(nodes, connections);
  const most = `longest silence by promote, median, ${store}, against ${PROMOTE_MS_MAX} ms`;
  const tail = `longest silence by promote, p95, ${store}, against windows without an update`;
  const wanted = { most: P95_RATIO_MAX };
  if (!HAS_PEERS && nodes > 0) return [absent(most, { most: 1 }), absent(tail, wanted)];
  using daemon = serve();
  fill(daemon, nodes);
  const client = await Pinger.start(ping, daemon.socket, connections);
  const [busy, quiet]: [Window[], Window[]] = [[], []];
  for (let update = 0; update < updates; update++) {
    // oxlint-disable-next-line no-await-in-loop -- as above.
    const window = await during(() => updateOurs(daemon, "promote"));
    busy.push(window);
    // oxlint-disable-next-line no-await-in-loop -- as above.
    quiet.push(await during(() => Bun.sleep(window.toMs - window.fromMs - AFTER_MS)));
  }
  await client.stop();
  end(daemon);
  const ours = busy.map((window) => client.longestMs(window));
  const without = quiet.map((window) => client.longestMs(window));
  const [oursText, peerText] = [describe(ours), `${describe(without)} without`];
  return [
    {
      what: most,
      ours: oursText,
      peer: peerText,
      ratio: median(ours) / PROMOTE_MS_MAX,
      wanted: { most: 1 },
    },
    { what: tail, ours: oursText, peer: peerText, ratio: p95(ours) / p95(without), wanted },
  ];
}

// ---- In place, against the C daemon's own -------------------------------------------------------

async function inPlace(
  ping: string,
  nodes: number,
  { updates }: LiveUpdateSizes,
): Promise<StoreFigure> {
  const store = describeStore(nodes, PLACE_CONNECTIONS);
  const what = `longest silence in place, median, ${store}, against ${C}'s live update`;
  const wanted = { most: nodes < LARGE_NODES ? 1 : RATIO_MAX };
  if (!HAS_PEERS) return absent(what, wanted);
  using ours = serve();
  using peer = startPeer(C);
  for (const daemon of [ours, peer]) fill(daemon, nodes);
  const [ourMs, peerMs]: [number[], number[]] = [[], []];
  for (let update = 0; update < updates; update++) {
    // oxlint-disable-next-line no-await-in-loop -- as above.
    ourMs.push(await silence(ping, ours, () => updateOurs(ours, "in-place")));
    // oxlint-disable-next-line no-await-in-loop -- as above.
    peerMs.push(await silence(ping, peer, () => updatePeer(peer)));
  }
  end(ours);
  const ratio = median(ourMs.map((ms, index) => ms / peerMs[index]!)); // As many of both.
  return { what, ours: describe(ourMs), peer: describe(peerMs), ratio, wanted };
}

/** A client of its own each time: nobody else asks without rest meanwhile. */
async function silence(
  ping: string,
  { socket }: StoreDaemon,
  step: () => Promise<void>,
): Promise<number> {
  const client = await Pinger.start(ping, socket, PLACE_CONNECTIONS);
  const window = await during(step);
  await client.stop();
  return client.longestMs(window);
}

async function updateOurs({ socket }: StoreDaemon, way: Way): Promise<void> {
  const outcome = await updateStore(socket, { binary: builtBinary(), way });
  if (outcome.kind !== "updated") throw new Error(`Cannot update: ${JSON.stringify(outcome)}`);
}

/** Both orders come from one connection: the session is its own. */
function updatePeer({ socket }: StoreDaemon): Promise<void> {
  using client = new StoreSocket(socket);
  for (const words of [
    ["-f", C_BINARY],
    ["-s", "-t", "60"],
  ]) {
    const order = ["live-update", ...words, ""].join("\0");
    client.send("CONTROL", order, 0);
    const answer = client.receive(UPDATE_MS_MAX)?.body;
    if (answer !== "OK\0") throw new Error(`Cannot update ${C}: ${answer}`);
  }
  return Promise.resolve();
}
const UPDATE_MS_MAX = 60_000;

// ---- Resident memory ----------------------------------------------------------------------------

async function memory({ manyUpdates, restMs }: LiveUpdateSizes): Promise<StoreFigure> {
  using daemon = serve();
  const ways: readonly Way[] = ["promote", "in-place"];
  // One of each first, as both ways leave something of their own behind.
  for (const way of ways) {
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await updateOurs(daemon, way);
  }
  const before = await restedKib(daemon, restMs);
  for (let update = 0; update < manyUpdates; update++) {
    // oxlint-disable-next-line no-await-in-loop -- as above.
    await updateOurs(daemon, ways[update % ways.length]!); // The index is below the length.
  }
  const after = await restedKib(daemon, restMs);
  end(daemon);
  return {
    what: `memory of store serve, after ${manyUpdates} live updates, against after the first`,
    ours: `${(after / 1024).toFixed(1)} MiB`,
    peer: `${(before / 1024).toFixed(1)} MiB`,
    ratio: after / before,
    wanted: { most: RSS_RATIO_MAX },
  };
}

async function restedKib({ socket }: StoreDaemon, restMs: number): Promise<number> {
  const [pid = 0] = await settledPids(socket);
  await Bun.sleep(restMs);
  return Number(/^VmRSS:\s*([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

// ---- Parts --------------------------------------------------------------------------------------

/** The client that asks without rest, and the idle ones beside it. */
class Pinger {
  private readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly said: Promise<string>;
  private waits: readonly Window[] = [];

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "inherit">, said: Promise<string>) {
    this.child = child;
    this.said = said;
  }

  static async start(program: string, socket: string, connections: number): Promise<Pinger> {
    const command = [program, socket, String(connections)];
    const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    const [forUs, forReady] = child.stdout.tee();
    const reader = forReady.getReader();
    await reader.read();
    void reader.cancel();
    return new Pinger(child, new Response(forUs).text());
  }

  async stop(): Promise<void> {
    this.child.stdin.end();
    const lines = (await this.said).trim().split("\n").slice(1);
    if ((await this.child.exited) !== 0) throw new Error("A client has lost its connection");
    this.waits = lines.map((line) => {
      const [fromMs = 0, toMs = 0] = line.split(" ").map((word) => Number(word) / 1e6);
      return { fromMs, toMs };
    });
  }

  /** Of the waits that fall into the window, in part or as a whole. */
  longestMs({ fromMs, toMs }: Window): number {
    const lengths = this.waits
      .filter((wait) => wait.fromMs < toMs && wait.toMs > fromMs)
      .map((wait) => wait.toMs - wait.fromMs);
    return Math.max(NOTED_MS, ...lengths);
  }
}
/** Shorter waits are not noted by ping-store.c. */
const NOTED_MS = 0.05;

async function during(step: () => Promise<void>): Promise<Window> {
  const fromMs = monotonicMs();
  await step();
  await Bun.sleep(AFTER_MS);
  return { fromMs, toMs: monotonicMs() };
}

const serve = (): StoreDaemon => startServe({ program: "binary", words: [] });

/** An update by promote has another pid, which the daemon's handle does not know. */
const end = ({ socket }: StoreDaemon): void => killAll(socket);

function fill({ socket }: StoreDaemon, nodes: number): void {
  if (nodes === 0) return;
  const { exitCode, stderr } = Bun.spawnSync([xsload(), "-s", socket, "-f", String(nodes)]);
  if (exitCode !== 0) throw new Error(`Cannot fill the store:\n${stderr}`);
}

const p95 = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.95) - 1] ?? Number.NaN;

const describe = (values: readonly number[]): string =>
  `${median(values).toFixed(1)}, p95 ${p95(values).toFixed(1)} ms`;

const absent = (what: string, wanted: StoreFigure["wanted"]): StoreFigure => {
  const peer = "no peers: see AGENT_TEST_PEERS";
  return { what, ours: "-", peer, ratio: null, wanted };
};

// What `agent store serve` takes, against the C xenstored and oxenstored of Xen 4.20, by the load
// generator that comes with the peers. All daemons run at once and are loaded in turns, so that a
// machine that others keep busy slows all alike; a figure is the median of the ratios of the turns.
// Processor time for each operation is the steady figure; it is the daemon's, of all its threads.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { HAS_PEERS, type PeerName, runFolder, startPeer } from "../helpers/store-peers.ts";
import { type StoreDaemon, xsload } from "../helpers/store-peers.ts";
import { startServe } from "../helpers/store-serve.ts";
import { compileC, median } from "./runner.ts";

export interface StoreSizes {
  readonly rounds: number;
  readonly seconds: number;
  readonly nodes: number;
  /** Many, and very many; beside one. */
  readonly connections: readonly [number, number];
}

export interface StoreFigure {
  readonly what: string;
  readonly ours: string;
  readonly peer: string;
  readonly ratio: number | null;
  readonly wanted: { readonly least: number } | { readonly most: number } | null;
}

const OPERATIONS = ["read", "write1", "write2000", "dir", "txn", "watch"] as const;
const C: PeerName = "c-4.20";
const OCAML: PeerName = "ocaml-4.20";
const RSS_KIB_MAX = 72 * 1024;
const LOAD_SECONDS_MAX = 10;

const PROCESSORS = availableParallelism();
const CAN_PLACE = PROCESSORS > 1 && Bun.which("taskset") !== null;

/**
 * Two that wait for each other take 10 us an exchange on one processor and 50 us on two that sleep
 * in between: where the kernel puts them would decide, not the daemon. So each is told.
 */
interface Place {
  readonly text: string;
  readonly client: string;
  readonly daemon: string;
}
const PLACES: readonly Place[] = [
  { text: "on one processor", client: "0", daemon: "0" },
  { text: "on two processors", client: "0", daemon: "1" },
];

interface Connections {
  readonly count: number;
  readonly placed?: Place;
}
const describeConnections = ({ count, placed }: Connections): string =>
  placed === undefined ? `${count} connections` : `${count} connection ${placed.text}`;

/** A row of what is measured: which number of the load generator, against whom. */
interface Row {
  readonly title: string;
  readonly peer: PeerName;
  readonly field: "cpu_us_per_op" | "p99_us" | "ops_per_s";
  readonly wanted: { readonly least: number } | { readonly most: number };
  readonly unit: string;
}
const CPU = { title: "CPU of store serve", field: "cpu_us_per_op", unit: "us" } as const;
const P99 = { title: "p99 of store serve", field: "p99_us", peer: C, unit: "us" } as const;
const RATE = { title: "rate of store serve", field: "ops_per_s", peer: C, unit: "/s" } as const;
const CPU_ROWS: readonly Row[] = [
  { ...CPU, peer: C, wanted: { most: 1 } },
  { ...CPU, peer: OCAML, wanted: { most: 0.67 } },
];
const P99_ROW: Row = { ...P99, wanted: { most: 1.5 } };
const LOADED: readonly Row[] = [...CPU_ROWS, P99_ROW];
const ALONE: readonly Row[] = [{ ...RATE, wanted: { least: 0.95 } }];

type Loaded = Readonly<Record<string, number>>;
type Daemons = ReadonlyMap<string, StoreDaemon>;

export function storeFigures(sizes: StoreSizes, folder: string): StoreFigure[] {
  const program = HAS_PEERS ? xsload() : undefined;
  using ours = program === undefined ? undefined : serve();
  using c = program === undefined ? undefined : startPeer(C);
  using ocaml = program === undefined ? undefined : startPeer(OCAML);
  const all = [ours, c, ocaml].filter((daemon) => daemon !== undefined);
  const bench = { program, sizes, daemons: new Map(all.map((daemon) => [daemon.name, daemon])) };
  return [
    ...PLACES.flatMap((placed) => [
      ...OPERATIONS.flatMap((operation) => loaded(bench, operation, { count: 1, placed }, ALONE)),
      echoFloor(bench, folder, placed),
    ]),
    ...sizes.connections.flatMap((many) =>
      OPERATIONS.flatMap((operation) => loaded(bench, operation, { count: many }, LOADED)),
    ),
    ...filled(bench),
  ];
}

interface Bench {
  /** The load generator; undefined where the peers are absent. */
  readonly program: string | undefined;
  readonly sizes: StoreSizes;
  readonly daemons: Daemons;
}

const serve = (): StoreDaemon => startServe({ program: "binary", words: [] });

/** One operation at so many connections, each daemon in its turn. */
function loaded(
  { program, sizes, daemons }: Bench,
  operation: string,
  connections: Connections,
  rows: readonly Row[],
  suffix = "",
): StoreFigure[] {
  const turns: Map<string, Loaded>[] = [];
  // The first round does not count, where there are more: until then this runtime compiles.
  for (let round = -1; program !== undefined && round < sizes.rounds; round++) {
    const turn = new Map<string, Loaded>();
    if (round === -1 && sizes.rounds === 1) continue;
    for (const [name, daemon] of daemons) {
      turn.set(name, load(program, daemon, operation, connections, sizes.seconds));
    }
    if (round !== -1) turns.push(turn);
  }
  return rows.map(({ title, peer, field, wanted, unit }) => {
    const many = describeConnections(connections);
    const what = `${title}, ${operation}, ${many}${suffix}, against ${peer}`;
    if (turns.length === 0) return absent(what, wanted);
    const of = (name: string): number[] => turns.map((turn) => turn.get(name)![field]!);
    const [mine, theirs] = [of("agent"), of(peer)];
    const ratio = median(mine.map((value, index) => value / theirs[index]!));
    const text = (values: readonly number[]): string => `${median(values).toFixed(1)} ${unit}`;
    return { what, ours: text(mine), peer: text(theirs), ratio, wanted };
  });
}

const absent = (what: string, wanted: StoreFigure["wanted"]): StoreFigure => {
  const peer = "no peers: see AGENT_TEST_PEERS";
  return { what, ours: "-", peer, ratio: null, wanted };
};

function load(
  program: string,
  { socket, pid, name }: StoreDaemon,
  operation: string,
  { count, placed }: Connections,
  seconds: number,
): Loaded {
  const words = ["-s", socket, "-P", String(pid), "-c", String(count), "-m", operation];
  const isPlaced = placed !== undefined && CAN_PLACE;
  const start = isPlaced ? ["taskset", "-c", placed.client, program] : [program];
  if (isPlaced) place(pid, placed.daemon);
  // On a busy machine a short while may pass without a single operation: then a longer one.
  for (let length = seconds; ; length *= 4) {
    const times = ["-u", String(length / 4), "-t", String(length)];
    const found = run([...start, ...words, ...times], name);
    if (found["ops"] === 0 && length < LOAD_SECONDS_MAX) continue;
    if (isPlaced) place(pid, `0-${PROCESSORS - 1}`);
    return found;
  }
}

/** The daemon's thread, not those that the runtime has beside it. */
const place = (pid: number, processors: string): void =>
  void Bun.spawnSync(["taskset", "-p", "-c", processors, String(pid)], { stdout: "ignore" });

/** The name=value pairs of what a load generator prints. */
function run(command: string[], name: string): Loaded {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`Cannot load ${name} by ${command.join(" ")}:\n${stderr}`);
  const pairs = stdout.toString().trim().split(" ");
  return Object.fromEntries(
    pairs.map((pair) => pair.split("=")).map(([key = "", value]) => [key, Number(value)]),
  );
}

// ---- What the runtime itself costs --------------------------------------------------------------

/** An exchange that nothing is done with: below this no daemon of this runtime can go. */
function echoFloor({ program, sizes }: Bench, folder: string, placed: Place): StoreFigure {
  const what = `rate of an epoll echo in Bun, 1 connection ${placed.text}, against one in C`;
  if (program === undefined) return absent(what, null);
  using inBun = startEcho("Bun", [process.execPath, join(import.meta.dir, "echo-server.ts")]);
  using inC = startEcho("C", [compileC("echo-server", folder)]);
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < sizes.rounds; round++) {
    for (const [index, server] of [inBun, inC].entries()) {
      const found = load(program, server, "read", { count: 1, placed }, sizes.seconds);
      rates[index]!.push(found["ops_per_s"]!);
    }
  }
  const [ours, theirs] = rates;
  const ratio = median(ours.map((rate, index) => rate / theirs[index]!));
  const text = (values: readonly number[]): string => `${median(values).toFixed(0)} /s`;
  return { what, ours: text(ours), peer: text(theirs), ratio, wanted: null };
}

function startEcho(name: string, command: string[]): StoreDaemon {
  const folder = runFolder();
  const socket = join(folder, "socket");
  const child = Bun.spawn([...command, socket], { stdio: ["ignore", "ignore", "inherit"] });
  while (!existsSync(socket)) Bun.sleepSync(5);
  return {
    name: `an echo in ${name}`,
    run: folder,
    socket,
    shim: folder,
    pid: child.pid,
    [Symbol.dispose]() {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// ---- A large store ------------------------------------------------------------------------------

const nodesText = (nodes: number): string => `${nodes.toLocaleString("en-US")} nodes`;

/** Filling, what is resident then, and how long the unlucky wait. */
function filled({ program, sizes }: Bench): StoreFigure[] {
  const fillWhat = `time of filling store serve, ${nodesText(sizes.nodes)}, against ${C}`;
  const rssWhat = `memory of store serve, ${nodesText(sizes.nodes)}, against 72 MiB`;
  const most = { most: 1 };
  const times: [number[], number[]] = [[], []];
  let rssKib = 0;
  let waits: StoreFigure[] = [];
  for (let round = 1; program !== undefined && round <= sizes.rounds; round++) {
    using ours = serve();
    using c = startPeer(C);
    for (const [index, { socket, name }] of [ours, c].entries()) {
      const found = run([program, "-s", socket, "-f", String(sizes.nodes)], name);
      times[index]!.push(found["secs"]!);
    }
    rssKib = Math.max(rssKib, residentKib(ours.pid));
    if (round < sizes.rounds) continue;
    const daemons = new Map([ours, c].map((daemon) => [daemon.name, daemon]));
    waits = largeStoreWaits({ program, sizes, daemons });
  }
  const bench: Bench = { program, sizes, daemons: new Map() };
  if (program === undefined) {
    return [absent(fillWhat, most), absent(rssWhat, most), ...largeStoreWaits(bench)];
  }
  const [mine, theirs] = times;
  const ratio = median(mine.map((seconds, index) => seconds / theirs[index]!));
  const text = (values: readonly number[]): string => `${(median(values) * 1000).toFixed(0)} ms`;
  const mib = (kib: number): string => `${(kib / 1024).toFixed(1)} MiB`;
  const rss = { ours: mib(rssKib), peer: mib(RSS_KIB_MAX), ratio: rssKib / RSS_KIB_MAX };
  return [
    { what: fillWhat, ours: text(mine), peer: text(theirs), ratio, wanted: most },
    { what: rssWhat, ...rss, wanted: most },
    ...waits,
  ];
}

const largeStoreWaits = (bench: Bench): StoreFigure[] =>
  OPERATIONS.flatMap((operation) =>
    loaded(
      bench,
      operation,
      { count: bench.sizes.connections[0] },
      [P99_ROW],
      ` and ${nodesText(bench.sizes.nodes)}`,
    ),
  );

const residentKib = (pid: number): number =>
  Number(/^VmRSS:\s*([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

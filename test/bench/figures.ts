// The figures that `bun run bench` gives: what of ours is measured, against which peer, and what
// the ratio has to be. All of a table comes from one run, in turns with the peers.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PAGE_BYTES } from "../../lib/stream/libxc/index.ts";
import { sampleStream } from "../../lib/stream/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { referenceTool } from "../helpers/xen-utils.ts";
import { benchFolder, writeBigStream } from "./big-stream.ts";
import { checkpointFigures } from "./checkpoint.ts";
import { convertPairs } from "./convert.ts";
import { deviceFigures, type DeviceSizes } from "./device.ts";
import { imageFigures } from "./image.ts";
import { liveUpdateFigures, type LiveUpdateSizes } from "./live-update.ts";
import { inspectMemory, inspectPairs } from "./inspect.ts";
import { helperPairs, type RelayBench, relayMemory, relayPairs } from "./relay.ts";
import { compileC, compileHello, type Input, NO_INPUT, type Pairs, Runner } from "./runner.ts";
import { packFigure } from "./pack.ts";
import { snapshotFigures, type SnapshotSizes } from "./snapshot.ts";
import { squashFigures } from "./squash.ts";
import { storeFigures, type StoreSizes } from "./store.ts";

export interface Sizes {
  readonly memoryBytes: number;
  /** Of a stream for a pipe: long enough that it is the flow that is measured, not the start. */
  readonly pipeMemoryBytes: number;
  readonly sparseMemoryBytes: number;
  readonly pairs: number;
  readonly store: StoreSizes;
  readonly device: DeviceSizes;
  readonly snapshot: SnapshotSizes;
  readonly liveUpdate: LiveUpdateSizes;
}
const MIB = 2 ** 20;
const GIB = 2 ** 30;
export const FULL: Sizes = {
  memoryBytes: 2 * GIB,
  pipeMemoryBytes: 4 * GIB,
  sparseMemoryBytes: 64 * GIB,
  pairs: 15,
  store: { rounds: 5, seconds: 1, nodes: 100_000, connections: [64, 500] },
  snapshot: { disks: 32, rounds: 11 },
  liveUpdate: {
    promoteNodes: [0, 1000, 10_000, 100_000],
    connections: 500,
    inPlaceNodes: [10_000, 100_000],
    updates: 30,
    manyUpdates: 100,
    restMs: 3500,
  },
  device: { stateBytes: GIB, saves: 5, swaps: 7, rounds: 20, sendMs: 400 },
};
/** Says that everything still runs; its figures mean nothing. */
export const QUICK: Sizes = {
  memoryBytes: 16 * MIB,
  pipeMemoryBytes: 16 * MIB,
  sparseMemoryBytes: GIB,
  pairs: 1,
  store: { rounds: 1, seconds: 0.02, nodes: 1000, connections: [4, 8] },
  snapshot: { disks: 2, rounds: 1 },
  liveUpdate: {
    promoteNodes: [0],
    connections: 8,
    inPlaceNodes: [100],
    updates: 1,
    manyUpdates: 0,
    restMs: 0,
  },
  device: { stateBytes: 16 * MIB, saves: 1, swaps: 1, rounds: 1, sendMs: 1500 },
};

export interface Figure {
  readonly what: string;
  readonly ours: string;
  readonly peer: string;
  /** null where the peer is absent. */
  readonly ratio: number | null;
  /** What the ratio has to be; null for a figure that is only told. */
  readonly wanted: { readonly least: number } | { readonly most: number } | null;
  readonly met: boolean | null;
}

/** What peak memory may be above that of a program that does nothing. */
const MEMORY_KIB_MAX = 48 * 1024;

type Part = (bench: Bench) => readonly Figure[] | Promise<readonly Figure[]>;

/** In the order in which they run. */
export const PARTS: Readonly<Record<string, Part>> = {
  verify: (bench) => [
    ...fileFigures(bench),
    ...pipeFigures(bench),
    ...memoryFigures(bench),
    ...startFigures(bench),
    ...compressedFigures(bench),
  ],
  convert: convertFigures,
  relay: relayFigures,
  image: extractAndAssemble,
  squash: squashAndDiff,
  inspect: inspectFigures,
  unpack: unpackFigures,
  checkpoint: receiveAndRestore,
  store: ({ sizes, folder }) => storeFigures(sizes.store, folder).map(withVerdict),
  device: async ({ agent, sizes, folder }) =>
    (await deviceFigures(agent, folder, sizes.device)).map(withVerdict),
  snapshot: async ({ agent, sizes, folder }) =>
    (await snapshotFigures(agent, folder, sizes.snapshot)).map(withVerdict),
  "live-update": async ({ sizes, folder }) =>
    (await liveUpdateFigures(sizes.liveUpdate, folder)).map(withVerdict),
};

/** Of these parts, each one's as soon as they are known. */
export async function* figures(
  sizes: Sizes,
  parts: readonly string[],
): AsyncGenerator<readonly Figure[]> {
  using folder = benchFolder(sizes.memoryBytes * 5.5);
  const tool = referenceTool();
  const bench: Bench = {
    runner: new Runner(folder.path, {
      PATH: process.env["PATH"] ?? "",
      ...(tool === undefined ? {} : { PYTHONPATH: tool.library, PYTHONDONTWRITEBYTECODE: "1" }),
    }),
    agent: builtBinary(),
    hello: await compileHello(folder.path),
    drain: compileC("splice-to-null", folder.path),
    folder: folder.path,
    place: streamPlaces(folder.path, sizes),
    sizes,
    tool,
  };
  for (const part of parts) yield await PARTS[part]!(bench); // Names of PARTS.
}

/** Paths in `folder`; the streams that several parts want are written when first asked for. */
function streamPlaces(folder: string, sizes: Sizes): (name: string) => string {
  const { memoryBytes, pipeMemoryBytes, sparseMemoryBytes } = sizes;
  const unwritten = new Map<string, (path: string) => void>([
    ["big", (path) => writeBigStream(path, { memoryBytes, contents: "written" })],
    ["flow", (path) => writeBigStream(path, { memoryBytes: pipeMemoryBytes, contents: "holes" })],
    [
      "sparse",
      (path) => writeBigStream(path, { memoryBytes: sparseMemoryBytes, contents: "holes" }),
    ],
    ["small", (path) => writeFileSync(path, sampleStream())],
  ]);
  return (name) => {
    const path = join(folder, name);
    unwritten.get(name)?.(path);
    unwritten.delete(name);
    return path;
  };
}

interface Bench {
  readonly runner: Runner;
  readonly agent: string;
  readonly hello: string;
  readonly drain: string;
  readonly folder: string;
  readonly place: (name: string) => string;
  readonly sizes: Sizes;
  /** Xen's own; undefined where it is not unpacked. */
  readonly tool: ReturnType<typeof referenceTool>;
}

function fileFigures({ runner, agent, place, sizes, tool }: Bench): Figure[] {
  const what = "throughput of verify, a file in the page cache, against Xen's verify-stream-v2";
  const wanted = { least: 10 };
  if (tool === undefined) {
    const peer = "no unpacked xen-utils: see AGENT_TEST_XEN_UTILS";
    return [{ what, ours: "-", peer, ratio: null, wanted, met: null }];
  }
  const pairs = runner.pairs(sizes.pairs, {
    ours: [agent, "verify", place("big")],
    peer: [tool.python, tool.script, "-f", "xl", "-i", place("big")],
    input: NO_INPUT,
  });
  return [throughput(what, pairs, wanted)];
}

function pipeFigures({ runner, agent, drain, place, sizes }: Bench): Figure[] {
  return (["write", "splice"] as const).map((feed) => {
    // A saver writes. Nothing outruns a writer that copies nothing: there the time that any program
    // of this runtime takes to start is most of the difference, so it is only told.
    const wanted = feed === "write" ? { least: 0.9 } : null;
    const pairs = runner.pairs(sizes.pairs, {
      ours: [agent, "verify", "-"],
      peer: [drain],
      input: { feed, path: place("flow") },
    });
    const what = `throughput of verify, a pipe filled by ${feed}, against splice to null in C`;
    return throughput(what, pairs, wanted);
  });
}

function memoryFigures({ runner, agent, hello, place, sizes }: Bench): Figure[] {
  const idleKib = runner.memory([hello], NO_INPUT).ownKib;
  const figure = (name: string, memoryBytes: number, operand: string, input: Input): Figure => {
    const aboveKib = runner.memory([agent, "verify", operand], input).ownKib - idleKib;
    const mostKib = MEMORY_KIB_MAX + memoryBytes / PAGE_BYTES / 8 / 1024; // A bit a pfn.
    const wanted = { most: 1 };
    const ratio = aboveKib / mostKib;
    const ours = `${mib(aboveKib)} above hello-world (${mib(idleKib)})`;
    const what = `peak memory of verify, ${name}, against 48 MiB and a bit a pfn`;
    return { what, ours, peer: mib(mostKib), ratio, wanted, met: isMet(ratio, wanted) };
  };
  const { memoryBytes, sparseMemoryBytes } = sizes;
  return [
    figure("a file", memoryBytes, place("big"), NO_INPUT),
    figure("a sparse file", sparseMemoryBytes, place("sparse"), NO_INPUT),
    figure("a pipe", memoryBytes, "-", { feed: "write", path: place("big") }),
  ];
}

function startFigures({ runner, agent, hello, place, sizes }: Bench): Figure[] {
  const against = (words: string[]): Pairs =>
    runner.pairs(sizes.pairs * 2, { ours: [agent, ...words], peer: [hello], input: NO_INPUT });
  return [
    time("time of agent --version, against hello-world", against(["--version"]), { most: 3 }),
    time(
      "time of verify, a sample of 270 KB, against hello-world",
      against(["verify", place("small")]),
      null,
    ),
  ];
}

function compressedFigures({ runner, agent, place, sizes }: Bench): Figure[] {
  const what = "throughput of verify, zstd input, against zstd -dc | agent verify";
  if (Bun.which("zstd") === null) {
    return [{ what, ours: "-", peer: "no zstd here", ratio: null, wanted: null, met: null }];
  }
  const [plain, packed] = [place("half"), place("half.zst")];
  const memoryBytes = sizes.memoryBytes / 4;
  writeBigStream(plain, { memoryBytes, contents: "written" });
  Bun.spawnSync(["zstd", "-q", "-1", plain, "-o", packed]);
  const pairs = runner.pairs(Math.ceil(sizes.pairs / 3), {
    ours: [agent, "verify", packed],
    peer: ["sh", "-c", 'zstd -dcq "$1" | "$0" verify -', agent, packed],
    input: NO_INPUT,
  });
  return [throughput(what, pairs, null)];
}

function convertFigures({ runner, agent, place, sizes }: Bench): Figure[] {
  const { memoryBytes, pairs } = sizes;
  const found = convertPairs({ runner, agent, place, memoryBytes, pairs });
  return found.map(({ what, pairs: measured, wanted }) => throughput(what, measured, wanted));
}

function inspectFigures({ runner, agent, hello, place, sizes }: Bench): Figure[] {
  const { memoryBytes, pairs } = sizes;
  const bench = { runner, agent, stream: place("big"), folder: place("."), memoryBytes, pairs };
  const idleKib = runner.memory([hello], NO_INPUT).ownKib;
  return [
    ...inspectPairs(bench).map(({ what, pairs: measured, wanted }) =>
      throughput(what, measured, wanted),
    ),
    ...inspectMemory(bench).map(({ what, ownKib, mostKib }) => {
      const ratio = (ownKib - idleKib) / mostKib;
      const ours = `${mib(ownKib - idleKib)} above hello-world (${mib(idleKib)})`;
      const wanted = { most: 1 };
      return { what, ours, peer: mib(mostKib), ratio, wanted, met: isMet(ratio, wanted) };
    }),
  ];
}

function squashAndDiff({ runner, agent, hello, place, sizes }: Bench): Figure[] {
  const { memoryBytes: streamBytes, pairs } = sizes;
  const found = squashFigures({ runner, agent, place, streamBytes, pairs });
  const idleKib = runner.memory([hello], NO_INPUT).ownKib;
  return [
    ...found.throughput.map(({ what, pairs: measured, wanted }) =>
      throughput(what, measured, wanted),
    ),
    ...found.memory.map(({ what, ownKib, mostKib }) => {
      const ratio = (ownKib - idleKib) / mostKib;
      const ours = `${mib(ownKib - idleKib)} above hello-world (${mib(idleKib)})`;
      const wanted = { most: 1 };
      return { what, ours, peer: mib(mostKib), ratio, wanted, met: isMet(ratio, wanted) };
    }),
  ];
}

function unpackFigures({ runner, agent, place, sizes }: Bench): Figure[] {
  const { memoryBytes, pairs } = sizes;
  const found = packFigure({ runner, agent, place, memoryBytes, pairs });
  return [throughput(found.what, found.pairs, found.wanted)];
}

function receiveAndRestore({ runner, agent, hello, place, sizes }: Bench): Figure[] {
  const memoryBytes = Math.min(sizes.memoryBytes, GIB);
  const found = checkpointFigures({ runner, agent, place, memoryBytes, pairs: sizes.pairs });
  const { what, ownKib, mostKib } = found.memory;
  const idleKib = runner.memory([hello], NO_INPUT).ownKib;
  const ratio = (ownKib - idleKib) / mostKib;
  const ours = `${mib(ownKib - idleKib)} above hello-world (${mib(idleKib)})`;
  const most = { most: 1 };
  return [
    ...found.pairs.map((each) =>
      (each.kind === "time" ? time : throughput)(each.what, each.pairs, each.wanted),
    ),
    { what, ours, peer: mib(mostKib), ratio, wanted: most, met: isMet(ratio, most) },
  ];
}

function extractAndAssemble({ runner, agent, hello, place, sizes }: Bench): Figure[] {
  const { memoryBytes, pairs } = sizes;
  const stream = place("big");
  const found = imageFigures({ runner, agent, stream, place, memoryBytes, pairs });
  const idleKib = runner.memory([hello], NO_INPUT).ownKib;
  return [
    ...found.throughput.map(({ what, pairs: measured, wanted }) =>
      throughput(what, measured, wanted),
    ),
    ...found.memory.map(({ what, ownKib, mostKib }) => {
      const ratio = (ownKib - idleKib) / mostKib;
      const ours = `${mib(ownKib - idleKib)} above hello-world (${mib(idleKib)})`;
      const wanted = { most: 1 };
      return { what, ours, peer: mib(mostKib), ratio, wanted, met: isMet(ratio, wanted) };
    }),
  ];
}

function relayFigures({ runner, agent, hello, drain, place, sizes }: Bench): Figure[] {
  const { memoryBytes, pairs } = sizes;
  const bench: RelayBench = {
    runner,
    agent,
    drain,
    folder: place("."),
    place,
    flow: place("flow"),
    stream: place("big"),
    memoryBytes,
    savedBytes: Math.min(memoryBytes, GIB),
    pairs,
  };
  const idleKib = runner.memory([hello], NO_INPUT).ownKib;
  const { what, ownKib, mostKib } = relayMemory(bench);
  const ratio = (ownKib - idleKib) / mostKib;
  const ours = `${mib(ownKib - idleKib)} above hello-world (${mib(idleKib)})`;
  const most = { most: 1 };
  return [
    ...relayPairs(bench).map((found) => throughput(found.what, found.pairs, found.wanted)),
    time("time of a save with the save helper, against the helper alone", helperPairs(bench), {
      most: 1.1,
    }),
    { what, ours, peer: mib(mostKib), ratio, wanted: most, met: isMet(ratio, most) },
  ];
}

type Wanted = Figure["wanted"];

const withVerdict = (found: Omit<Figure, "met">): Figure => ({
  ...found,
  met: found.ratio === null ? null : isMet(found.ratio, found.wanted),
});

/** More is better: the peer's time over ours. */
function throughput(what: string, pairs: Pairs, wanted: Wanted): Figure {
  const ratio = 1 / pairs.ratio;
  return { what, ...texts(pairs), ratio, wanted, met: isMet(ratio, wanted) };
}

/** Less is better: our time over the peer's. */
function time(what: string, pairs: Pairs, wanted: Wanted): Figure {
  return { what, ...texts(pairs), ratio: pairs.ratio, wanted, met: isMet(pairs.ratio, wanted) };
}

const texts = ({ oursMs, peerMs }: Pairs): Pick<Figure, "ours" | "peer"> => ({
  ours: `${oursMs.toFixed(1)} ms`,
  peer: `${peerMs.toFixed(1)} ms`,
});

const mib = (kib: number): string => `${(kib / 1024).toFixed(1)} MiB`;

function isMet(ratio: number, wanted: Wanted): boolean | null {
  if (wanted === null) return null;
  return "least" in wanted ? ratio >= wanted.least : ratio <= wanted.most;
}

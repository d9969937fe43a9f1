// Figures of group snapshots: how long a writer in the guest is held up, and how long the whole
// command takes, beside the same done by hand over QMP; and how long two guests stand.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type DiskGuest, makeImage, startGuest, tool } from "../helpers/disk-guest.ts";
import { startWriter } from "../helpers/ordered-writer.ts";
import type { Figure } from "./figures.ts";
import { median } from "./runner.ts";

export interface SnapshotSizes {
  readonly disks: number;
  readonly rounds: number;
}

type Found = Omit<Figure, "met">;

const [STALL_RATIO_MAX, TIME_RATIO_MAX, TWO_RATIO_MAX] = [1.3, 1.5, 1.5];
const ms = (value: number): string => `${value.toFixed(1)} ms`;

export async function snapshotFigures(
  agent: string,
  folder: string,
  sizes: SnapshotSizes,
): Promise<Found[]> {
  const place = { agent, folder: join(folder, "snapshot"), sizes };
  const stalls = await turns(place, stallOfOurs, stallByHand);
  const times = await turns(place, timeOfOurs, timeByHand);
  const two = await turns(place, twoTogether, slowerAlone);
  const { disks } = sizes;
  const figure = (what: string, [ours, peer]: Pair, by: string, most: number): Found => {
    const told = { ours: ms(median(ours)), peer: `${by} ${ms(median(peer))}` };
    return { what, ...told, ratio: median(ours) / median(peer), wanted: { most } };
  };
  const stall = `stall of a writer in snapshot create, ${disks} disks of one guest`;
  const time = `time of snapshot create, ${disks} disks of one guest`;
  const stood = `time that guests stand in snapshot create, two of ${disks} disks`;
  return [
    figure(stall, stalls, "the bare transaction by hand", STALL_RATIO_MAX),
    figure(time, times, "qemu-img, blockdev-add and transaction", TIME_RATIO_MAX),
    figure(stood, two, "the slower one alone", TWO_RATIO_MAX),
  ];
}

interface Place {
  readonly agent: string;
  readonly folder: string;
  readonly sizes: SnapshotSizes;
}
type Measure = (place: Place) => Promise<number>;
type Pair = readonly [ours: number[], peer: number[]];

/** In turns, each with guests of its own that have not been snapshotted before. */
async function turns(place: Place, ours: Measure, peer: Measure): Promise<Pair> {
  const found: Pair = [[], []];
  for (let round = 0; round < place.sizes.rounds; round++) {
    for (const [index, measure] of [ours, peer].entries()) {
      mkdirSync(place.folder, { recursive: true });
      found[index]!.push(await measure(place)); // There are two.
      rmSync(place.folder, { recursive: true });
    }
  }
  return found;
}

function guestIn({ folder, sizes }: Place, name: string): Promise<DiskGuest> {
  const disks = Array.from({ length: sizes.disks }, (_, index) => {
    const id = `d${index}`;
    return { ...makeImage(join(folder, `${name}-${id}.qcow2`), "qcow2", "64M"), id };
  });
  return startGuest({ folder, name, disks, isRunning: true });
}

interface Report {
  readonly result: string;
  readonly guests: readonly { readonly stood_ms: number | null }[];
}

async function create({ agent, folder }: Place, ...words: string[]): Promise<Report> {
  const command = [agent, "snapshot", "create", "--json", "--journals", join(folder, "journals")];
  const out = join(folder, "report");
  const child = Bun.spawn([...command, ...words], { stdio: ["ignore", Bun.file(out), "inherit"] });
  if ((await child.exited) !== 0)
    throw new Error(`Cannot measure snapshot create ${words.join(" ")}`);
  return JSON.parse(readFileSync(out, "utf8")) as Report;
}

interface Block {
  readonly device: string;
  readonly inserted: { readonly "node-name": string };
}

/** As section by section in QEMU's documentation: overlays, nodes, one transaction. */
async function byHand(
  { folder }: Place,
  { monitor, disks }: DiskGuest,
  onStaged: () => Promise<unknown>,
): Promise<void> {
  const blocks = (await monitor.execute("query-block")) as Block[];
  const actions = [];
  for (const [index, { id, path }] of disks.entries()) {
    const filename = join(folder, `hand-${id}`);
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "qcow2", filename);
    const overlay = `hand${index}`;
    const file = { driver: "file", filename };
    await monitor.execute("blockdev-add", {
      driver: "qcow2",
      "node-name": overlay,
      backing: null,
      file,
    });
    const node = blocks.find(({ device }) => device === id)?.inserted["node-name"];
    actions.push({ type: "blockdev-snapshot", data: { node, overlay } });
  }
  await onStaged();
  await monitor.execute("transaction", { actions });
}

/** By then the writer has compiled what it runs: by hand there is time for it before it counts. */
const SETTLE_MS = 600;

/** `run` may ask in between, so that what comes before does not count. */
async function stall(
  place: Place,
  run: (guest: DiskGuest, ask: () => Promise<unknown>) => Promise<unknown>,
): Promise<number> {
  await using guest = await guestIn(place, "g");
  await using writer = await startWriter(guest, place.folder, ["d0"]);
  tool("sync"); // What of this bench's own files is not on the disk yet holds up writers too.
  await Bun.sleep(SETTLE_MS);
  await writer.ask();
  await run(guest, () => writer.ask());
  return (await writer.ask()).longestMs;
}
const stallOfOurs: Measure = (place) => stall(place, ({ qmp }) => create(place, `qmp:${qmp}`));
const stallByHand: Measure = (place) => stall(place, (guest, ask) => byHand(place, guest, ask));

async function time(place: Place, run: (guest: DiskGuest) => Promise<unknown>): Promise<number> {
  await using guest = await guestIn(place, "g");
  const before = performance.now();
  await run(guest);
  return performance.now() - before;
}
const timeOfOurs: Measure = (place) => time(place, ({ qmp }) => create(place, `qmp:${qmp}`));
const timeByHand: Measure = (place) => time(place, (guest) => byHand(place, guest, async () => {}));

const longest = ({ guests }: Report): number =>
  Math.max(...guests.map(({ stood_ms: stood }) => stood ?? 0));

async function twoTogether(place: Place): Promise<number> {
  await using one = await guestIn(place, "one");
  await using other = await guestIn(place, "other");
  return longest(await create(place, `qmp:${one.qmp}`, `qmp:${other.qmp}`));
}

async function slowerAlone(place: Place): Promise<number> {
  await using one = await guestIn(place, "one");
  await using other = await guestIn(place, "other");
  const first = longest(await create(place, `qmp:${one.qmp}`, "--pause"));
  return Math.max(first, longest(await create(place, `qmp:${other.qmp}`, "--pause")));
}

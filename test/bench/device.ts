// Figures of device state: TCP repair beside the stock helper, how long a guest's rings stand in a
// swap, what the proxy costs the guest's data, and a large state into a file beside cat.

import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { BackEnd, beginTransfer } from "../../lib/device/back-end.ts";
import { SwapReport } from "../../lib/device/control-messages.ts";
import { makeStatePipe } from "../../lib/device/state-pipe.ts";
import { monotonicMs } from "../../lib/sys/index.ts";
import { DeviceGuest, until } from "../helpers/device-guest.ts";
import { devicePartCommand, hasDeviceParts } from "../helpers/device-parts.ts";
import { programCommand } from "../helpers/run.ts";
import type { Figure } from "./figures.ts";
import { median } from "./runner.ts";

export interface DeviceSizes {
  readonly stateBytes: number;
  readonly saves: number;
  readonly swaps: number;
  readonly rounds: number;
  /** How long a guest sends at a time. */
  readonly sendMs: number;
}

type Found = Omit<Figure, "met">;

const SOCKETS = 253;
const PAUSE_MS_MAX = 10;
const ms = (value: number): string => `${value.toFixed(2)} ms`;
const rate = (bytes: number, takenMs: number): string =>
  `${(bytes / takenMs / 1e6).toFixed(2)} GB/s`;

interface Place {
  readonly agent: string;
  readonly folder: string;
  readonly sizes: DeviceSizes;
}

export async function deviceFigures(
  agent: string,
  folder: string,
  sizes: DeviceSizes,
): Promise<Found[]> {
  const place: Place = { agent, folder, sizes };
  return [
    repairFigure(place),
    await saveFigure(place),
    await pauseFigure(place),
    await proxyFigure(place),
  ];
}

function absent(what: string, wanted: Figure["wanted"]): Found {
  return { what, ours: "", peer: "the programs of Debian 13 are absent", ratio: null, wanted };
}

function repairFigure({ agent, sizes }: Place): Found {
  const what = `time of repair, ${SOCKETS} sockets frozen and released`;
  const wanted = { most: 2 };
  if (!hasDeviceParts()) return absent(what, wanted);
  const commands = [agent, "repair", "--", ...devicePartCommand("passt-repair")];
  const words = [String(sizes.rounds), String(SOCKETS), ...commands];
  const { stdout, stderr, exitCode } = Bun.spawnSync(programCommand("repair-rounds", ...words));
  if (exitCode !== 0) throw new Error(`Cannot measure repair: ${stderr}`);
  const [ours = [], peer = []] = stdout
    .toString()
    .trim()
    .split("\n")
    .map((line) => line.split(" ").map(Number));
  const ratio = median(ours.map((time, index) => time / peer[index]!));
  return { what, ours: ms(median(ours)), peer: `passt-repair ${ms(median(peer))}`, ratio, wanted };
}

/** To the disk on both sides: a saved state is there for good, so cat is followed by sync. */
async function saveFigure({ agent, folder, sizes }: Place): Promise<Found> {
  const path = join(folder, "state.sock");
  const file = join(folder, "state");
  const bytes = sizes.stateBytes;
  const child = Bun.spawn(programCommand("vhost-back-end", path, "bench", String(bytes)), {
    stdout: "pipe",
  });
  await child.stdout.getReader().read();
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round <= sizes.saves; round++) {
    const beforeMs = monotonicMs();
    const saved = Bun.spawnSync([agent, "device", "save", "--force", path, file]);
    if (saved.exitCode !== 0) throw new Error(`Cannot save: ${saved.stderr}`);
    const betweenMs = monotonicMs();
    await saveByCat(path, file);
    if (round === 0) continue; // The first of each does not count.
    ours.push(betweenMs - beforeMs);
    peer.push(monotonicMs() - betweenMs);
  }
  child.kill();
  await child.exited;
  const ratio = median(peer.map((time, index) => time / ours[index]!));
  return {
    what: "throughput of device save, into a file",
    ours: rate(bytes, median(ours)),
    peer: `cat and sync ${rate(bytes, median(peer))}`,
    ratio,
    wanted: { least: 0.8 },
  };
}

async function saveByCat(path: string, file: string): Promise<void> {
  using end = new BackEnd({ path, waitMs: 10_000 });
  const pipe = makeStatePipe("writeEnd");
  const target = openSync(file, "w");
  const cat = Bun.spawn(["sh", "-c", "cat && sync -d /dev/stdout"], {
    stdin: pipe.readEnd.number,
    stdout: target,
    stderr: "inherit",
  });
  closeSync(target);
  pipe.readEnd[Symbol.dispose]();
  beginTransfer(end.frontEnd, "save", pipe.writeEnd);
  if ((await cat.exited) !== 0) throw new Error("cat failed");
  end.check();
}

async function pauseFigure({ agent, folder, sizes }: Place): Promise<Found> {
  const what = "time that a guest's rings stand, in a swap of its passt";
  const wanted = { most: 1 };
  if (!hasDeviceParts()) return absent(what, wanted);
  await using guest = new DeviceGuest(join(folder, "swaps"), true);
  const listen = join(guest.folder, "guest.sock");
  await proxied(guest, { agent, listen });
  await guest.boot(listen, "ticks");
  const pauses: number[] = [];
  for (let swap = 0; swap < sizes.swaps; swap++) {
    const name = `new-${swap}`;
    const to = await guest.passt(name);
    await until("its helper", () => guest.said(name).includes("Accepted TCP_REPAIR helper"));
    const words = ["device", "swap", `${listen}.control`, "--json", "--to", to];
    const child = guest.start(`swap-${swap}`, [agent, ...words]);
    const text = await new Response(child.stdout).text();
    const { paused_ms: pausedMs, result } = v.parse(SwapReport, JSON.parse(text));
    if (result !== "done") throw new Error(`Cannot measure a swap: ${text}`);
    pauses.push(pausedMs);
    await guest.goesOn();
  }
  const pause = median(pauses);
  const limit = `at most ${PAUSE_MS_MAX} ms`;
  return { what, ours: ms(pause), peer: limit, ratio: pause / PAUSE_MS_MAX, wanted };
}

async function proxied(
  guest: DeviceGuest,
  { agent, listen }: { readonly agent: string; readonly listen: string },
): Promise<void> {
  guest.start("repair", [agent, "repair", guest.folder]);
  const old = await guest.passt("old");
  guest.start("proxy", [agent, "device", "proxy", "--listen", listen, "--backend", old]);
  await until("the proxy", () => Bun.spawnSync(["test", "-S", `${listen}.control`]).success);
}

/**
 * Two guests that send all they can, one through the proxy; each in its turn, the other stopped.
 */
async function proxyFigure({ agent, folder, sizes }: Place): Promise<Found> {
  const what = "throughput of a guest, through device proxy";
  const wanted = { least: 0.95 };
  if (!hasDeviceParts()) return absent(what, wanted);
  await using direct = new DeviceGuest(join(folder, "direct"), true);
  await using through = new DeviceGuest(join(folder, "through"), true);
  const listen = join(through.folder, "guest.sock");
  await proxied(through, { agent, listen });
  await direct.boot(await direct.passt("only"), "bulk");
  direct.pause(true);
  await through.boot(listen, "bulk");
  through.pause(true);
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < sizes.rounds; round++) {
    const turns = round % 2 === 0 ? [through, direct] : [direct, through]; // Who goes first.
    for (const guest of turns) {
      (guest === through ? ours : peer).push(await sent(guest, sizes.sendMs));
    }
  }
  const ratio = median(ours.map((bytes, index) => bytes / peer[index]!));
  const rateOf = (bytes: readonly number[]): string => rate(median(bytes), sizes.sendMs);
  return { what, ours: rateOf(ours), peer: `without it ${rateOf(peer)}`, ratio, wanted };
}

/** How much a guest sends in a while. */
async function sent(guest: DeviceGuest, sendMs: number): Promise<number> {
  guest.pause(false);
  await Bun.sleep(sendMs / 4); // What was on its way when it was stopped.
  const before = guest.bytes;
  await Bun.sleep(sendMs);
  const bytes = guest.bytes - before;
  guest.pause(true);
  return bytes;
}

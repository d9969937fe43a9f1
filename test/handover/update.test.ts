// Updates of the echo server under load: every reply is accounted for, and nothing is left behind.

import { expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { badEcho, echoBinary } from "../helpers/echo-binary.ts";
import { EchoLoad } from "../helpers/echo-load.ts";
import { countAtRest, descriptorsOf, EchoProcess } from "../helpers/echo-process.ts";

const UPDATES = 10;
const CLIENTS = 24;
const TIMEOUT_MS = 120_000;
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

setDefaultTimeout(TIMEOUT_MS);

test.each([
  ["promote", ["promote"]],
  ["in place", ["in_place"]],
  ["both ways mixed", ["promote", "in_place"]],
] as const)(
  `${UPDATES} updates under load, %s: nothing lost, twice or out of order (SEED=${SEED})`,
  async (_, ways) => {
    await using server = await new EchoProcess().start({}, undefined);
    const [pid = 0] = server.pids();
    const before = await countAtRest(pid);
    const load = await EchoLoad.start(server.socket, CLIENTS, SEED);
    for (let update = 0; update < UPDATES; update++) {
      const way = ways[update % ways.length]!; // The index is below the length.
      const end = await server.update({ way });
      expect([end.kind, end.reason]).toEqual(["updated", undefined]);
      expect(end.report?.generation).toBe(update + 1);
    }
    await load.stop(10_000);
    expect(load.mistakes({ mayClose: false })).toEqual([]);
    expect(load.answered).toBeGreaterThan(UPDATES);
    const [last = 0, ...others] = await server.settledPids(1);
    expect(others).toEqual([]);
    if (!(ways as readonly string[]).includes("promote")) expect(last).toBe(pid);
    await settled(last, before);
    expect(descriptorsOf(last).length).toBe(before);
  },
  TIMEOUT_MS,
);

/** The clients have closed, which the server may not have seen yet. */
async function settled(pid: number, count: number): Promise<void> {
  const untilMs = performance.now() + 5000;
  while (performance.now() < untilMs && descriptorsOf(pid).length !== count) await Bun.sleep(10);
}

test("a dry run checks everything and changes nothing", async () => {
  await using server = await new EchoProcess().start({}, undefined);
  const [pid] = server.pids();
  const end = await server.update({ way: "promote", isDryRun: true });
  expect(end.kind).toBe("rehearsed");
  expect(end.report?.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(end.report?.pause_ms.predicted).toBeGreaterThan(0);
  expect(await server.settledPids(1)).toEqual([pid!]);
});

test("a pause that is predicted to be too long is refused before anything stops", async () => {
  await using server = await new EchoProcess().start({}, undefined);
  const end = await server.update({ way: "in_place", pauseMsMax: 0.5 });
  expect(end.kind).toBe("failed");
  expect(end.reason).toMatch(/^wanted a pause of at most 0.5 ms, found .* ms predicted$/);
});

test("two updates at once: one is told so, the other is done", async () => {
  await using server = await new EchoProcess().start({}, undefined);
  const orders = [server.update({ way: "promote" }), server.update({ way: "promote" })];
  const ends = (await Promise.all(orders)).toSorted((a, b) => a.kind.localeCompare(b.kind));
  expect(ends.map(({ kind }) => kind)).toEqual(["failed", "updated"]);
  expect(ends[0]!.reason).toContain("live-update session already active.");
});

test.each([
  ["", "true"],
  [
    ", without the right to come back from the idle class",
    'set -- setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice "$@"',
  ],
  [", in a scheduling class that somebody has chosen", 'set -- chrt --batch 0 "$@"'],
])("what a process has of its parent's is the same afterwards%s", async (_, start) => {
  const shell = `ulimit -n 300; umask 027; renice -n 3 $$ >&2; ${start}`;
  await using server = await new EchoProcess().start({}, shell);
  const [pid = 0] = server.pids();
  const before = factsOf(pid);
  for (const way of ["promote", "in_place"] as const) {
    expect((await server.update({ way })).kind).toBe("updated");
    const [now = 0] = await server.settledPids(1);
    const untilMs = performance.now() + SETTLED_MS;
    const isSame = (): boolean => Bun.deepEquals(factsOf(now), before);
    while (!isSame() && performance.now() < untilMs) await Bun.sleep(20);
    expect(factsOf(now)).toEqual(before);
  }
});
/** Some of it a new program takes over once those who waited are served. */
const SETTLED_MS = 5000;

function factsOf(pid: number): string[] {
  const of = (name: string): string => readFileSync(`/proc/${pid}/${name}`, "latin1");
  // Policy and nice: fields 41 and 19.
  const schedules = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const fields = of(`task/${thread}/stat`).split(") ")[1]!.split(" ");
    return [38, 16].map((at) => fields[at]!);
  });
  return [
    ...["limits", "oom_score_adj", "cgroup", "comm", "cmdline"].map(of),
    ...(of("status").match(/^(Umask|SigBlk|SigIgn|Cpus|CapEff).*$/gm) ?? []),
    ...new Set(schedules),
  ];
}

test("a host that is always busy: what stands back comes forward in the end", async () => {
  await using server = await new EchoProcess().start({}, undefined);
  using busy = new DisposableStack();
  for (let left = 4 * navigator.hardwareConcurrency; left > 0; left--) {
    busy.adopt(Bun.spawn(["sh", "-c", "while :; do :; done"]), (child) => child.kill("SIGKILL"));
  }
  for (const way of ["promote", "in_place"] as const) {
    expect((await server.update({ way })).reason).toBeUndefined();
  }
});

test("more connections than one message carries, up to the limit of descriptors", async () => {
  await using server = await new EchoProcess().start({}, "ulimit -n 700");
  const load = await EchoLoad.start(server.socket, 600, SEED);
  for (const way of ["promote", "in_place"] as const) {
    const end = await server.update({ way });
    expect([end.kind, end.reason]).toEqual(["updated", undefined]);
  }
  await load.stop(20_000);
  expect(load.mistakes({ mayClose: false })).toEqual([]);
}, 60_000);

test("a binary that was verified is the one that runs: another checksum is refused", async () => {
  await using server = await new EchoProcess().start({}, undefined);
  const wanted = "0".repeat(64);
  const binary = badEcho(server.folder, "new");
  const end = await server.update({ way: "promote", binary, sha256: wanted });
  expect(end.kind).toBe("failed");
  expect(end.reason).toMatch(/^Cannot use ".*echo-new": wanted SHA-256 0{64}, found [0-9a-f]{64}$/);
});

test(
  "a program whose file was replaced on the disk can still be updated, both ways",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "agent-upgraded-"));
    const path = join(folder, "echo-server");
    copyFileSync(echoBinary(), path);
    await using server = await new EchoProcess().start({}, undefined, path);
    for (const way of ["promote", "in_place", "promote"] as const) {
      // As a package manager does it: the new file takes the place of the old one.
      copyFileSync(echoBinary(), `${path}.new`);
      renameSync(`${path}.new`, path);
      const end = await server.update({ way, binary: path });
      expect([end.kind, end.reason]).toEqual(["updated", undefined]);
    }
    rmSync(folder, { recursive: true });
  },
  TIMEOUT_MS,
);

// A relay is replaced by another program in the middle of its stream: same process, every byte
// passed on once, and the same report as without it.

import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { randomOf } from "../../fuzz/random.ts";
import { longRemus } from "../../helpers/long-remus.ts";
import { openDescriptorsOf } from "../../helpers/open-descriptors.ts";
import { randomStream } from "../../helpers/random-streams.ts";
import { recordEdges } from "../../helpers/record-edges.ts";
import {
  settledDescriptors,
  endOf,
  endStarted,
  feed,
  isListening,
  replaceBy,
  startAgent,
  until,
} from "../../helpers/seam-update.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

afterEach(endStarted);

const STEP_BYTES = 256 * 1024;
const ORDER_MS = 200;

interface Relaying {
  readonly child: ReturnType<typeof startAgent>;
  readonly end: ReturnType<typeof endOf>;
  readonly control: string;
}

async function startRelaying(folder: string, name: string, words: readonly string[]) {
  const control = join(folder, `${name}.control`);
  const all = ["relay", "--json", "--control", control, ...words];
  const child = startAgent(all, ["pipe", "pipe", "pipe"]);
  const end = endOf(child);
  await until("it listens", () => isListening(control));
  return { child, end, control };
}

/** What does not depend on the time. */
function factsOf(stderr: string) {
  const { duration_ms: _, waited_ms: __, ...facts } = JSON.parse(stderr) as Record<string, unknown>;
  return facts;
}

async function relayed(relaying: Relaying, bytes: Uint8Array, cuts: readonly number[]) {
  const { child, end, control } = relaying;
  let at = 0;
  let generation = 0;
  let descriptors: number | undefined;
  for (const cut of cuts) {
    await feed(child, bytes.subarray(at, cut));
    at = cut;
    generation++;
    expect(await replaceBy(control)).toMatchObject({ kind: "updated", generation });
    descriptors ??= await settledDescriptors(child.pid!);
    expect(await settledDescriptors(child.pid!)).toBe(descriptors);
  }
  await feed(child, bytes.subarray(at));
  child.stdin!.end();
  const { status, stdout, stderr } = await end;
  expect(Buffer.compare(stdout, bytes)).toBe(0);
  return { status, facts: factsOf(stderr) };
}

const SHAPES = [
  { guest: "pv", framing: "xl", checkpoints: 0 },
  { guest: "hvm", framing: "libxl", checkpoints: 2 },
] as const;

test("replaced at record edges, a relay gives the same bytes and the same report", async () => {
  for (const [index, shape] of SHAPES.entries()) {
    using folder = temporaryFolder();
    const options = { ...shape, isColo: false, version: 3 } as const;
    const { bytes } = encode(randomStream(randomOf(index + 1), options));
    const edges = recordEdges(bytes).map(({ offset }) => offset);
    const every = Math.ceil(edges.length / 5);
    const cuts = edges.slice(1, -1).filter((_, edge) => edge % every === 0);
    const plain = await startRelaying(folder.path, "plain", []);
    const wanted = await relayed(plain, bytes, []);
    const updated = await startRelaying(folder.path, "updated", []);
    expect(await relayed(updated, bytes, cuts)).toEqual(wanted);
  }
}, 60_000);

test("what cannot go on is refused, and the stream goes on", async () => {
  using folder = temporaryFolder();
  const shape = { guest: "hvm", framing: "xl", checkpoints: 0, isColo: false, version: 3 } as const;
  const { bytes } = encode(randomStream(randomOf(7), shape));
  const relaying = await startRelaying(folder.path, "refused", [
    "--capture",
    join(folder.path, "kept"),
  ]);
  const half = Math.floor(bytes.length / 2);
  await feed(relaying.child, bytes.subarray(0, half));
  const refusals = [
    { binary: "/bin/true", reason: /wanted an answer to live-update-probe/ },
    { binary: "/etc/passwd", reason: /is not executable/ },
  ];
  for (const { binary, reason } of refusals) {
    const refused = await replaceBy(relaying.control, { binary });
    expect(refused).toMatchObject({ status: 1, kind: "failed" });
    expect(refused.reason).toMatch(reason);
  }
  const promoted = await replaceBy(relaying.control, { words: ["--way", "promote"] });
  expect(promoted.reason).toContain("waits for its pid");
  // In the middle of a record: it waits for the record's end.
  const { pid = 0 } = relaying.child;
  const before = openDescriptorsOf(pid).length;
  const isStarted = replaceBy(relaying.control);
  await until("it is asked", () => openDescriptorsOf(pid).length > before);
  await Bun.sleep(ORDER_MS); // Its connection is there; the order comes next.
  await feed(relaying.child, bytes.subarray(half));
  relaying.child.stdin!.end();
  const { status, stdout, stderr } = await relaying.end;
  expect(["updated", "failed"]).toContain((await isStarted).kind);
  expect(Buffer.compare(stdout, bytes)).toBe(0);
  expect(Buffer.compare(readFileSync(join(folder.path, "kept")), bytes)).toBe(0);
  expect({ status, facts: factsOf(stderr) }).toMatchObject({ facts: { ended: "end" } });
}, 60_000);

test("under load, a command's relay is replaced again and again", async () => {
  using folder = temporaryFolder();
  const { child, end, control } = await startRelaying(folder.path, "loaded", ["--", "cat"]);
  const bytes = readFileSync(longRemus({ pages: 4096, checkpoints: 12, changed: 1024 }));
  const isFed = (async () => {
    for (let at = 0; at < bytes.length; at += STEP_BYTES) {
      await feed(child, bytes.subarray(at, at + STEP_BYTES));
      await Bun.sleep(10);
    }
  })();
  for (let generation = 1; generation <= 3; generation++) {
    expect(await replaceBy(control)).toMatchObject({ kind: "updated", generation });
  }
  await isFed;
  child.stdin!.end();
  const { stdout, stderr } = await end;
  expect(Buffer.compare(stdout, bytes)).toBe(0);
  expect(factsOf(stderr)).toMatchObject({ ended: "end", errors: 0 });
}, 60_000);

// A relay is replaced by another program in the middle of its stream: same process, every byte
// passed on once, and the same report as without it.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { randomOf } from "../../fuzz/random.ts";
import { randomStream } from "../../helpers/random-streams.ts";
import { recordEdges } from "../../helpers/record-edges.ts";
import {
  descriptorsOf,
  endOf,
  feed,
  isListening,
  replaceBy,
  startAgent,
  until,
} from "../../helpers/seam-update.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

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
    descriptors ??= descriptorsOf(child.pid!);
    expect(descriptorsOf(child.pid!)).toBe(descriptors);
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

// A receiver is replaced by another program in the middle of its stream: same process, every byte
// counted once, the folder and the report as without it.

import { afterEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomOf } from "../fuzz/random.ts";
import { wrongPoints } from "../helpers/checkpoints.ts";
import { randomStream } from "../helpers/random-streams.ts";
import { recordEdges } from "../helpers/record-edges.ts";
import {
  settledDescriptors,
  endOf,
  endStarted,
  feed,
  isListening,
  replaceBy,
  startAgent,
  until,
} from "../helpers/seam-update.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

afterEach(endStarted);

const options = (guest: "pv" | "hvm", checkpoints: number) =>
  ({ guest, framing: "xl", checkpoints, isColo: false, version: 3 }) as const;

interface Receiving {
  readonly child: ReturnType<typeof startAgent>;
  readonly end: ReturnType<typeof endOf>;
  readonly to: string;
  readonly control: string;
  readonly lines: string;
}

async function startReceiving(folder: string, name: string): Promise<Receiving> {
  const [to, control] = [join(folder, name), join(folder, `${name}.control`)];
  const lines = join(folder, `${name}.lines`);
  const words = ["checkpoint", "receive", "--to", to, "--control", control, "--keep", "100"];
  const hook = `echo "$AGENT_CHECKPOINT_NUMBER" >> '${lines}'`;
  const child = startAgent([...words, "--json", "--on-commit", hook], ["pipe", "ignore", "pipe"]);
  await until("it listens", () => isListening(control));
  return { child, end: endOf(child), to, control, lines };
}

/** What does not depend on the time. */
function factsOf(stderr: string) {
  const report = JSON.parse(stderr.slice(stderr.indexOf("{"))) as Record<string, unknown>;
  const { ended, commits, position, stream, reason } = report;
  return { ended, commits, position, stream, reason };
}

async function receivePlainly(folder: string, bytes: Uint8Array) {
  const plain = await startReceiving(folder, "plain");
  await feed(plain.child, bytes);
  plain.child.stdin!.end();
  const { status, stderr } = await plain.end;
  return { status, facts: factsOf(stderr) };
}

test("replaced behind every checkpoint, a receiver keeps what it keeps without that", async () => {
  for (const [index, guest] of (["pv", "hvm"] as const).entries()) {
    using folder = temporaryFolder();
    const { bytes } = encode(randomStream(randomOf(index + 1), options(guest, 3)));
    const stream = join(folder.path, "stream");
    writeFileSync(stream, bytes);
    const wanted = await receivePlainly(folder.path, bytes);
    const { child, end, to, control, lines } = await startReceiving(folder.path, "updated");
    const edges = recordEdges(bytes);
    let at = 0;
    let descriptors: number | undefined;
    for (let checkpoint = 1; checkpoint <= 3; checkpoint++) {
      const edge = edges.find(({ checkpoints }) => checkpoints === checkpoint)!;
      await feed(child, bytes.subarray(at, edge.offset));
      at = edge.offset;
      expect(await replaceBy(control)).toMatchObject({ kind: "updated", generation: checkpoint });
      descriptors ??= await settledDescriptors(child.pid!);
      expect(await settledDescriptors(child.pid!)).toBe(descriptors);
    }
    await feed(child, bytes.subarray(at));
    child.stdin!.end();
    const { status, stderr } = await end;
    expect({ status, facts: factsOf(stderr) }).toEqual(wanted);
    expect(await wrongPoints(to, [stream])).toEqual([]);
    expect(readFileSync(lines, "utf8").trim()).toEndWith("3");
  }
}, 60_000);

test("what cannot go on is refused, and the stream goes on; a seam is waited for", async () => {
  using folder = temporaryFolder();
  const { bytes } = encode(randomStream(randomOf(3), options("hvm", 3)));
  const stream = join(folder.path, "stream");
  writeFileSync(stream, bytes);
  const { child, end, to, control } = await startReceiving(folder.path, "refused");
  const edge = recordEdges(bytes).find(({ checkpoints }) => checkpoints === 1)!.offset;
  // In the middle of a record, before anything was committed: it waits.
  await feed(child, bytes.subarray(0, edge - 20));
  const isStarted = replaceBy(control);
  await Bun.sleep(100);
  await feed(child, bytes.subarray(edge - 20, edge));
  expect(await isStarted).toMatchObject({ kind: "updated", generation: 1 });
  const refusals = [
    { binary: "/bin/true", reason: /wanted an answer to live-update-probe/ },
    { binary: stream, reason: /is not executable/ },
    { binary: join(folder.path, "absent"), reason: /absent/ },
  ];
  for (const { binary, reason } of refusals) {
    const refused = await replaceBy(control, { binary });
    expect(refused).toMatchObject({ status: 1, kind: "failed" });
    expect(refused.reason).toMatch(reason);
  }
  expect(await replaceBy(control, { words: ["--way", "promote"] })).toMatchObject({
    kind: "failed",
  });
  expect(await replaceBy(control, { words: ["--dry-run"] })).toMatchObject({ kind: "rehearsed" });
  await feed(child, bytes.subarray(edge));
  child.stdin!.end();
  expect((await end).status).toBe(4); // As Remus ends: the sender has gone.
  expect(await wrongPoints(to, [stream])).toEqual([]);
}, 60_000);

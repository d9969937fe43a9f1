// agent relay as an operator starts it: between descriptors of every kind, with its exit statuses
// and what it tells on request.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { type RelayReport, RelayReportSchema } from "../../lib/stream/index.ts";
import {
  connectUnix,
  type Fd,
  isNonBlocking,
  makePipe,
  makeSocketPair,
} from "../../lib/sys/index.ts";
import {
  LARGE,
  relayEnd,
  relayFile,
  reportOf,
  SMALL,
  startRelay,
  WAIT_MS,
} from "../helpers/relay-process.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

// ---- Descriptors of every kind -----------------------------------------------------------------

interface Line {
  readonly near: Fd;
  readonly far: Fd;
}
const LINES: Readonly<Record<"pipe" | "socket", (toFar: boolean) => Line>> = {
  pipe(toFar) {
    const { readEnd, writeEnd } = makePipe();
    return toFar ? { near: writeEnd, far: readEnd } : { near: readEnd, far: writeEnd };
  },
  socket() {
    const [near, far] = makeSocketPair("stream");
    return { near, far };
  },
};

describe("between descriptors of every kind", () => {
  const kinds = ["pipe", "socket"] as const;
  const pairs = kinds.flatMap((from) => kinds.map((to) => [from, to] as const));

  test.each(pairs)("from a %s to a %s, which stay blocking", async (from, to) => {
    using folder = temporaryFolder();
    const path = join(folder.path, "stream");
    writeFileSync(path, LARGE);
    const [input, output] = [LINES[from](true), LINES[to](false)];
    const feeder = Bun.spawn(["cat", path], { stdio: ["ignore", input.near.number, "inherit"] });
    input.near[Symbol.dispose]();
    const child = startRelay([], [input.far.number, output.far.number, "pipe"]);
    const passed = new Response(Bun.file(output.near.number).stream()).bytes();
    expect([isNonBlocking(input.far.number), isNonBlocking(output.far.number)]).toEqual([
      false,
      false,
    ]);
    const ran = relayEnd(child);
    await Bun.sleep(200);
    expect([isNonBlocking(input.far.number), isNonBlocking(output.far.number)]).toEqual([
      false,
      false,
    ]);
    input.far[Symbol.dispose]();
    output.far[Symbol.dispose]();
    expect(await ran).toMatchObject({ status: 0 });
    expect(Buffer.from(await passed).equals(LARGE)).toBe(true);
    await feeder.exited;
  });

  test("from a file to a new file, whole or not at all", async () => {
    using folder = temporaryFolder();
    const [from, to] = [join(folder.path, "from"), join(folder.path, "to")];
    writeFileSync(from, LARGE);
    const good = await relayEnd(
      startRelay(["--from", from, "--to", to], ["ignore", "pipe", "pipe"]),
    );
    expect(good).toMatchObject({ status: 0, stderr: "" });
    expect(good.stdout.toString()).toContain("relay came to its end");
    expect(readFileSync(to).equals(LARGE)).toBe(true);
    const cut = join(folder.path, "cut");
    writeFileSync(from, LARGE.subarray(0, 5_000_000));
    const words = ["--from", from, "--to", cut, "--on-error", "cut"];
    expect(await relayEnd(startRelay(words, ["ignore", "pipe", "pipe"]))).toMatchObject({
      status: 3,
    });
    expect(existsSync(cut)).toBe(false);
  });
});

describe("exit status and report", () => {
  test("0 and the verdict for a good stream", async () => {
    const ran = await relayFile(LARGE, ["--json"]);
    expect(ran.status).toBe(0);
    expect(ran.stdout.equals(LARGE)).toBe(true);
    expect(reportOf(ran)).toMatchObject({
      verdict: "good",
      ended: "end",
      bytes: { taken: LARGE.byteLength, delivered: LARGE.byteLength, behind_the_end: 0, back: 0 },
      verify: { verdict: "good", pages: { sent: 1536, with_data: 1536 } },
    });
  });

  test("3 for a bad one, which is passed on all the same", async () => {
    const bad = SMALL.subarray(0, SMALL.byteLength - 9);
    const ran = await relayFile(bad, []);
    expect(ran).toMatchObject({ status: 3, signal: null });
    expect(ran.stdout.equals(bad)).toBe(true);
    expect(ran.stderr).toContain("bad: standard input");
  });

  test("1 where the reader goes, and no verdict", async () => {
    const { readEnd, writeEnd } = makePipe();
    readEnd[Symbol.dispose]();
    using folder = temporaryFolder();
    const path = join(folder.path, "input");
    writeFileSync(path, LARGE);
    const child = startRelay(["--from", path], ["ignore", writeEnd.number, "pipe"]);
    writeEnd[Symbol.dispose]();
    const ran = await relayEnd(child);
    expect(ran).toMatchObject({ status: 1, signal: null });
    expect(ran.stderr).toContain('Cannot write "standard output": the reader has gone');
    expect(ran.stderr).toContain("verdict: unknown");
  });

  test("2 for a command line that is wrong", async () => {
    for (const words of [
      ["--on-error", "stop"],
      ["--from", "x", "--", "cat"],
      ["--rate", "x"],
    ]) {
      expect(await relayEnd(startRelay(words, ["ignore", "pipe", "pipe"]))).toMatchObject({
        status: 2,
      });
    }
  });

  test("--quiet says nothing", async () => {
    expect(await relayFile(SMALL, ["--quiet"])).toMatchObject({ status: 0, stderr: "" });
  });

  test("--rate holds it back", async () => {
    const ran = await relayFile(LARGE, ["--rate", "12M", "--json"]);
    const { duration_ms: ms } = reportOf(ran);
    expect(ms).toBeGreaterThan(LARGE.byteLength / (12 * 1024 * 1.1));
    expect(ran.stdout.equals(LARGE)).toBe(true);
  });
});

// ---- On request --------------------------------------------------------------------------------

describe("how it stands, on request", () => {
  async function ask(path: string): Promise<RelayReport> {
    while (!existsSync(path)) await Bun.sleep(5);
    await Bun.sleep(20); // Between its name and its first client a socket refuses.
    using client = connectUnix({ path, kind: "stream", waitMs: WAIT_MS });
    const answer = await new Response(Bun.file(client.number).stream()).text();
    return v.parse(RelayReportSchema, JSON.parse(answer));
  }

  test("the control socket answers while both sides stall, and goes away", async () => {
    using folder = temporaryFolder();
    const control = join(folder.path, "control");
    const [input, output] = [makePipe(), makePipe()];
    const child = startRelay(
      ["--control", control],
      [input.readEnd.number, output.writeEnd.number, "pipe"],
    );
    const ran = relayEnd(child);
    for (const fd of [input.readEnd, output.writeEnd]) fd[Symbol.dispose]();
    expect(await ask(control)).toMatchObject({ ended: "running", bytes: { taken: 0 } });
    writeFileSync(input.writeEnd.number, SMALL.subarray(0, 5000));
    await Bun.sleep(100);
    expect((await ask(control)).bytes.taken).toBe(5000);
    input.writeEnd[Symbol.dispose]();
    expect(await ran).toMatchObject({ status: 3 });
    output.readEnd[Symbol.dispose]();
    expect(existsSync(control)).toBe(false);
  });

  test("a socket that a killed relay left is taken over, one in use is not", async () => {
    using folder = temporaryFolder();
    const control = join(folder.path, "control");
    const words = ["--control", control, "--", "cat"];
    const killed = startRelay(words, ["pipe", "pipe", "pipe"]);
    await ask(control);
    expect(await relayFile(SMALL, words)).toMatchObject({ status: 1 });
    const gone = relayEnd(killed);
    killed.kill("SIGKILL");
    await gone;
    expect(await relayFile(SMALL, words)).toMatchObject({ status: 0 });
  });

  test("SIGUSR2 makes a relay with a command report", async () => {
    const child = startRelay(["--json", "--", "cat"], ["pipe", "pipe", "pipe"]);
    const told = new Promise<string>((resolve) => {
      child.stderr!.once("data", (bytes: Buffer) => resolve(bytes.toString()));
    });
    child.stdin!.write(SMALL.subarray(0, 3000));
    await Bun.sleep(300);
    child.kill("SIGUSR2");
    expect(JSON.parse(await told)).toMatchObject({ ended: "running", bytes: { taken: 3000 } });
    const ran = relayEnd(child);
    child.stdin!.end();
    expect(await ran).toMatchObject({ status: 3 });
  });
});

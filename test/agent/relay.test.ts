// agent relay as an operator and as xl start it: between processes, around commands, and when one of
// them stalls or dies.

import { describe, expect, test } from "bun:test";
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { type RelayReport, RelayReportSchema } from "../../lib/stream/index.ts";
import {
  BANNER,
  GO_MESSAGE,
  RECEIVED_MESSAGE,
  RESULT_MESSAGE,
} from "../../lib/stream/xl/index.ts";
import { connectUnix, type Fd, isNonBlocking, makePipe, makeSocketPair } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { leftBehind } from "../helpers/processes.ts";
import { fullXlStream, withBadPage } from "../helpers/full-stream.ts";
import { PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const KILLS = Number(process.env["KILLS"] ?? 20);
const WAIT_MS = 5000;
const SMALL = encode(xlPlan(PV64)).bytes;
/** More than all pipes on the way hold. */
const LARGE = fullXlStream({ ...PV64, pages: 1536 });

interface Ran {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

function start(words: readonly string[], stdio: StdioOptions): ChildProcess {
  // A group of its own: whoever is left in it afterwards was left behind.
  return spawn(builtBinary(), ["relay", ...words], { stdio, detached: true });
}

async function ended(child: ChildProcess): Promise<Ran> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on("data", (bytes: Buffer) => void out.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => void err.push(bytes));
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on("close", (code, name) => resolve([code, name]));
  });
  expect(await leftBehind(child.pid!, WAIT_MS)).toEqual([]); // It was started.
  return { status, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}

/** Runs it on a file, with standard output as a pipe. */
async function relayFile(bytes: Uint8Array, words: readonly string[]): Promise<Ran> {
  using folder = temporaryFolder();
  const path = join(folder.path, "input");
  writeFileSync(path, bytes);
  const input = openSync(path, "r");
  const child = start(words, [input, "pipe", "pipe"]);
  closeSync(input);
  return await ended(child);
}

const reportOf = ({ stderr }: Ran): RelayReport => v.parse(RelayReportSchema, JSON.parse(stderr));

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
    const child = start([], [input.far.number, output.far.number, "pipe"]);
    const passed = new Response(Bun.file(output.near.number).stream()).bytes();
    expect([isNonBlocking(input.far.number), isNonBlocking(output.far.number)]).toEqual([
      false,
      false,
    ]);
    const ran = ended(child);
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
    const good = await ended(start(["--from", from, "--to", to], ["ignore", "pipe", "pipe"]));
    expect(good).toMatchObject({ status: 0, stderr: "" });
    expect(good.stdout.toString()).toContain("relay came to its end");
    expect(readFileSync(to).equals(LARGE)).toBe(true);
    const cut = join(folder.path, "cut");
    writeFileSync(from, LARGE.subarray(0, 5_000_000));
    const words = ["--from", from, "--to", cut, "--on-error", "cut"];
    expect(await ended(start(words, ["ignore", "pipe", "pipe"]))).toMatchObject({ status: 3 });
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
    const child = start(["--from", path], ["ignore", writeEnd.number, "pipe"]);
    writeEnd[Symbol.dispose]();
    const ran = await ended(child);
    expect(ran).toMatchObject({ status: 1, signal: null });
    expect(ran.stderr).toContain('Cannot write "standard output": the reader has gone');
    expect(ran.stderr).toContain("verdict: unknown");
  });

  test("2 for a command line that is wrong", async () => {
    for (const words of [["--on-error", "stop"], ["--from", "x", "--", "cat"], ["--rate", "x"]]) {
      expect(await ended(start(words, ["ignore", "pipe", "pipe"]))).toMatchObject({ status: 2 });
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

// ---- Around a command --------------------------------------------------------------------------

/** The receiver of xl migrate, as a shell script: it reads COUNT bytes for the stream. */
const RECEIVER = [
  `printf '${BANNER.replace("\n", "\\n")}'`,
  'head -c "$1" >"$2"',
  `printf '${RECEIVED_MESSAGE.slice(0, -1)}\\0'`,
  'head -c 44 >"$2.go"',
  `printf '${RESULT_MESSAGE.slice(0, -1)}\\0'`,
  'printf "\\\\$(printf %03o "$3")"',
].join("; ");

/** The sender: sends the stream after the banner, and the go-ahead when it is told to. */
async function sendAsXl(child: ChildProcess, bytes: Uint8Array): Promise<string> {
  let heard = "";
  let sentStream = false;
  let sentGo = false;
  for await (const chunk of child.stdout!) {
    heard += (chunk as Buffer).toString("latin1");
    if (!sentStream && heard.length >= BANNER.length) {
      sentStream = true;
      child.stdin!.write(bytes);
    }
    if (!sentGo && heard.includes(RECEIVED_MESSAGE)) {
      sentGo = true;
      child.stdin!.write(GO_MESSAGE);
    }
  }
  child.stdin!.end();
  return heard;
}

describe("around a command", () => {
  test.each([
    [0, 0, "result"],
    [7, 7, "result"],
  ] as const)("xl's handshake, answered with %d", async (answer, status, stage) => {
    using folder = temporaryFolder();
    const received = join(folder.path, "received");
    const command = ["sh", "-c", RECEIVER, "sh", String(LARGE.byteLength), received, String(answer)];
    const child = start(["--json", "--", ...command], ["pipe", "pipe", "pipe"]);
    const talk = sendAsXl(child, LARGE);
    const ran = await ended(child);
    const result = `${RESULT_MESSAGE}${String.fromCharCode(answer)}`;
    expect(await talk).toBe(`${BANNER}${RECEIVED_MESSAGE}${result}`);
    expect(readFileSync(received).equals(LARGE)).toBe(true);
    expect(readFileSync(`${received}.go`, "latin1")).toBe(GO_MESSAGE);
    expect(ran.status).toBe(0);
    expect(reportOf(ran)).toMatchObject({
      verdict: "good",
      bytes: { behind_the_end: GO_MESSAGE.length },
      handshake: { stage, receiver_status: status },
    });
  });

  test("on both sides of one migration", async () => {
    using folder = temporaryFolder();
    const received = join(folder.path, "received");
    const inner = ["sh", "-c", RECEIVER, "sh", String(SMALL.byteLength), received, "0"];
    const words = ["--", builtBinary(), "relay", "--", ...inner];
    const child = start(words, ["pipe", "pipe", "pipe"]);
    const talk = sendAsXl(child, SMALL);
    const ran = await ended(child);
    expect(await talk).toBe(`${BANNER}${RECEIVED_MESSAGE}${RESULT_MESSAGE}\0`);
    expect(ran.status).toBe(0);
    expect(ran.stderr.match(/handshake: the receiver runs the domain/g)).toHaveLength(2);
  });

  test("a bad stream that is cut never lets the receiver see its end", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "got");
    const bad = encode(withBadPage(xlPlan(PV64))).bytes;
    const words = ["--on-error", "cut", "--", "sh", "-c", 'cat >"$1"', "sh", path];
    expect(await relayFile(bad, words)).toMatchObject({ status: 3 });
    expect(readFileSync(path).byteLength).toBeLessThan(bad.byteLength);
  });

  test("its status is ours when the stream is good, with large answers too", async () => {
    const ran = await relayFile(LARGE, ["--quiet", "--", "sh", "-c", "cat; exit 9"]);
    expect(ran).toMatchObject({ status: 9, stderr: "" });
    expect(ran.stdout.equals(LARGE)).toBe(true);
  });

  test.each([
    ["that closes its input and goes on", "exec <&-; sleep 0.2; echo late", 1, "late\n"],
    ["that ends early", "head -c 1000 >/dev/null; exit 5", 5, ""],
    ["that closes its output and reads on", "exec >&-; cat >/dev/null; exit 4", 4, ""],
    ["that SIGPIPE ends", "kill -PIPE $$", 141, ""],
  ])("a command %s", async (_, script, status, stdout) => {
    const ran = await relayFile(LARGE, ["--", "sh", "-c", script]);
    expect(ran.status).toBe(status);
    expect(ran.stdout.toString()).toBe(stdout);
  });

  test("a command that is not there", async () => {
    const ran = await relayFile(SMALL, ["--", "/no/such/program"]);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('Cannot run "/no/such/program"');
  });

  test("-h behind -- belongs to the command", async () => {
    const ran = await relayFile(SMALL, ["--quiet", "--", "sh", "-c", 'cat >/dev/null; echo "$1"', "sh", "-h"]);
    expect(ran).toMatchObject({ status: 0 });
    expect(ran.stdout.toString()).toBe("-h\n");
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
    const child = start(["--control", control], [input.readEnd.number, output.writeEnd.number, "pipe"]);
    const ran = ended(child);
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
    const killed = start(words, ["pipe", "pipe", "pipe"]);
    await ask(control);
    expect(await relayFile(SMALL, words)).toMatchObject({ status: 1 });
    const gone = ended(killed);
    killed.kill("SIGKILL");
    await gone;
    expect(await relayFile(SMALL, words)).toMatchObject({ status: 0 });
  });

  test("SIGUSR2 makes a relay with a command report", async () => {
    const child = start(["--json", "--", "cat"], ["pipe", "pipe", "pipe"]);
    const told = new Promise<string>((resolve) => {
      child.stderr!.once("data", (bytes: Buffer) => resolve(bytes.toString()));
    });
    child.stdin!.write(SMALL.subarray(0, 3000));
    await Bun.sleep(300);
    child.kill("SIGUSR2");
    expect(JSON.parse(await told)).toMatchObject({ ended: "running", bytes: { taken: 3000 } });
    const ran = ended(child);
    child.stdin!.end();
    expect(await ran).toMatchObject({ status: 3 });
  });
});

// ---- Whoever dies ------------------------------------------------------------------------------

describe("whoever dies, the others end", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s, while the command stalls", async (signal) => {
    const child = start(["--quiet", "--", "sleep", "1000"], ["pipe", "pipe", "pipe"]);
    setTimeout(() => child.kill(signal), 200);
    const ran = await ended(child);
    expect(ran.status).toBe({ SIGTERM: 143, SIGINT: 130, SIGHUP: 129 }[signal]);
  });

  test("SIGTERM behind the go-ahead waits for the receiver's answer", async () => {
    using folder = temporaryFolder();
    const received = join(folder.path, "received");
    const slow = RECEIVER.replace("; printf 'my copy", "; sleep 1; printf 'my copy");
    const inner = ["sh", "-c", slow, "sh", String(SMALL.byteLength), received, "0"];
    const child = start(["--json", "--", ...inner], ["pipe", "pipe", "pipe"]);
    const talk = sendAsXl(child, SMALL);
    const ran = ended(child);
    while (!existsSync(`${received}.go`)) await Bun.sleep(10);
    await Bun.sleep(200);
    child.kill("SIGTERM");
    expect(await talk).toBe(`${BANNER}${RECEIVED_MESSAGE}${RESULT_MESSAGE}\0`);
    expect(reportOf(await ran).handshake).toEqual({ stage: "result", receiver_status: 0 });
  });

  test(`SIGKILL at any moment (SEED=${SEED})`, async () => {
    let state = SEED;
    const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    for (let kill = 0; kill < KILLS; kill++) {
      const { readEnd, writeEnd } = makePipe(); // Nobody writes: it all stalls.
      const words = kill % 2 === 0 ? ["--quiet", "--", "cat"] : ["--quiet"];
      const child = start(words, [readEnd.number, "pipe", "pipe"]);
      const ran = ended(child);
      setTimeout(() => child.kill("SIGKILL"), random() * 150);
      expect((await ran).signal).toBe("SIGKILL");
      readEnd[Symbol.dispose]();
      writeEnd[Symbol.dispose]();
    }
  }, 60_000);
});

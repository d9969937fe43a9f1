// agent relay around a command, as xl starts it: the handshake of a migration, exit statuses, and
// whoever of the processes stalls or dies.

import { describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BANNER, GO_MESSAGE, RECEIVED_MESSAGE, RESULT_MESSAGE } from "../../lib/stream/xl/index.ts";
import { makePipe } from "../../lib/sys/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { withBadPage } from "../helpers/full-stream.ts";
import {
  LARGE,
  relayEnd,
  relayFile,
  reportOf,
  SMALL,
  startRelay,
} from "../helpers/relay-process.ts";
import { PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const KILLS = Number(process.env["KILLS"] ?? 20);

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
    const command = [
      "sh",
      "-c",
      RECEIVER,
      "sh",
      String(LARGE.byteLength),
      received,
      String(answer),
    ];
    const child = startRelay(["--json", "--", ...command], ["pipe", "pipe", "pipe"]);
    const talk = sendAsXl(child, LARGE);
    const ran = await relayEnd(child);
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
    const child = startRelay(words, ["pipe", "pipe", "pipe"]);
    const talk = sendAsXl(child, SMALL);
    const ran = await relayEnd(child);
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
    const ran = await relayFile(SMALL, [
      "--quiet",
      "--",
      "sh",
      "-c",
      'cat >/dev/null; echo "$1"',
      "sh",
      "-h",
    ]);
    expect(ran).toMatchObject({ status: 0 });
    expect(ran.stdout.toString()).toBe("-h\n");
  });
});

// ---- Whoever dies ------------------------------------------------------------------------------

describe("whoever dies, the others end", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "%s, while the command stalls",
    async (signal) => {
      const child = startRelay(["--quiet", "--", "sleep", "1000"], ["pipe", "pipe", "pipe"]);
      setTimeout(() => child.kill(signal), 200);
      const ran = await relayEnd(child);
      expect(ran.status).toBe({ SIGTERM: 143, SIGINT: 130, SIGHUP: 129 }[signal]);
    },
  );

  test("SIGTERM behind the go-ahead waits for the receiver's answer", async () => {
    using folder = temporaryFolder();
    const received = join(folder.path, "received");
    const slow = RECEIVER.replace("; printf 'my copy", "; sleep 1; printf 'my copy");
    const inner = ["sh", "-c", slow, "sh", String(SMALL.byteLength), received, "0"];
    const child = startRelay(["--json", "--", ...inner], ["pipe", "pipe", "pipe"]);
    const talk = sendAsXl(child, SMALL);
    const ran = relayEnd(child);
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
      const child = startRelay(words, [readEnd.number, "pipe", "pipe"]);
      const ran = relayEnd(child);
      setTimeout(() => child.kill("SIGKILL"), random() * 150);
      expect((await ran).signal).toBe("SIGKILL");
      readEnd[Symbol.dispose]();
      writeEnd[Symbol.dispose]();
    }
  }, 60_000);
});

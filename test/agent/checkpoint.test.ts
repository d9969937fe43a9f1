// The checkpoint commands as an operator has them.

import { expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import * as v from "valibot";
import {
  CheckpointListSchema,
  CheckpointPruneSchema,
  CheckpointReceiveSchema,
  CheckpointRestoreSchema,
  CheckpointVerifySchema,
} from "../../lib/checkpoint/index.ts";
import { CheckpointStatusSchema } from "../../lib/checkpoint/report.ts";
import { BANNER } from "../../lib/stream/xl/index.ts";
import { restoreBytes, squashed, streamFile, wrongPoints } from "../helpers/checkpoints.ts";
import { agentCommand } from "../helpers/run.ts";
import { checkpointedPlan, HVM, PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const REMUS = encode(checkpointedPlan(HVM, { checkpoints: 4, isColo: false })).bytes;

function agent(words: readonly string[], input: Uint8Array | string = "") {
  const [program = "", ...rest] = agentCommand(...words);
  const { status, stdout, stderr } = spawnSync(program, rest, { input, maxBuffer: 2 ** 28 });
  return { status, stdout: stdout.toString("latin1"), stderr: stderr.toString() };
}

/** A folder with the points of a stream of four checkpoints. */
function received(path: string, ...words: string[]) {
  const to = join(path, "points");
  const ran = agent(["checkpoint", "receive", "--to", to, ...words], REMUS);
  return { to, stream: streamFile(path, REMUS), ran };
}

test("receives in the place of xl migrate-receive, and says what is left", async () => {
  using folder = temporaryFolder();
  const { to, stream, ran } = received(folder.path, "--keep", "2");
  expect(ran.status).toBe(4);
  expect(ran.stdout).toBe(BANNER);
  expect(ran.stderr).toContain("The sender has gone: 4 checkpoints committed");
  expect(ran.stderr).toContain("LEFT FOR YOU: restore point 4 (checkpoint 4 of stream 1");
  expect(ran.stderr).toContain("--to - | xl restore /dev/stdin");
  expect(await wrongPoints(to, [stream])).toEqual([]);
}, 60_000);

test("reports in JSON, and without a banner where none is wanted", () => {
  using folder = temporaryFolder();
  const { ran } = received(folder.path, "--json", "--no-banner");
  expect(ran.stdout).toBe("");
  const report = v.parse(CheckpointReceiveSchema, JSON.parse(ran.stderr));
  expect(report).toMatchObject({
    ended: "lost",
    commits: 4,
    stream: 1,
    position: REMUS.byteLength,
  });
  expect(report.last).toMatchObject({ number: 4, checkpoint: 4 });
}, 60_000);

test("list, verify, restore and prune", async () => {
  using folder = temporaryFolder();
  const { to, stream } = received(folder.path, "--keep", "3");
  const list = agent(["checkpoint", "list", to, "--json"]);
  const listed = v.parse(CheckpointListSchema, JSON.parse(list.stdout));
  expect(listed.points.map(({ number }) => number)).toEqual([2, 3, 4]);
  expect(listed).toMatchObject({ receiving: false, streams: [{ tail: null, failover: null }] });
  expect(agent(["checkpoint", "list", to]).stdout).toContain("3 restore points");

  const verify = agent(["checkpoint", "verify", to, "--json"]);
  const verified = v.parse(CheckpointVerifySchema, JSON.parse(verify.stdout));
  expect({ status: verify.status, verdict: verified.verdict }).toEqual({
    status: 0,
    verdict: "good",
  });

  const image = join(folder.path, "image");
  const restore = agent(["checkpoint", "restore", to, "--at", "3", "--to", image, "--json"]);
  expect(v.parse(CheckpointRestoreSchema, JSON.parse(restore.stdout)).point.number).toBe(3);
  expect(Buffer.compare(readFileSync(image), await squashed(stream, 3))).toBe(0);
  expect(agent(["verify", image]).status).toBe(0);
  const piped = agent(["checkpoint", "restore", to, "--to", "-"]);
  expect(piped.stdout).toBe(Buffer.from(await squashed(stream, 4)).toString("latin1"));

  const gone = agent(["checkpoint", "restore", to, "--at", "1", "--to", image]);
  expect(gone.status).toBe(1);
  expect(gone.stderr).toContain("Cannot read restore point 1 of");
  expect(gone.stderr).toContain("it has numbers 2 to 4");

  const prune = agent(["checkpoint", "prune", to, "--keep", "1", "--json"]);
  const pruned = v.parse(CheckpointPruneSchema, JSON.parse(prune.stdout));
  expect(pruned.removed.map(({ number }) => number)).toEqual([2, 3]);
  expect(await wrongPoints(to, [stream])).toEqual([]);
  expect(agent(["checkpoint", "verify", to]).status).toBe(0);
  const page = join(folder.path, "page.html");
  expect(agent(["checkpoint", "list", to, "--html", page]).status).toBe(0);
  expect(readFileSync(page, "utf8")).toContain("<h1>points</h1>");
}, 60_000);

test("tells commits to a descriptor and a hook, when they stand", () => {
  using folder = temporaryFolder();
  const log = join(folder.path, "hook");
  const { ran, to } = received(
    folder.path,
    "--on-commit",
    `echo $AGENT_CHECKPOINT_NUMBER >>'${log}'`,
  );
  expect(ran.status).toBe(4);
  const told = readFileSync(log, "utf8").trim().split("\n").map(Number);
  expect(told.at(-1)).toBe(4); // A slow hook is run for the latest alone.
  expect(told).toEqual([...new Set(told)].sort());
  expect(existsSync(to)).toBe(true);
}, 60_000);

test.each([
  ["a fence that says yes", ["--fence", "true"], 0, "the failover command has taken over"],
  ["no fence, explicitly", ["--no-fence"], 0, "the failover command has taken over"],
  ["a fence that says no", ["--fence", "false"], 4, "the fence did not say yes"],
] as const)(
  "failover with %s",
  async (_, words, status, text) => {
    using folder = temporaryFolder();
    const image = join(folder.path, "image");
    const command = ["--failover-command", `cat >'${image}'`];
    const { to, ran } = received(folder.path, "--on-loss", "failover", ...words, ...command);
    expect(ran.stderr).toContain(text);
    expect(ran.status).toBe(status);
    expect(existsSync(image)).toBe(status === 0);
    if (status !== 0) return expect(ran.stderr).toContain("LEFT FOR YOU: restore point 4");
    expect(Buffer.compare(readFileSync(image), restoreBytes(to, 4))).toBe(0);
    expect(agent(["checkpoint", "list", to]).stdout).toContain(
      "a failover to restore point 4 was done",
    );
    const again = agent(["checkpoint", "restore", to, "--to", "-"]);
    expect(again.stderr).toContain("see that the guest does not run twice");
  },
  60_000,
);

test.each([
  ["ends too early", "head -c 100 >/dev/null; exit 3", "ended with status 3"],
  ["is not there", "/nonexistent/xl", "ended with status 127"],
  ["takes all and fails", "cat >/dev/null; false", "ended with status 1"],
] as const)(
  "a failover command that %s leaves the point",
  (_, command, text) => {
    using folder = temporaryFolder();
    const words = ["--on-loss", "failover", "--no-fence", "--failover-command", command];
    const { to, ran } = received(folder.path, ...words);
    expect(ran.status).toBe(4);
    expect(ran.stderr).toContain("the failover command FAILED");
    expect(ran.stderr).toContain(text);
    expect(ran.stderr).toContain("LEFT FOR YOU: restore point 4");
    expect(agent(["checkpoint", "list", to]).stdout).toContain(
      "a failover to restore point 4 failed",
    );
  },
  60_000,
);

test.each([
  [["--on-loss", "failover"], "needs --fence COMMAND"],
  [["--on-loss", "failover", "--fence", "a", "--no-fence"], "contradict each other"],
  [["--no-fence"], "are for --on-loss failover"],
  [["--listen", ":1", "--fd", "3"], "exclude each other"],
  [["--listen", "host:1"], "the address in numbers"],
  [["--keep", "0"], "wanted a whole number of at least 1"],
  [["--keep-for", "10"], "wanted a time such as 90s"],
  [["--durability", "tape"], "wanted disk or memory"],
] as const)(
  "%s is a usage error, and nothing is made",
  (words, text) => {
    using folder = temporaryFolder();
    const to = join(folder.path, "points");
    const { status, stderr, stdout } = agent(["checkpoint", "receive", "--to", to, ...words]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(text);
    expect(existsSync(to)).toBe(false);
  },
  60_000,
);

test("streams that bring no checkpoint, and what is no stream, end with 3", () => {
  using folder = temporaryFolder();
  const to = join(folder.path, "points");
  const receive = ["checkpoint", "receive", "--to", to];
  const plain = agent(receive, encode(xlPlan(PV64)).bytes);
  expect(plain.status).toBe(3);
  expect(plain.stderr).toContain("No checkpoint of this stream was complete");
  const noise = agent(receive, "what is this, then? certainly not the state of a guest at all");
  expect(noise.status).toBe(3);
  expect(noise.stderr).toContain("The stream is bad from here on");
  const damaged = REMUS.slice();
  damaged[REMUS.byteLength - 4000]! ^= 0xff;
  const bad = agent(receive, damaged);
  expect([3, 4]).toContain(bad.status!);
}, 60_000);

test("a folder that is a file, or cannot be made", () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "file");
  writeFileSync(file, "");
  expect(agent(["checkpoint", "receive", "--to", file], REMUS).stderr).toContain(
    "wanted a folder, found a file",
  );
  expect(agent(["checkpoint", "receive", "--to", `${file}/x`], REMUS).status).toBe(1);
  expect(agent(["checkpoint", "list", join(folder.path, "none")]).status).toBe(1);
  mkdirSync(join(folder.path, "empty"));
  const list = agent(["checkpoint", "list", join(folder.path, "empty")]);
  expect(list).toMatchObject({ status: 0, stderr: "" });
}, 60_000);

test.each(["unix", "tcp"] as const)(
  "waits for the sender on a %s socket",
  async (kind) => {
    using folder = temporaryFolder();
    const to = join(folder.path, "points");
    const path = join(folder.path, "socket");
    const port = 20_000 + (process.pid % 20_000);
    const address = kind === "unix" ? `unix:${path}` : `127.0.0.1:${port}`;
    const control = join(folder.path, "control");
    const words = ["checkpoint", "receive", "--to", to, "--listen", address, "--control", control];
    const [program = "", ...rest] = agentCommand(...words);
    // A killed one leaves its sockets behind.
    const killed = spawn(program, rest, { stdio: ["ignore", "ignore", "pipe"] });
    await once(killed.stderr, "data");
    killed.kill("SIGKILL");
    await once(killed, "exit");
    const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
    const ended = once(child, "exit");
    await once(child.stderr, "data"); // "waiting for the sender".
    const socket = kind === "unix" ? connect(path) : connect(port, "127.0.0.1");
    const [banner] = (await once(socket, "data")) as [Buffer];
    expect(banner.toString()).toBe(BANNER);
    const half = REMUS.byteLength - 100;
    socket.write(REMUS.subarray(0, half));
    const status = await statusOf(control);
    expect(status.stream).toBe(1);
    socket.end(REMUS.subarray(half));
    expect((await ended)[0]).toBe(4);
    expect(await wrongPoints(to, [streamFile(folder.path, REMUS)])).toEqual([]);
  },
  60_000,
);

async function statusOf(path: string): Promise<v.InferOutput<typeof CheckpointStatusSchema>> {
  while (!existsSync(path)) await Bun.sleep(5);
  const socket = connect(path);
  const pieces: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => void pieces.push(bytes));
  await once(socket, "end");
  return v.parse(CheckpointStatusSchema, JSON.parse(Buffer.concat(pieces).toString()));
}

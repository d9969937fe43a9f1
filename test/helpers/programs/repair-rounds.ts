// How long TCP repair helpers take: ROUNDS COUNT COMMAND... "--" COMMAND... Each command is started
// with the path of a passt of ours behind it; then, in turns, COUNT sockets are frozen and released
// by each. Prints the milliseconds of every round, one line a command.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  acceptUnix,
  bindUnix,
  type Fd,
  monotonicMs,
  PollSet,
  receiveDescriptors,
  sendDescriptors,
} from "../../../lib/sys/index.ts";
import { tcpPairs } from "../tcp-pairs.ts";

const [rounds = "1", count = "1", ...words] = process.argv.slice(2);
const between = words.indexOf("--");
const commands = [words.slice(0, between), words.slice(between + 1)];
const folder = mkdtempSync(join(tmpdir(), "agent-repair-"));
using pairs = await tcpPairs(Number(count));
using poll = new PollSet();

function waitFor(fd: Fd): void {
  poll.clear();
  poll.add(fd, "readable");
  if (!poll.wait(10_000)) throw new Error(`${fd.name}: waited in vain`);
}

const helpers = commands.map((command, index) => {
  const path = join(folder, `${index}.repair`);
  const listener = bindUnix({ path, kind: "stream" });
  const child = Bun.spawn([...command, path], { stdout: "ignore", stderr: "ignore" });
  waitFor(listener);
  const socket = acceptUnix(listener);
  if (socket === undefined) throw new Error("There is no helper");
  return { child, socket, times: [] as number[] };
});

function ask(socket: Fd, byte: number): void {
  sendDescriptors(socket, new Uint8Array([byte]), pairs.clients);
  waitFor(socket);
  using answer = receiveDescriptors(socket, 1);
  if (answer?.bytes[0] !== byte) throw new Error("The helper did not do it");
}

for (let round = -1; round < Number(rounds); round++) {
  for (const { socket, times } of helpers) {
    const beforeMs = monotonicMs();
    ask(socket, 1);
    ask(socket, 0xff);
    if (round >= 0) times.push(monotonicMs() - beforeMs); // The first does not count.
  }
}
for (const { child, times } of helpers) {
  child.kill();
  console.log(times.join(" "));
}
rmSync(folder, { recursive: true });

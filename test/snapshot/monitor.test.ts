// Monitors that are taken, hang, break off or speak something else; and what a client before us
// left.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MonitorError } from "../../lib/snapshot/monitor.ts";
import { openMonitor } from "../../lib/snapshot/open-monitor.ts";
import { connectQmp } from "../../lib/snapshot/qmp-client.ts";
import { openNull } from "../../lib/sys/index.ts";
import { LIMITS, startGuest } from "../helpers/disk-guest.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SHORT = { greetingMs: 300, replyMs: 300 } as const;

async function failureOf(promise: Promise<unknown>): Promise<MonitorError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof MonitorError) return error;
    throw error;
  }
  throw new Error("It did not fail");
}

test("a real monitor: taken, refusing, hanging, gone", async () => {
  using own = temporaryFolder();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  const address = { kind: "qmp", path: guest.qmp } as const;
  const first = await openMonitor(address, LIMITS);
  const busy = await failureOf(openMonitor(address, SHORT));
  expect(busy.failure).toBe("busy");
  expect(busy.message).toContain("no greeting within 300 ms: another client has it");

  const refused = await failureOf(first.execute("frobnicate"));
  expect([refused.failure, refused.qemuClass]).toEqual(["refused", "CommandNotFound"]);

  process.kill(guest.pid, "SIGSTOP");
  const lost = await failureOf(first.execute("query-status", undefined, { timeoutMs: 100 }));
  expect(lost.failure).toBe("lost");
  expect(lost.message).toContain("no reply to query-status within 100 ms");
  process.kill(guest.pid, "SIGCONT");
  // The next command goes over a new connection, and the late reply confuses nobody.
  expect(await first.execute("query-status")).toMatchObject({ status: "running" });

  await guest.kill();
  expect((await failureOf(first.execute("query-status"))).failure).toMatch(/^(lost|gone)$/);
  expect((await failureOf(first.execute("query-status"))).failure).toBe("gone");
});

test("a QEMU that has ended is lost to a descriptor before the runtime tells", async () => {
  using own = temporaryFolder();
  using nothing = openNull();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  const monitor = await openMonitor({ kind: "qmp", path: guest.qmp }, LIMITS);
  process.kill(guest.pid, "SIGKILL");
  while (!hasExited(guest.pid)) Bun.sleepSync(1); // The loop does not turn meanwhile.
  const lost = await failureOf(monitor.execute("add-fd", {}, { fd: nothing }));
  expect([lost.failure, lost.message]).toEqual(["lost", expect.stringContaining("EPIPE")]);
  expect((await failureOf(monitor.execute("query-status"))).failure).toBe("gone");
  await monitor.close();
});

/** All of its threads, and so its descriptors are closed. */
const hasExited = (pid: number): boolean =>
  /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8")) &&
  readdirSync(`/proc/${pid}/task`).length === 1;

test("the answer that a client before us did not wait for is not taken for ours", async () => {
  using own = temporaryFolder();
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  for (let round = 0; round < 20; round++) {
    const options = { path: guest.qmp, name: "g", ...LIMITS };
    const hasty = await connectQmp(options);
    hasty.execute("query-qmp-schema").catch(() => {});
    hasty.execute("query-version").catch(() => {});
    const closing = Bun.connect({ unix: guest.qmp, socket: { data() {} } });
    (hasty as unknown as { end(): void }).end();
    (await closing).end();
    const next = await connectQmp(options);
    expect(await next.execute("query-status")).toMatchObject({ status: "running" });
    await next.close();
  }
});

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}\n';

/** What a socket says first, what to each request, and what becomes of us. */
test.each([
  ["", "", "no greeting within 300 ms"],
  ["SSH-2.0\n", "", "it does not speak QMP: expected a JSON object"],
  ["\0\0\0\0\n", "", "it does not speak QMP"],
  [GREETING, "", "no reply to qmp_capabilities within 300 ms"],
  [GREETING, "what?\n", "it does not speak QMP"],
  [GREETING, '{"return": {}, "id": "somebody else"}\n', "no reply to qmp_capabilities"],
  [GREETING, "close", "it closed the connection"],
])("a socket that says %j, then %j", async (first, answer, told) => {
  using own = temporaryFolder();
  const unix = join(own.path, "socket");
  const server = Bun.listen({
    unix,
    socket: {
      open: (socket) => void (first === "" || socket.write(first)),
      data: (socket) => void (answer === "close" ? socket.end() : socket.write(answer)),
    },
  });
  try {
    const error = await failureOf(connectQmp({ path: unix, name: "it", ...SHORT }));
    expect(error.message).toContain(told);
  } finally {
    server.stop(true);
  }
});

test("virsh that is not there, and virsh without a libvirt", async () => {
  const address = { kind: "virsh", domain: "web", uri: "test:///default" } as const;
  const error = await failureOf(openMonitor(address, LIMITS));
  expect(error.message).toContain('virsh\'s monitor of domain "web"');
});

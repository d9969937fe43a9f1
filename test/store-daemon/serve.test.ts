// agent store serve as a process: its socket, its pid file, its service manager, its end; and the
// next one after a crash.

import { describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bindUnix } from "../../lib/sys/index.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { ServiceManager } from "../helpers/service-manager.ts";
import { endDomain, makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => void child.on("exit", resolve));

/** A folder, a service manager, and the words of a daemon whose files are all in there. */
function setUp(...words: string[]) {
  const stack = new DisposableStack();
  const folder = stack.use(temporaryFolder());
  const manager = stack.use(new ServiceManager());
  const path = (name: string): string => join(folder.path, name);
  const command = agentCommand(
    ...["store", "serve", "--socket", path("s"), "--hypervisor", path("shim"), ...words],
  );
  return { path, command, manager, shim: path("shim"), [Symbol.dispose]: () => stack.dispose() };
}

describe("its socket", () => {
  test("is for its owner alone, replaces a stale one, and goes with SIGTERM", async () => {
    using place = setUp();
    bindUnix({ path: place.path("s"), kind: "stream" })[Symbol.dispose](); // Left behind.
    const child = place.manager.start(place.command, {});
    place.manager.waitFor("READY=1");
    expect(statSync(place.path("s")).mode & 0o777).toBe(0o600);
    using client = new StoreSocket(place.path("s"));
    expect(client.ask("WRITE", "/a/b\0value", 0)?.body).toBe("OK\0");
    expect(client.ask("READ", "/a/b\0", 0)?.body).toBe("value");
    child.kill("SIGTERM");
    expect(await ended(child)).toBe(0);
    expect(existsSync(place.path("s"))).toBe(false);
    place.manager.waitFor("STOPPING=1");
  }, 30_000);

  test("is left alone when somebody serves it", () => {
    using place = setUp();
    place.manager.start(place.command, {});
    place.manager.waitFor("READY=1");
    const { status, stderr } = run(place.command, {});
    expect([status, stderr]).toEqual([
      1,
      `agent: Cannot listen on "${place.path("s")}": another xenstore daemon serves it\n`,
    ]);
    using client = new StoreSocket(place.path("s"));
    expect(client.ask("WRITE", "/still\0here", 0)?.body).toBe("OK\0");
  }, 30_000);

  test("is where the environment says, without an option", () => {
    using place = setUp();
    const command = agentCommand("store", "serve", "--hypervisor", "none");
    place.manager.start(command, { XENSTORED_RUNDIR: place.path("run"), XENSTORED_PATH: "" });
    place.manager.waitFor("READY=1");
    using client = new StoreSocket(place.path("run/socket"));
    expect(client.ask("IS_DOMAIN_INTRODUCED", "0\0", 0)?.body).toBe("T\0");
  }, 30_000);
});

describe("its pid file", () => {
  test("is locked while it runs and gone afterwards", async () => {
    using place = setUp();
    const pidFile = place.path("pid");
    writeFileSync(pidFile, "999999 of one that crashed\n");
    const child = place.manager.start([...place.command, "--pid-file", pidFile], {});
    place.manager.waitFor("READY=1");
    expect(readFileSync(pidFile, "utf8")).toBe(`${child.pid}\n`);
    const other = agentCommand("store", "serve", "--hypervisor", "none");
    const words = ["--socket", place.path("other"), "--pid-file", pidFile];
    const { status, stderr } = run([...other, ...words], {});
    expect([status, stderr]).toEqual([
      1,
      `agent: Cannot write "${pidFile}": another daemon has locked it\n`,
    ]);
    child.kill("SIGTERM");
    await ended(child);
    expect(existsSync(pidFile)).toBe(false);
  }, 30_000);
});

test("a start that fails leaves neither a socket nor a pid file", () => {
  using place = setUp();
  writeFileSync(place.path("file"), "");
  const words = ["--hypervisor", place.path("file/below"), "--pid-file", place.path("pid")];
  const command = agentCommand("store", "serve", "--socket", place.path("s"), ...words);
  const { status, stderr } = run(command, {});
  expect([status, stderr]).toEqual([1, expect.stringContaining("Cannot make folder")]);
  expect([place.path("s"), place.path("pid")].filter((path) => existsSync(path))).toEqual([]);
}, 30_000);

test("a device is no pid file, and a full disk takes none", () => {
  using place = setUp();
  const from = (path: string, limits: string) => {
    const words = ["--socket", place.path("s"), "--hypervisor", "none", "--pid-file", path];
    const serve = agentCommand("store", "serve", ...words);
    return run(["sh", "-c", `${limits}; exec "$@"`, "sh", ...serve], {});
  };
  const device = from("/dev/null", ":");
  expect([device.status, device.stderr]).toEqual([
    1,
    'agent: Cannot write "/dev/null": wanted a regular file, found another kind (character)\n',
  ]);
  expect(existsSync("/dev/null")).toBe(true);
  const { status, stderr } = from(place.path("pid"), "ulimit -f 0");
  expect([status, stderr]).toEqual([1, expect.stringContaining("EFBIG")]);
  expect([place.path("s"), place.path("pid")].filter((path) => existsSync(path))).toEqual([]);
}, 30_000);

describe("its service manager", () => {
  test("hears that it lives", () => {
    using place = setUp();
    place.manager.start(place.command, { WATCHDOG_USEC: "200000" });
    place.manager.waitFor("READY=1");
    place.manager.waitFor("WATCHDOG=1");
    place.manager.waitFor("WATCHDOG=1");
  }, 30_000);

  test("keeps the store over a crash: nodes, the domain, its watches", async () => {
    using place = setUp();
    const { shim, manager } = place;
    const first = manager.start(place.command, {});
    manager.waitFor("FDNAME=listen");
    makeDomain(shim, 7);
    {
      using tools = new StoreSocket(place.path("s"));
      tools.ask("INTRODUCE", "7\x001\x005\0", 0);
      tools.ask("WRITE", "/local/domain/7\0", 0);
      tools.ask("SET_PERMS", "/local/domain/7\0n7\0", 0);
      tools.ask("WRITE", "/kept\0safe", 0);
      tools.ask("WATCH", "/kept\0gone with its socket\0", 0);
      using guest = new StoreGuest(shim, 7);
      expect(guest.ask("WATCH", "name\0token\0", 0)?.body).toBe("OK\0");
    }
    const left = ended(first);
    first.kill("SIGKILL");
    await left;
    using waiting = new StoreSocket(place.path("s")); // The listener is kept: it waits.
    const request = waiting.send("READ", "/kept\0", 0);
    manager.start(place.command, {});
    expect(waiting.reply(request)?.body).toBe("safe");
    using guest = new StoreGuest(shim, 7);
    waiting.ask("WRITE", "/local/domain/7/name\0web", 0);
    expect(guest.ask("READ", "name\0", 0)?.body).toBe("web");
    expect(guest.events.at(-1)?.body).toBe("name\0token\0");
    endDomain(shim, 7);
    expect(waiting.ask("WRITE", "/kept\0still", 0)?.body).toBe("OK\0");
    expect(waiting.ask("CONTROL", "check\0", 0)?.body).toBe("OK\0");
  }, 60_000);
});

test("a restart by its manager keeps the store, and clients find the socket", async () => {
  using place = setUp();
  const { manager } = place;
  for (const round of ["first", "second", "third"]) {
    const child = manager.start(place.command, {});
    manager.waitFor("FDNAME=listen");
    using client = new StoreSocket(place.path("s"));
    expect(client.ask("WRITE", `/${round}\0x`, 0)?.body).toBe("OK\0");
    expect(client.ask("READ", "/first\0", 0)?.body).toBe("x");
    child.kill("SIGTERM");
    expect(await ended(child)).toBe(0);
    manager.waitFor("STOPPING=1");
    manager.takeAll();
  }
}, 60_000);

describe("its logs", () => {
  test("every request and answer; who changed what; opened anew by SIGHUP", async () => {
    using place = setUp();
    const [trace, access] = [place.path("trace"), place.path("access")];
    const words = ["--trace", trace, "--access-log", access];
    const child = place.manager.start([...place.command, ...words], {});
    place.manager.waitFor("READY=1");
    using client = new StoreSocket(place.path("s"));
    client.ask("WRITE", "/a\0one\ntwo", 0);
    client.ask("READ", "/a\0", 0);
    child.kill("SIGTERM");
    await ended(child);
    expect(readFileSync(trace, "utf8")).toMatch(
      /io: IN 0x\w+ \(d0\) \d{8} [\d:]{8} WRITE \(\/a one\\x0atwo\)\nio: OUT .* WRITE \(OK \)\n/,
    );
    expect(readFileSync(access, "utf8")).toMatch(
      /^\[\d{8}T[\d:.]+Z\] {2}A\d+ +newconn\n\[.*\] {2}A\d+ +write +\/a one\\x0atwo\n$/,
    );
  }, 30_000);

  test("one that cannot be opened is told before anything is served", () => {
    using place = setUp("--trace", "/nowhere/trace");
    const { status, stderr } = run(place.command, {});
    const why = 'open on "/nowhere/trace" failed with ENOENT (errno 2)';
    expect([status, stderr]).toEqual([1, `agent: Cannot open "/nowhere/trace": ${why}\n`]);
    expect(existsSync(place.path("s"))).toBe(false);
  }, 30_000);
});

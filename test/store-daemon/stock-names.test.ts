// The daemon under the names of the stock ones: their options, their background, their refusals.

import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentCommand } from "../helpers/run.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const START_MS_MAX = 20_000;

function setUp() {
  const folder = temporaryFolder();
  const path = (name: string): string => join(folder.path, name);
  const started: number[] = [];
  const call = (name: string, ...words: string[]) => {
    const [executable = "", ...rest] = agentCommand(...words);
    const { status, stdout, stderr } = spawnSync(executable, rest, {
      argv0: name,
      encoding: "utf8",
      timeout: START_MS_MAX,
      env: {
        ...process.env,
        XENSTORED_PATH: path("s"),
        XENSTORED_HYPERVISOR: path("shim"),
      } as Record<string, string>,
    });
    if (existsSync(path("pid"))) started.push(Number(readFileSync(path("pid"), "utf8")));
    return { status, stdout, stderr };
  };
  return {
    path,
    call,
    [Symbol.dispose]() {
      for (const pid of new Set(started)) process.kill(pid, "SIGKILL");
      folder[Symbol.dispose]();
    },
  };
}

describe("xenstored", () => {
  test("goes to the background, tells its pid, and has the quotas it was told", () => {
    using place = setUp();
    const words = ["-P", "--pid-file", place.path("pid"), "-E", "10", "-Qwatches=5", "-W", "3"];
    const { status, stdout, stderr } = place.call("xenstored", ...words);
    expect([status, stdout, stderr]).toEqual([0, readFileSync(place.path("pid"), "utf8"), ""]);
    const name = readFileSync(`/proc/${stdout.trim()}/comm`, "utf8");
    expect(name).toBe("xenstored\n");
    using client = new StoreSocket(place.path("s"));
    const quotas = client.ask("CONTROL", "quota\0", 0)?.body ?? "";
    expect(quotas).toMatch(/nodes +: +10 /);
    expect(quotas).toMatch(/watches +: +3 /);
  }, 60_000);

  test("serves domains on their rings", () => {
    using place = setUp();
    place.call("xenstored", "--pid-file", place.path("pid"));
    using tools = new StoreSocket(place.path("s"));
    makeDomain(place.path("shim"), 5);
    expect(tools.ask("INTRODUCE", "5\x001\x002\0", 0)?.body).toBe("OK\0");
    using guest = new StoreGuest(place.path("shim"), 5);
    expect(guest.ask("GET_DOMAIN_PATH", "5\0", 0)?.body).toBe("/local/domain/5\0");
  }, 60_000);

  test("says in the foreground, through the caller, why it cannot start", () => {
    using place = setUp();
    const { status, stderr } = place.call("xenstored", "-T", "/nowhere/trace");
    const why = 'open on "/nowhere/trace" failed with ENOENT (errno 2)';
    expect([status, stderr]).toEqual([1, `agent: Cannot open "/nowhere/trace": ${why}\n`]);
  }, 60_000);

  test.each([
    [["-I", "off", "-N"], "no arguments desired"],
    [["--internal-db=off"], "the store is always in memory"],
    [["-Q", "colour=3"], 'there is no quota "colour"'],
    [["-w", "read=3"], 'there is no timeout "read"'],
    [["-z"], 'the option "-z" is unknown'],
    [["extra"], 'no arguments desired, found "extra"'],
  ])(
    "%j is refused",
    (words, message) => {
      using place = setUp();
      const { status, stderr } = place.call("xenstored", ...words);
      expect(stderr).toContain(message);
      expect(status).toBe(2);
      expect(existsSync(place.path("s"))).toBe(false);
    },
    60_000,
  );
});

describe("oxenstored", () => {
  test("reads its configuration, and keeps its access log", () => {
    using place = setUp();
    const [config, log] = [place.path("conf"), place.path("log/access.log")];
    writeFileSync(
      config,
      `pid-file = ${place.path("pid")}\naccess-log-file = ${log}\nquota-maxentity = 20\nodd = 1\n`,
    );
    const { status, stderr } = place.call("oxenstored", "--config-file", config);
    expect([status, stderr]).toEqual([0, "config: unknown key odd\n"]);
    using client = new StoreSocket(place.path("s"));
    client.ask("MKDIR", "/made\0", 0);
    expect(client.ask("CONTROL", "quota\0", 0)?.body).toMatch(/nodes +: +21 /);
    expect(readFileSync(log, "utf8")).toMatch(/A\d+ +mkdir +\/made\n/);
  }, 60_000);

  test("tells whether a configuration is good, also as its own live update asks", () => {
    using place = setUp();
    const config = place.path("conf");
    writeFileSync(config, "persistent = true\n");
    const words = ["--live", "--restart", "--config-file", config, "--help"];
    expect(place.call("oxenstored", ...words)).toEqual({
      status: 2,
      stdout: "",
      stderr: "config: persistent = true is not offered\n",
    });
    writeFileSync(config, "persistent = false\n");
    expect(place.call("oxenstored", "--config-test", "--config-file", config)).toEqual({
      status: 0,
      stdout: `Configuration valid at ${config}\n`,
      stderr: "",
    });
  }, 60_000);

  test.each([[["--restart"]], [["--live"]], [["--colour"]]])(
    "%j is refused",
    (words) => {
      using place = setUp();
      const { status, stderr } = place.call("oxenstored", ...words);
      expect([status, stderr]).toEqual([2, expect.stringContaining(words[0]!)]);
    },
    60_000,
  );
});

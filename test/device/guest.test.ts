// A running guest with a TCP connection over real passt, behind the proxy: what must be refused is,
// and its back end is replaced again and again while the connection goes on.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { builtBinary } from "../helpers/binary.ts";
import { DeviceGuest, until } from "../helpers/device-guest.ts";
import { devicePartCommand, deviceTitle, skipDevices } from "../helpers/device-parts.ts";
import { agentCommand, programCommand } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

setDefaultTimeout(60_000); // For a busy machine: each has processes of its own.

const BOOT_MS = 90_000;

const real = test.skipIf(skipDevices);

describe(deviceTitle("a guest of passt"), () => {
  const folder = temporaryFolder();
  let guest: DeviceGuest;
  const at = (name: string): string => join(folder.path, name);
  const control = at("guest.sock.control");
  const binary = at("agent");
  let count = 0;

  interface Ended {
    readonly status: number;
    readonly stdout: string;
    readonly stderr: string;
  }
  async function agent(...words: string[]): Promise<Ended> {
    const name = `agent-${++count}`;
    const child = guest.start(name, agentCommand(...words));
    const stdout = await new Response(child.stdout).text();
    const status = await child.exited;
    await Bun.sleep(0);
    return { status, stdout, stderr: guest.said(name) };
  }
  /** A fresh passt, with a helper connected. */
  async function fresh(name: string, program?: "passt-newer"): Promise<string> {
    const path = await guest.passt(name, program);
    await until("its helper", () => guest.said(name).includes("Accepted TCP_REPAIR helper"));
    return path;
  }
  const swap = (...words: string[]): Promise<Ended> =>
    agent("device", "swap", control, "--json", ...words);

  beforeAll(async () => {
    if (skipDevices) return;
    guest = new DeviceGuest(folder.path);
    copyFileSync(builtBinary(), binary); // It is to be replaced by itself.
    guest.start("repair", agentCommand("repair", folder.path));
    const old = await fresh("old");
    const words = ["--listen", at("guest.sock"), "--backend", old, "--mask-features", "guest-csum"];
    guest.start("proxy", [binary, "device", "proxy", ...words]);
    await until("the proxy", () => existsSync(control));
    await guest.boot(at("guest.sock"), "ticks");
  }, BOOT_MS);

  afterAll(async () => {
    if (skipDevices) return;
    await guest[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  }, BOOT_MS);

  real("a live back end is refused, with the reason, and not disturbed", async () => {
    const { status, stderr } = await agent("device", "save", at("old.sock"), at("x"));
    expect(status).toBe(1);
    expect(stderr).toContain("a guest's front end is attached to it");
    await guest.goesOn();
  });

  real("the proxy tells how it stands", async () => {
    const { stdout } = await agent("device", "proxy", "--status", control, "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      attached: true,
      rings: 2,
      unrepeatable: [],
      masked: "0x2",
      tcp_connections: 1,
    });
    const text = await agent("device", "proxy", "--status", control);
    expect(text.stdout).toContain("TCP connections  1");
  });

  real("a save that would lose connections is refused", async () => {
    const { status, stderr } = await agent("device", "save", control, at("x"));
    expect(status).toBe(1);
    expect(stderr).toContain("1 TCP connections of the guest would be lost: use agent device swap");
    const loaded = await agent("device", "load", control, "/proc/self/exe");
    expect(loaded.stderr).toContain("is not fresh: it holds 1 TCP connections already");
    await guest.goesOn();
  });

  real("a new back end that lacks what the guest uses is refused", async () => {
    const other = await fresh("lesser-inner");
    const lesser = at("lesser.sock");
    const words = ["--listen", lesser, "--backend", other, "--mask-features", "mrg-rxbuf"];
    const proxy = guest.start("lesser", agentCommand("device", "proxy", ...words));
    await until("the lesser one", () => existsSync(lesser));
    const { status, stdout } = await swap("--to", lesser, "--lose-connections");
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ result: "refused", to: at("old.sock") });
    expect(stdout).toContain("lacks features that the guest uses: mrg-rxbuf (0x8000)");
    proxy.kill();
    await guest.goesOn();
  });

  real("a new back end without a repair helper is refused", async () => {
    const alone = await guest.passt("../alone-for-test");
    const { status, stdout } = await swap("--to", alone);
    expect(status).toBe(1);
    expect(stdout).toContain("no repair helper is connected");
    for (const name of [alone, `${alone}.repair`]) rmSync(name);
    await guest.goesOn();
  });

  real(
    "its back end is replaced under it, with the connection, three times",
    async () => {
      for (const round of [1, 2, 3]) {
        const to = await fresh(`new-${round}`);
        const { status, stdout, stderr } = await swap("--to", to, "--keep", at(`state-${round}`));
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
        expect(JSON.parse(stdout)).toMatchObject({ result: "done", to, flows: 1, flows_after: 1 });
        await guest.goesOn();
      }
      expect(guest.connections).toBe(1);
      expect(guest.isConnectionOver).toBe(false);
      const kept = await agent("device", "inspect", at("state-3"), "--json");
      const [flow] = JSON.parse(kept.stdout).passt.flows;
      expect(kept.status).toBe(0);
      expect(flow).toMatchObject({ tcp_state: "established", events: 4 });
      expect(flow.sides[0]).toMatchObject({ interface: "guest", our_port: 9000 });
      expect(flow.sides[1]).toMatchObject({ endpoint: "127.0.0.1", endpoint_port: 9000 });
    },
    60_000,
  );

  real("it is upgraded to a later release, and back, as what that adds was masked", async () => {
    for (const round of [1, 2]) {
      const newer = await fresh(`newer-${round}`, "passt-newer");
      const up = await swap("--to", newer);
      expect(JSON.parse(up.stdout)).toMatchObject({ result: "done", flows: 1, flows_after: 1 });
      await guest.goesOn();
      const same = await swap("--to", await fresh(`same-${round}`, "passt-newer"));
      expect(JSON.parse(same.stdout)).toMatchObject({ result: "done", flows: 1, flows_after: 1 });
      await guest.goesOn();
      const down = await swap("--to", await fresh(`older-${round}`));
      expect(JSON.parse(down.stdout)).toMatchObject({ result: "done", flows: 1, flows_after: 1 });
      await guest.goesOn();
    }
    expect(guest.connections).toBe(1);
  });

  real("a new back end can be started for the swap", async () => {
    const to = at("started.sock");
    const words = ["--vhost-user", "--foreground", "--socket", to];
    const { status, stderr } = await swap(
      "--to",
      to,
      "--",
      ...devicePartCommand("passt", ...words),
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining(to) });
    await guest.goesOn();
    const failed = await swap("--to", at("never.sock"), "--", "false");
    expect(failed.stderr).toContain('"false" ended with 1: nothing was swapped');
  });

  real("the proxy itself is replaced under it, in place and by another process", async () => {
    const update = (...words: string[]): Promise<Ended> =>
      agent("device", "proxy", "--update", control, "--binary", binary, ...words);
    const tried = await update("--dry-run");
    expect(tried.stdout).toBe("The new program can go on with this proxy\n");
    for (const [generation, way] of [
      [1, "in-place"],
      [2, "promote"],
      [3, "in-place"],
    ] as const) {
      const { status, stdout, stderr } = await update("--way", way);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toStartWith(`Generation ${generation} serves`);
      await guest.goesOn();
    }
    const refused = await update("--binary", "/bin/true");
    expect(refused.status).not.toBe(0);
    const to = await fresh("after-updates");
    expect((await swap("--to", to)).status).toBe(0);
    await guest.goesOn();
    expect(guest.connections).toBe(1);
  });

  real.each(["bad-check", "dies-in-load"])(
    "a new one that %s does not take it: the fallback goes on with the connection",
    async (mode) => {
      const bad = at(`${mode}.sock`);
      guest.start(mode, programCommand("vhost-back-end", bad, mode, "0", "with-helper"));
      await until("the bad one", () => existsSync(bad));
      const fallback = await fresh(`fallback-${mode}`);
      const { status, stdout } = await swap("--to", bad, "--fallback", fallback);
      expect(status).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({ result: "undone", to: fallback });
      await guest.goesOn();
      expect(guest.connections).toBe(1);
    },
    30_000,
  );

  real("one that fails before anything was taken leaves the old one going", async () => {
    const bad = at("closes.sock");
    guest.start("closes", programCommand("vhost-back-end", bad, "closes", "0", "with-helper"));
    await until("the bad one", () => existsSync(bad));
    const { status, stdout } = await swap("--to", bad);
    expect({ status, result: JSON.parse(stdout).result }).toEqual({ status: 1, result: "refused" });
    await guest.goesOn();
    expect(guest.connections).toBe(1);
    expect(guest.isConnectionOver).toBe(false);
  });
});

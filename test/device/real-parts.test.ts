// Real passt and virtiofsd without a guest: saved, loaded, copied, directly and through the proxy.
// In CI they are there; elsewhere these tests say that they are not.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DeviceGuest, until } from "../helpers/device-guest.ts";
import {
  devicePartCommand,
  deviceTitle,
  hasDeviceParts,
  skipDevices,
} from "../helpers/device-parts.ts";
import { passtBytes, idleFlow } from "../helpers/passt-bytes.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

setDefaultTimeout(60_000); // For a busy machine: each has processes of its own.

const real = test.skipIf(skipDevices);

real(deviceTitle("the real parts are there"), () => {
  expect(hasDeviceParts()).toBe(true);
});

describe(deviceTitle("without a guest"), () => {
  const folder = temporaryFolder();
  let namespace: DeviceGuest;
  const at = (name: string): string => join(folder.path, name);
  const agent = (...words: string[]) => run(agentCommand("device", ...words), { cwd: folder.path });
  const done = { status: 0, stderr: "" };

  beforeAll(() => {
    if (skipDevices) return;
    namespace = new DeviceGuest(folder.path);
  });
  afterAll(async () => {
    if (skipDevices) return;
    await namespace[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  real("passt's state goes from one to a file, to another, to a third", async () => {
    const [a, b, c] = [
      await namespace.passt("a"),
      await namespace.passt("b"),
      await namespace.passt("c"),
    ];
    const saved = agent("save", a, "state", "--json");
    expect(saved).toMatchObject(done);
    expect(JSON.parse(saved.stdout)).toMatchObject({ kind: "passt", bytes: 62, flows: 0 });
    expect(JSON.parse(saved.stdout).program).toContain("passt --vhost-user");
    expect(agent("load", b, "state")).toMatchObject(done);
    expect(agent("copy", b, c, "--keep", "kept")).toMatchObject(done);
    expect(readFileSync(at("kept"))).toEqual(readFileSync(at("state")));
    // CHECK was asked of the sources, which ends a passt of 2025; the last one lives.
    await until("the sources' end", () =>
      ["a", "b"].every((n) => namespace.said(n).includes("exiting")),
    );
    expect(namespace.said("c")).not.toContain("exiting");
  });

  real("no byte of a bad state gets to passt", async () => {
    const path = await namespace.passt("d");
    const good = passtBytes({ version: 2, compat: 2, flows: [idleFlow] });
    const rows: [string, Uint8Array, string][] = [
      ["cut", good.subarray(0, 100), "passt flow.length at offset 0x3e (record 1)"],
      ["longer", new Uint8Array([...good, 0]), "passt state.length"],
      ["newer", passtBytes({ version: 3, compat: 3, flows: [] }), "passt header.version"],
      ["foreign", Buffer.from("something else"), "is passt, and the state is none of passt"],
      ["flowing", good, "no repair helper is connected"],
    ];
    for (const [name, bytes, message] of rows) {
      writeFileSync(at(name), bytes);
      const { status, stderr } = agent("load", path, name);
      expect(status).not.toBe(0);
      expect(stderr).toContain(message);
    }
    expect(namespace.said("d")).not.toMatch(/Invalid|Unsupported|abort/);
    expect(agent("load", path, "state")).toMatchObject(done);
  });

  real(
    "virtiofsd's opaque state is saved and loaded, and passt's is not loaded into it",
    async () => {
      mkdirSync(at("shared"));
      const words = ["--shared-dir", at("shared"), "--sandbox", "none", "--socket-path"];
      const start = async (name: string): Promise<string> => {
        namespace.start(name, devicePartCommand("virtiofsd", ...words, at(name)));
        await until("virtiofsd", () => existsSync(at(name)));
        return at(name);
      };
      expect(agent("save", await start("v1"), "v-state", "--json")).toMatchObject(done);
      expect(agent("inspect", "v-state").stdout).toContain("unknown");
      expect(agent("load", await start("v2"), "v-state")).toMatchObject(done);
      const refused = agent("load", await start("v3"), "state");
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain("that the transfer failed with 1");
      expect(agent("copy", await start("v4"), await start("v5"))).toMatchObject(done);
    },
  );

  real("through the proxy the same, while no guest is attached", async () => {
    const back = await namespace.passt("e");
    const other = await namespace.passt("f");
    const control = at("p.sock.control");
    const words = ["--listen", at("p.sock"), "--backend", back];
    namespace.start("proxy", agentCommand("device", "proxy", ...words));
    await until("the proxy", () => existsSync(control));
    expect(agent("load", control, "state")).toMatchObject(done);
    expect(agent("copy", control, other)).toMatchObject(done);
    const taken = agent("proxy", ...words);
    expect(taken.stderr).toContain("another program does");
  });
});

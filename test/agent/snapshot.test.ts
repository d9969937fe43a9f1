// agent snapshot from the command line: what it prints, its documents, its exit statuses.

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { DOCUMENTS } from "../../agent/commands/host/schema.ts";
import { type DiskGuest, makeImage, startGuest } from "../helpers/disk-guest.ts";
import { agentCommand } from "../helpers/run.ts";
import { runProgram } from "../helpers/snapshot-faults.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const LIMIT_MS = 30_000;

async function agent(folder: string, ...words: string[]) {
  const [group = "", ...rest] = words;
  const journals = ["--journals", join(folder, "journals")];
  const child = Bun.spawn(agentCommand("snapshot", group, ...rest, ...journals), {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, LC_ALL: "C.UTF-8" },
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const place = (text: string) => text.replaceAll(folder, "DIR");
  return { status, stdout: place(stdout), stderr: place(stderr) };
}

async function document(folder: string, ...words: string[]) {
  const { status, stdout } = await agent(folder, ...words, "--json");
  const name = `snapshot ${words[0]}` as "snapshot list";
  const parsed: unknown = JSON.parse(stdout);
  expect(v.safeParse(DOCUMENTS[name], parsed).issues).toBeUndefined();
  return { status, document: parsed as Record<string, unknown> };
}

const guestIn = (folder: string): Promise<DiskGuest> => {
  const disks = [{ ...makeImage(join(folder, "web.qcow2"), "qcow2"), id: "vda" }];
  return startGuest({ folder, name: "web", disks, isRunning: true });
};

test(
  "create, list, delete of a running guest and a stopped disk, from a TOML file",
  async () => {
    using own = temporaryFolder();
    const { path: folder } = own;
    await using guest = await guestIn(folder);
    makeImage(join(folder, "data.raw"), "raw");
    const group = join(folder, "group.toml");
    const toml =
      '[[guest]]\nname = "web"\nqmp = "web.qmp"\n[[disk]]\npath = "data.raw"\nformat = "raw"\n';
    writeFileSync(group, toml);
    const config = join(folder, "data.cfg");
    writeFileSync(config, `disk = [ '${join(folder, "data.raw")},raw,xvda,w' ]\n`);
    const words = ["--group", group, "--name", "s1"];

    const plan = await agent(folder, "plan", ...words);
    expect([plan.status, plan.stderr]).toEqual([0, ""]);
    expect(plan.stdout).toStartWith(
      'possible: external snapshot "s1"\n  web\n    vda: qcow2, 16 MiB',
    );
    expect(plan.stdout).toContain("3. switch web; switch stopped disks");

    const created = await agent(folder, "create", ...words, "--update-config", config);
    expect(created).toEqual({
      status: 0,
      stderr: "",
      stdout:
        'created: external snapshot "s1"\n' +
        "  web\n    vda: qcow2, 16 MiB, new file DIR/web.s1.qcow2\n" +
        "  stopped disks\n    DIR/data.raw: raw, 16 MiB, new file DIR/data.s1.qcow2\n" +
        "  its config was changed:\n" +
        "    DIR/data.raw becomes DIR/data.s1.qcow2 (format qcow2)\n",
    });
    expect(readFileSync(config, "utf8")).toContain("data.s1.qcow2,qcow2,xvda,w");

    const again = await agent(folder, "create", ...words);
    expect(again.status).toBe(1);
    expect(again.stderr).toStartWith(
      "agent: Cannot do it, nothing was changed:\n  web: vda: it has",
    );
    const listed = await agent(folder, "list", "--group", group);
    expect(listed.stdout).toContain("DIR/web.qcow2");
    expect(listed.stdout).toMatch(/│ {2}@ s1 .* external, 20/);
    expect(listed.stdout).toMatch(/└─ web\.s1\.qcow2 .* web: vda/);
    const deleted = await agent(folder, "delete", `qmp:${guest.qmp}`, "--name", "s1");
    expect(deleted).toEqual({
      status: 0,
      stderr: "",
      stdout:
        'deleted: external snapshot "s1"\n  web\n    vda: merged and removed DIR/web.s1.qcow2\n' +
        "  change the config of the guest:\n" +
        "    DIR/web.s1.qcow2 becomes DIR/web.qcow2 (format qcow2)\n",
    });
    expect(await guest.status()).toBe("running");
  },
  LIMIT_MS,
);

test(
  "every document is what its schema says",
  async () => {
    using own = temporaryFolder();
    const { path: folder } = own;
    const disk = `qcow2:${makeImage(join(folder, "d.qcow2"), "qcow2").path}`;
    const internal = ["--kind", "internal", "--name", "i1"];
    expect(await document(folder, "plan", disk, ...internal)).toMatchObject({
      status: 0,
      document: { possible: true, kind: "internal" },
    });
    for (const [word, result] of [
      ["create", "done"],
      ["create", "refused"],
      ["revert", "done"],
      ["delete", "done"],
      ["delete", "refused"],
    ] as const) {
      const found = await document(folder, word, disk, ...internal);
      expect([word, found.status, found.document["result"]]).toEqual([
        word,
        result === "done" ? 0 : 1,
        result,
      ]);
    }
    expect(await document(folder, "list", disk)).toMatchObject({ status: 0 });
    expect(await document(folder, "recover")).toEqual({ status: 0, document: { groups: [] } });
  },
  LIMIT_MS,
);

test(
  "an operator is needed: status 4, the state in words, and recover once the cause is gone",
  async () => {
    using own = temporaryFolder();
    const { path: folder } = own;
    await using guest = await guestIn(folder);
    const journals = join(folder, "journals");
    const words = [`qmp:${guest.qmp}`];
    const program = {
      operation: "create",
      kind: "external",
      snapshot: "s1",
      journals,
      words,
    } as const;
    const told = (await runProgram({ ...program, snapshot: "s0" })).told;
    await runProgram({ ...program, killAt: told.indexOf("begin execute switch web") });
    process.kill(guest.pid, "SIGSTOP");
    const stuck = await agent(folder, "recover", "--timeout", "1");
    expect([stuck.status, stuck.stderr]).toEqual([4, ""]);
    expect(stuck.stdout).toStartWith('stuck: create "s1"\n  Cannot use QMP socket "DIR/web.qmp"');
    process.kill(guest.pid, "SIGCONT");
    const recovered = await agent(folder, "recover");
    expect(recovered).toMatchObject({ status: 0, stderr: "" });
    expect(recovered.stdout).toBe(
      'undone: create "s1"\n  web: disk "vda": has no snapshot "s1"\n  web: goes on\n',
    );
    expect((await agent(folder, "recover")).stdout).toBe("nothing to recover in DIR/journals\n");
  },
  LIMIT_MS,
);

describe("command lines that are wrong", () => {
  test.each([
    [["create"], "there is no guest and no disk in it"],
    [["create", "/a.qcow2"], 'Cannot take "/a.qcow2": wanted qmp:PATH'],
    [["create", "qcow2:/a", "--group", "g"], "wanted disks or --group, found both"],
    [["create", "qcow2:/a", "--disks", "vda"], "--disks wants exactly one guest, found 0"],
    [["create", "qcow2:/a", "--use-existing"], "--use-existing wants --name"],
    [
      ["create", "qcow2:/a", "--replace", "--kind", "internal"],
      "an internal snapshot is not replaced",
    ],
    [["create", "qcow2:/a", "--kind", "both"], "--kind: wanted one of external, internal, clone"],
    [["delete", "qcow2:/a"], "wanted --name"],
    [["delete", "qcow2:/a", "--name", "x", "--id", "1"], "--id is for --kind internal"],
    [["revert", "qcow2:/a"], "wanted --name"],
    [["recover", "x"], "operands: wanted none"],
  ])("%j", async (words, told) => {
    using own = temporaryFolder();
    const { status, stderr } = await agent(own.path, ...words);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(told) });
  });
});

// From Debian's C xenstored and oxenstored to ours and back, by their own live update and by our
// command, under clients and a guest.

import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { descriptorsOf } from "../../helpers/echo-process.ts";
import { agentCommand } from "../../helpers/run.ts";
import { HAS_PEERS, peerRoot, peerTitle } from "../../helpers/store-peers.ts";
import { StoreSocket } from "../../helpers/store-socket.ts";
import { controlOf } from "../../helpers/store-update.ts";
import { expectSameStores, TakeOver, Unfinished } from "../../helpers/store-take-over.ts";
import { OP } from "../../helpers/store-wire.ts";

setDefaultTimeout(120_000);

const PEERS = ["c-4.17", "c-4.20", "ocaml-4.17", "ocaml-4.20"] as const;

function prepare(one: TakeOver): void {
  one.does("WRITE", "/data/bytes\0value\0\x01\xff");
  one.does("MKDIR", "/empty\0");
  one.does("SET_PERMS", "/empty\0n7\0r0\0b7\0");
  one.does("WRITE", "/seen\0before");
  one.does("SET_PERMS", "/seen\0n0\0b7\0");
  one.does("WATCH", "/seen\0client\0");
  one.does("WATCH", "@releaseDomain\0gone\0");
  expect(one.guest.ask("WATCH", "/seen\0guest\0", 0)?.body).toBe("OK\0");
  expect(one.guest.ask("READ", "/seen\0", 0)?.body).toBe("before");
  one.reads("/seen");
  one.client.events.length = 0;
  one.guest.events.length = 0;
}

/** Everybody from before goes on, with their watches; new ones come. */
function expectAllServed(one: TakeOver, value: string): void {
  const { client, guest, daemon } = one;
  one.does("WRITE", `/seen\0${value}`);
  expect(one.reads("/seen")).toBe(value);
  expect(client.events.map(({ body }) => body)).toEqual(["/seen\0client\0"]);
  client.events.length = 0;
  expect(guest.ask("WRITE", `/seen\0${value} of the guest`, 0)?.body).toBe("OK\0");
  expect(guest.ask("READ", "/seen\0", 0)?.body).toBe(`${value} of the guest`);
  expect(guest.events.map(({ body }) => body)).toEqual(["/seen\0guest\0", "/seen\0guest\0"]);
  guest.events.length = 0;
  using fresh = new StoreSocket(daemon.socket);
  expect(fresh.ask("READ", "/seen\0", 0)?.body).toBe(`${value} of the guest`);
  one.does("WRITE", "/seen\0before");
  one.reads("/seen");
  guest.ask("READ", "/seen\0", 0);
  client.events.length = 0;
  guest.events.length = 0;
}

test.skipIf(!HAS_PEERS).each(PEERS)(
  peerTitle("%s to ours, back by our command, again, back by xenstore-control"),
  (peer) => {
    using one = new TakeOver(peer);
    const { daemon, kind } = one;
    prepare(one);
    const stockName = one.program;
    const before = one.dump("before.json");
    const descriptors = descriptorsOf(daemon.pid).length;
    const inTheMiddle = (): Unfinished | undefined =>
      kind === "c" ? new Unfinished(daemon.socket, "/data/long") : undefined;
    const steps = [
      ["agent", () => one.control(one.ours)],
      [stockName, () => one.handBack()],
      ["agent", () => one.control(one.ours)],
      [stockName, () => one.control(one.stock)],
    ] as const;
    steps.forEach(([program, update], index) => {
      {
        using unfinished = inTheMiddle();
        const { status, stderr } = update();
        expect([status, stderr]).toEqual([0, ""]);
        expect(one.program).toBe(program);
        unfinished?.expectWhole();
      }
      if (kind === "c") one.does("RM", "/data/long\0");
      expectAllServed(one, `value ${index}`);
      expectSameStores(before, one.dump("after.json"));
      for (const name of ["state_dump"]) expect(existsSync(join(daemon.run, name))).toBe(false);
    });
    if (kind === "c") expect(descriptorsOf(daemon.pid)).toHaveLength(descriptors);
  },
);

test.skipIf(!HAS_PEERS)(
  peerTitle("domains that die meanwhile, targets and requests of old"),
  () => {
    using one = new TakeOver("c-4.20");
    prepare(one);
    one.does("SET_TARGET", "7\x000\0");
    expect(one.control(one.ours).status).toBe(0);
    const { socket } = one.daemon;
    expect(one.guest.ask("MKDIR", "/as-its-target\0", 0)?.body).toBe("OK\0");
    expect(one.client.events).toEqual([]);
    using other = new StoreSocket(socket);
    expect(other.ask("CONTROL", "live-update\0-s\0", 0)?.body).toContain("Not in live-update");
    other.ask("RELEASE", "7\0", 0);
    expect(one.reads("/seen")).toBe("before");
    expect(one.client.events.map(({ body }) => body)).toEqual(["@releaseDomain\0gone\0"]);
  },
);

test.skipIf(!HAS_PEERS)(peerTitle("the C daemon's format has no transactions"), async () => {
  using one = new TakeOver("c-4.17");
  prepare(one);
  expect(one.control(one.ours).status).toBe(0);
  const id = Number.parseInt(one.client.ask("TRANSACTION_START", "\0", 0)?.body ?? "", 10);
  expect(one.client.ask("WRITE", "/seen\0in it", id)?.body).toBe("OK\0");
  const refused = one.handBack("--timeout", "1");
  expect(refused.status).toBe(1);
  expect(refused.stdout).toContain("transactions are lost: 1 (socket");
  expect(refused.stdout).toMatch(
    new RegExp(
      `connection \\d+ \\(process ${process.pid}, \\S+\\): a transaction open for \\d+\\.\\d s`,
    ),
  );
  expect(one.program).toBe("agent");
  expect(one.client.ask("READ", "/seen\0", id)?.body).toBe("in it");
  const status = JSON.parse((await controlOf(one.daemon.socket, "live-update", "--status"))!);
  expect(status.is_active).toBe(false);
  expect(one.handBack("--timeout", "1", "--allow-losses").status).toBe(0);
  expect(one.program).toBe("xenstored");
  expect(one.client.ask("TRANSACTION_END", "T\0", id)?.body).toBe("ENOENT\0");
  expectAllServed(one, "later");
});

test.skipIf(!HAS_PEERS)(
  peerTitle("a stock program that cannot be executed in the end"),
  async () => {
    using one = new TakeOver("c-4.20");
    prepare(one);
    expect(one.control(one.ours).status).toBe(0);
    const copy = join(one.daemon.run, "xenstored");
    copyFileSync(join(peerRoot("4.20"), one.stock), copy);
    const id = Number.parseInt(one.client.ask("TRANSACTION_START", "\0", 0)?.body ?? "", 10);
    const words = ["--to", "c", one.daemon.socket, "/run/xenstored/xenstored"];
    const ordered = Bun.spawn(agentCommand("live-update", ...words), { stdout: "pipe" });
    await Bun.sleep(1500); // It has said that it is fit, and waits for the transaction.
    chmodSync(copy, 0o600);
    expect(one.client.ask("TRANSACTION_END", "T\0", id)?.body).toBe("OK\0");
    expect(await new Response(ordered.stdout).text()).toContain(
      "The old program serves on: Cannot",
    );
    expect([await ordered.exited, one.program]).toEqual([1, "agent"]);
    expect(existsSync(join(one.daemon.run, "state_dump"))).toBe(false);
    expectAllServed(one, "still");
  },
);

test.skipIf(!HAS_PEERS)(peerTitle("oxenstored's format: what passes is waited for"), async () => {
  using one = new TakeOver("ocaml-4.20");
  prepare(one);
  expect(one.control(one.ours).status).toBe(0);
  one.does("SET_TARGET", "7\x000\0");
  const refused = one.handBack("--timeout", "1");
  expect([refused.status, refused.stdout]).toEqual([
    1,
    expect.stringContaining("targets are lost: 1 (domain 7)"),
  ]);
  // The result was told to who asked, once: another one asks in vain.
  expect(await controlOf(one.daemon.socket, "live-update", "-s")).toContain("Not in live-update");
  one.does("RELEASE", "7\0");
  const unfit = one.control(one.stock, "-c", "--no-such-option");
  expect(unfit.stderr).toContain("wanted an answer to --help, found exit status 2");
  using half = new Unfinished(one.daemon.socket, "/data/long");
  const waits = one.handBack("--timeout", "1");
  expect(waits.stdout).toContain("requests not answered are lost: 2 (socket");
  expect(one.program).toBe("agent");
  half.expectWhole();
  expect(one.handBack().status).toBe(0);
  expect(one.program).toBe("oxenstored");
  expect(one.reads("/seen")).toBe("before");
});

test.skipIf(!HAS_PEERS)(peerTitle("a program that is neither ours nor stock is refused"), () => {
  using one = new TakeOver("c-4.20");
  expect(one.control(one.ours).status).toBe(0);
  const other = `/usr/lib/xen-${one.version}/bin/xenstore-control`;
  const refused = one.control(other);
  expect(refused.stderr).toContain(`Starting live update failed:\nCannot use "${other}"`);
  const text = "%s/state_dump Not in live-update session.";
  writeFileSync(join(one.daemon.run, "no-program"), text, { mode: 0o755 });
  expect(one.control("/run/xenstored/no-program").stderr).toContain('Cannot use "/run/xenstored/');
  const reply = one.client.ask("DIRECTORY", "/\0", 0);
  expect([one.program, reply?.type]).toEqual(["agent", OP.DIRECTORY]);
});

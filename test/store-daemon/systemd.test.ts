// The unit under the real systemd: killed, restarted, updated and stopped, seen by its clients and
// by systemctl.

import { expect, test } from "bun:test";
import { builtBinary } from "../helpers/binary.ts";
import { StoreSocket } from "../helpers/store-socket.ts";
import { updateStore } from "../helpers/store-update.ts";
import { skipSystemd, SystemdHost, systemdTitle } from "../helpers/systemd-host.ts";

const TIMEOUT_MS = 120_000;
const KEPT = 2;
const WATCHDOG_SECONDS = 2;

test.skipIf(skipSystemd)(
  systemdTitle("systemd: clients go on over kills, updates and restarts; a stop keeps the store"),
  async () => {
    using host = new SystemdHost(builtBinary(), `WatchdogSec=${WATCHDOG_SECONDS}\n`);
    const socket = host.path("/run/xenstored/socket");
    host.run("systemctl", "start", "agent-xenstored");
    const others = Number(host.show("NFileDescriptorStore"));
    const [watching, writing] = [new StoreSocket(socket), new StoreSocket(socket)];
    watching.ask("WATCH", "/watched\0token\0", 0);
    const transaction = Number.parseInt(writing.ask("TRANSACTION_START", "\0", 0)!.body, 10);
    writing.ask("WRITE", "/node\0within", transaction);
    await host.waitUntil("The clients' sockets", () => {
      return Number(host.show("NFileDescriptorStore")) >= others + KEPT;
    });
    const changed = (before: string): Promise<void> =>
      host.waitUntil("Another main process", () => {
        return host.show("MainPID") !== before && host.show("SubState") === "running";
      });
    /** The clients' connections are those of before, and so is the store. */
    const expectKept = (word: string): void => {
      expect([word, writing.ask("READ", "/node\0", transaction)?.body]).toEqual([word, "within"]);
      expect(writing.ask("WRITE", `/watched/${word}\0x`, 0)?.body).toBe("OK\0");
      expect(watching.ask("READ", `/watched/${word}\0`, 0)?.body).toBe("x");
      expect(watching.events.at(-1)?.body).toBe(`/watched/${word}\0token\0`);
      // Behind both: they are idle by the time that this is answered.
      using last = new StoreSocket(socket);
      last.ask("READ", "/tool\0", 0);
    };
    expectKept("first");

    let main = host.show("MainPID");
    host.run("systemctl", "kill", "-s", "KILL", "agent-xenstored");
    await changed(main);
    expect(host.show("NRestarts")).toBe("1");
    expectKept("killed");

    main = host.show("MainPID");
    const outcome = await updateStore(socket, { binary: "/usr/bin/agent", way: "promote" });
    expect(outcome.kind).toBe("updated");
    await changed(main);
    expect(host.run("systemctl", "is-active", "agent-xenstored")).toBe("active\n");
    expectKept("updated");
    await Bun.sleep(WATCHDOG_SECONDS * 2000); // It would have been ended by now.
    expect(host.show("NRestarts")).toBe("1");

    main = host.show("MainPID");
    host.run("systemctl", "kill", "-s", "KILL", "agent-xenstored");
    await changed(main);
    expect(host.show("NRestarts")).toBe("2");
    expectKept("killed-again");

    main = host.show("MainPID");
    const inPlace = await updateStore(socket, { binary: "/usr/bin/agent", way: "in-place" });
    expect(inPlace.kind).toBe("updated");
    await host.waitUntil("The end of the update", () => host.show("SubState") === "running");
    expect(host.show("MainPID")).toBe(main);
    expectKept("in-place");

    host.run("systemctl", "restart", "agent-xenstored");
    expectKept("restarted");

    host.run("systemctl", "stop", "agent-xenstored");
    for (const client of [watching, writing]) {
      while (client.receive(10_000) !== undefined);
      expect(client.isClosed).toBe(true);
    }
    host.run("systemctl", "start", "agent-xenstored");
    using later = new StoreSocket(socket);
    expect(later.ask("READ", "/watched/restarted\0", 0)?.body).toBe("x");
    expect(host.show("NFileDescriptorStore")).toBe(String(others));
  },
  TIMEOUT_MS,
);

// The store on disk between two programs: SIGTERM leaves it in a file, the next start takes it.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentCommand, run } from "../helpers/run.ts";
import { NEEDS_MOUNT, type SmallDisk, smallDisk } from "../helpers/small-disk.ts";
import { makeDomain, StoreGuest } from "../helpers/store-guest.ts";
import { listens, StoreSocket } from "../helpers/store-socket.ts";
import { type TemporaryFolder, temporaryFolder } from "../helpers/temporary.ts";

const TIMEOUT_MS = 60_000;

describe("without a manager", () => {
  const arena = (place: { readonly socket: string }): string => `${place.socket}.arena`;

  test(
    "SIGTERM leaves the store in a file; the next start goes on with it",
    async () => {
      using place = alone();
      const { shim } = place;
      await place.start();
      makeDomain(shim, 7);
      {
        using tools = new StoreSocket(place.socket);
        tools.ask("INTRODUCE", "7\x001\x005\0", 0);
        tools.ask("WRITE", "/local/domain/7\0", 0);
        tools.ask("SET_PERMS", "/local/domain/7\0n7\0", 0);
        tools.ask("WATCH", "/kept\0gone with its socket\0", 0);
        tools.ask("WRITE", "/kept\0safe", 0);
      }
      using guest = new StoreGuest(shim, 7);
      guest.ask("WATCH", "name\0token\0", 0);
      expect(await place.end("SIGTERM")).toBe(0);
      expect(statSync(arena(place)).mode & 0o777).toBe(0o600);
      await place.start();
      expect(existsSync(arena(place))).toBe(false);
      using tools = new StoreSocket(place.socket);
      expect(tools.ask("READ", "/kept\0", 0)?.body).toBe("safe");
      tools.ask("WRITE", "/local/domain/7/name\0web", 0);
      expect(guest.ask("READ", "name\0", 0)?.body).toBe("web");
      expect(guest.events.at(-1)?.body).toBe("name\0token\0");
      expect(tools.ask("CONTROL", "check\0", 0)?.body).toBe("OK\0");
      expect(await place.end("SIGKILL")).toBe(null);
      await place.start(); // Nobody kept anything: it begins anew.
      using anew = new StoreSocket(place.socket);
      expect(anew.ask("READ", "/kept\0", 0)?.body).toBe("ENOENT\0");
    },
    TIMEOUT_MS,
  );

  test.skipIf(NEEDS_MOUNT.skip)(
    NEEDS_MOUNT.title("a full disk: it ends all the same, says what is lost, and leaves nothing"),
    async () => {
      using folder = temporaryFolder();
      const said = join(folder.path, "said");
      using place = alone(smallDisk(64 * 1024));
      await place.start(Bun.file(said));
      expect(await place.end("SIGTERM")).toBe(1);
      expect(readFileSync(said, "utf8")).toMatch(
        /^agent: Cannot write ".*\.arena": the disk is full: .* ENOSPC .*: the store is lost, /m,
      );
      expect([place.socket, arena(place)].filter((path) => existsSync(path))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test.each([
    ["cut short", (bytes: Buffer) => bytes.subarray(0, 5000)],
    ["without its end", (bytes: Buffer) => bytes.subarray(0, -4096)],
    ["with a row changed", (bytes: Buffer) => bytes.fill(0x5a, 80_000, 90_000)],
    ["empty", () => Buffer.alloc(0)],
  ] as const)(
    "a file that is %s is refused, and stays",
    async (_, damage) => {
      using place = alone();
      await place.start();
      await place.end("SIGTERM");
      writeFileSync(arena(place), damage(readFileSync(arena(place))));
      const { status, stderr } = run(place.command, {});
      expect(stderr).toMatch(/^agent: Cannot adopt the store: .*\n$/);
      expect(stderr).toEndWith(
        `"${arena(place)}" is damaged, remove it to begin with an empty store\n`,
      );
      expect([status, existsSync(arena(place)), existsSync(place.socket)]).toEqual([
        1,
        true,
        false,
      ]);
      rmSync(arena(place));
      await place.start();
    },
    TIMEOUT_MS,
  );

  test(
    "a file of before the host was started is left behind",
    async () => {
      using place = alone();
      await place.start();
      {
        using tools = new StoreSocket(place.socket);
        tools.ask("WRITE", "/old\0x", 0);
      }
      await place.end("SIGTERM");
      const bytes = readFileSync(arena(place));
      bytes.write('"boot_id":"0', bytes.indexOf('"boot_id":"'));
      const other = bytes.toString("latin1").replace(/"boot_id":"./, '"boot_id":"x');
      writeFileSync(arena(place), Buffer.from(other, "latin1"));
      await place.start();
      using tools = new StoreSocket(place.socket);
      expect(tools.ask("READ", "/old\0", 0)?.body).toBe("ENOENT\0");
    },
    TIMEOUT_MS,
  );
});

/** A daemon that nobody looks after. */
function alone(folder: SmallDisk | TemporaryFolder = temporaryFolder()) {
  const [socket, shim] = [join(folder.path, "s"), join(folder.path, "shim")];
  const command = agentCommand("store", "serve", "--socket", socket, "--hypervisor", shim);
  let child: Bun.Subprocess | undefined;
  return {
    socket,
    shim,
    command,
    async start(stderr: "inherit" | Bun.BunFile = "inherit"): Promise<void> {
      child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr });
      const untilMs = performance.now() + 20_000;
      while (!listens(socket) && performance.now() < untilMs) await Bun.sleep(5);
      using client = new StoreSocket(socket);
      client.ask("READ", "/tool\0", 0); // From now on it hears signals.
    },
    async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
      child!.kill(signal);
      await child!.exited;
      return child!.exitCode;
    },
    [Symbol.dispose](): void {
      child?.kill("SIGKILL");
      folder[Symbol.dispose]();
    },
  };
}

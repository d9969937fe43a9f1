// The device proxy as a program that ends, without a guest.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { builtBinary } from "../helpers/binary.ts";
import { processes } from "../helpers/processes.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const WAIT_MS = 20_000;
const TIMEOUT_MS = 60_000;

test.each([
  ["promote", 20],
  ["promote", 100],
  ["promote", 200],
  ["in-place", 20],
  ["in-place", 250],
  ["in-place", 350],
  ["in-place", 450],
  ["in-place", 700],
] as const)(
  "told to end in the middle of an update, by %s, after %i ms: nobody serves on",
  async (way, delayMs) => {
    using folder = temporaryFolder();
    const binary = builtBinary();
    const listen = join(folder.path, "listen");
    const control = `${listen}.control`;
    const ours = () => processes().filter(({ command }) => command.includes(`--listen ${listen}`));
    const words = ["--listen", listen, "--backend", join(folder.path, "back"), "--quiet"];
    const proxy = Bun.spawn([binary, "device", "proxy", ...words], { stderr: "inherit" });
    await until(() => existsSync(control));
    const update = ["--update", control, "--binary", binary, "--way", way];
    const asker = Bun.spawn([binary, "device", "proxy", ...update], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    await Bun.sleep(delayMs);
    proxy.kill("SIGTERM");
    await proxy.exited;
    const isUpdated = (await asker.exited) === 0;
    // One that was as good as gone has heard nothing any more.
    if (way === "promote" && isUpdated) {
      for (const { pid } of ours()) Bun.spawnSync(["kill", String(pid)], { stderr: "ignore" });
    }
    await until(() => ours().length === 0);
    expect([listen, control].filter((path) => existsSync(path))).toEqual([]);
  },
  TIMEOUT_MS,
);

async function until(isSo: () => boolean): Promise<void> {
  const untilMs = performance.now() + WAIT_MS;
  while (!isSo()) {
    if (performance.now() > untilMs) throw new Error(`Still not so after ${WAIT_MS} ms: ${isSo}`);
    await Bun.sleep(5);
  }
}

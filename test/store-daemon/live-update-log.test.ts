// What the daemon's own log tells of its updates: one line each, by whoever serves then.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { builtBinary } from "../helpers/binary.ts";
import { startServe } from "../helpers/store-serve.ts";
import { killAll, settledPids, updateStore } from "../helpers/store-update.ts";

const TIMEOUT_MS = 60_000;

test(
  "each way, a rehearsal, and a program that is refused",
  async () => {
    using daemon = startServe({ program: "binary", words: [] });
    const { socket, run } = daemon;
    using _ = { [Symbol.dispose]: () => killAll(socket) };
    const binary = builtBinary();
    await updateStore(socket, { binary, way: "in-place" });
    await updateStore(socket, { binary, way: "promote" });
    await updateStore(socket, { binary, way: "promote", dry_run: true });
    await updateStore(socket, { binary: "/bin/true", way: "promote" });
    expect(await settledPids(socket)).toHaveLength(1);
    // One that never began tells nothing of those before it.
    const absent = join(run, "absent");
    const refused = await updateStore(socket, { binary: absent, way: "in-place" });
    const { way, sha256, phases_ms: phases } = refused.report;
    expect([refused.kind, refused.report.binary, way]).toEqual(["failed", absent, "in_place"]);
    expect([sha256, phases]).toEqual([null, {}]);
    const lines = readFileSync(join(run, "out"), "utf8").trim().split("\n");
    const pause = String.raw`, after a pause of \d+\.\d ms`;
    const told = [
      `: live update: ${binary} serves now${pause} \\(in_place\\)$`,
      `: live update: ${binary} serves now${pause} \\(promote\\)$`,
      `: live update: ${binary} could serve$`,
      ': live update failed: Cannot use "/bin/true"',
    ];
    const updates = lines.filter((line) => line.includes("live update"));
    expect(updates).toEqual(told.map((text) => expect.stringMatching(new RegExp(text))));
  },
  TIMEOUT_MS,
);

// Group snapshots that are killed, with real QEMUs; and damaged headers, journals and monitors.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, RefusedError } from "../../lib/base/index.ts";
import { parseJournal } from "../../lib/snapshot/journal-file.ts";
import { overlayBytes } from "../../lib/snapshot/overlay-file.ts";
import { holdsData, readIfQcow2 } from "../../lib/snapshot/qcow2-image.ts";
import { QmpGarbage, qmpReader } from "../../lib/snapshot/qmp-wire.ts";
import { programCommand } from "../helpers/run.ts";
import type { Fuzzer } from "./fuzzers.ts";
import { mutateBytes } from "./mutate-bytes.ts";
import type { Random } from "./random.ts";

const folder = mkdtempSync(join(tmpdir(), "agent test-fuzz-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const MARK = { group: "g", snapshot: "s", made: "2026", stem: "d" };
const { head } = overlayBytes({
  virtualBytes: 2 ** 24,
  backingFile: "/base",
  backingFormat: "raw",
  mark: MARK,
});
const HEADER = head.subarray(0, 512);
const JOURNAL = Buffer.from(
  "agent-snapshot-journal intent 2 00000000 {}\nagent-snapshot-journal switched 2 00000000 {}\n",
);
const TALK = Buffer.from(
  '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}\n' +
    '{"return": {}, "id": "a"}\n{"event": "STOP"}\n{"error": {"class": "C", "desc": "d"}}\n',
);

/** What is refused is refused in words; everything else is a mistake of ours. */
function refuses(expected: new (message: string) => Error, run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof expected)) throw error;
  }
}

const input: Fuzzer = {
  name: "snapshot_input",
  share: 1,
  run(random: Random) {
    const path = join(folder, "image");
    writeFileSync(path, mutateBytes(Uint8Array.from(HEADER), random));
    refuses(RefusedError, () => readIfQcow2(path));
    refuses(RefusedError, () => readIfQcow2(path) && holdsData(path));
    refuses(RefusedError, () => parseJournal("j", mutateBytes(Uint8Array.from(JOURNAL), random)));
    const read = qmpReader();
    refuses(QmpGarbage, () => read(mutateBytes(Uint8Array.from(TALK), random)));
  },
};

const kills: Fuzzer = {
  name: "snapshot_kills",
  share: 0, // A second each: by its name.
  run(random: Random) {
    const words = programCommand("snapshot-round", String(random(2 ** 31)));
    const { exitCode, stderr } = Bun.spawnSync(words, { stdio: ["ignore", "ignore", "pipe"] });
    assert(exitCode === 0, `all disks have the snapshot or none has: ${stderr.toString()}`);
  },
};

export const SNAPSHOT_FUZZERS: readonly Fuzzer[] = [input, kills];

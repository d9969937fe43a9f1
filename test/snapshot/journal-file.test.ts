// The journal: three records, cut at every byte, damaged, or of another version.

import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileJournal, openJournal, parseJournal } from "../../lib/snapshot/journal-file.ts";
import { createPlan } from "../helpers/group-samples.ts";
import { recover } from "../helpers/snapshot-faults.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const PLAN = createPlan([]);

/** Its records; behind them there is room for more. */
function recordsOf(path: string): Buffer {
  const bytes = readFileSync(path);
  return bytes.subarray(0, bytes.lastIndexOf("\n") + 1);
}

/** The records after each step. */
async function journalBytes(folder: string): Promise<Buffer[]> {
  using journal = fileJournal(folder, PLAN);
  const path = join(folder, `${PLAN.group}.journal`);
  await journal.intend();
  const intent = recordsOf(path);
  const { size } = statSync(path);
  expect(() => openJournal(path)).toThrow("another agent works on this group now");
  await journal.switched();
  const switched = recordsOf(path);
  expect(statSync(path).size).toBe(size); // Nothing of the file changes but its bytes.
  await journal.done("done");
  expect(readdirSync(folder)).toEqual([]);
  return [intent, switched];
}

test("cut at every byte a record counts or does not; never half", async () => {
  using own = temporaryFolder();
  const [intent, switched] = (await journalBytes(own.path)) as [Buffer, Buffer];
  for (let length = 0; length <= switched.byteLength; length++) {
    const state = parseJournal("j", switched.subarray(0, length));
    expect(state.plan).toEqual(length < intent.byteLength ? undefined : PLAN);
    expect(state.isSwitched).toBe(length === switched.byteLength);
    expect(state.isDone).toBe(false);
  }
});

test("a record that took the place of its room in part does not count", async () => {
  using own = temporaryFolder();
  const [intent, switched] = (await journalBytes(own.path)) as [Buffer, Buffer];
  for (let length = intent.byteLength; length <= switched.byteLength; length++) {
    const torn = Buffer.alloc(switched.byteLength + 100);
    switched.copy(torn, 0, 0, length);
    const state = parseJournal("j", torn);
    expect(state).toMatchObject({ plan: PLAN, isSwitched: length === switched.byteLength });
    const path = join(own.path, "torn.journal");
    writeFileSync(path, torn);
    using journal = openJournal(path);
    journal.append("done", { result: "done" });
    expect(parseJournal(path, readFileSync(path))).toEqual({ ...state, path, isDone: true });
    journal.remove();
  }
});

test("recover takes a journal that is cut at any byte", async () => {
  using own = temporaryFolder();
  const [, switched] = (await journalBytes(own.path)) as [Buffer, Buffer];
  const results = new Set<string>();
  for (let length = 0; length <= switched.byteLength; length++) {
    writeFileSync(join(own.path, "x.journal"), switched.subarray(0, length));
    const [recovered] = await recover(own.path);
    expect(readdirSync(own.path)).toEqual([]);
    results.add(recovered!.result);
  }
  expect([...results].toSorted()).toEqual(["finished", "nothing"]);
});

test("every byte changed: the record does not count, or the change is told", async () => {
  using own = temporaryFolder();
  const [intent] = (await journalBytes(own.path)) as [Buffer, Buffer];
  for (let at = 0; at < intent.byteLength; at++) {
    const damaged = Buffer.from(intent);
    damaged[at] = damaged[at]! ^ 1;
    expect(parseJournal("j", damaged).plan).toBeUndefined();
  }
});

test("a journal of another version is left where it is, for an operator", async () => {
  using own = temporaryFolder();
  const json = JSON.stringify({ ...PLAN, operation: "levitate" });
  const crc = Bun.hash.crc32(json).toString(16).padStart(8, "0");
  mkdirSync(join(own.path, "j"));
  const path = join(own.path, "j", "x.journal");
  writeFileSync(path, `agent-snapshot-journal intent ${json.length} ${crc} ${json}\n`);
  const [recovered] = await recover(join(own.path, "j"));
  expect(recovered).toMatchObject({ result: "stuck", snapshot: undefined });
  expect(recovered!.actions.join()).toContain("was written otherwise");
  expect(readdirSync(join(own.path, "j"))).toEqual(["x.journal"]);
});

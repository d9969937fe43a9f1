// The page of `agent checkpoint list --html`: what it shows, and that nothing of it can do harm.

import { expect, test } from "bun:test";
import { checkpointPage } from "../../../agent/ui/checkpoint-page.ts";
import type { CheckpointList, RestorePointReport } from "../../../lib/checkpoint/index.ts";

const point = (number: number, changes: Partial<RestorePointReport> = {}): RestorePointReport => ({
  number,
  stream: 1,
  checkpoint: number,
  committed_at: `2026-11-21T13:00:${String(number % 60).padStart(2, "0")}.000Z`,
  changed_pages: 100 * number,
  changed_contents: 100 * number,
  pfns: 8192,
  bytes: 409_600 * number,
  end_offset: 10 ** 6 * number,
  interval_ms: number === 1 ? 0 : 200,
  arrival_ms: 20,
  lag_ms: number % 7,
  lag_bytes: 0,
  ...changes,
});

const list = (count: number, changes: Partial<CheckpointList> = {}): CheckpointList => {
  const commits = Array.from({ length: count }, (_, index) => point(index + 1));
  return {
    folder: "/var/lib/points/web1",
    receiving: false,
    points: commits.slice(-2),
    commits,
    streams: [
      {
        stream: 1,
        started_at: "2026-11-21T12:00:00.000Z",
        journal_bytes: 1000,
        page_file_bytes: 4096,
        tail: null,
        damaged: false,
        failover: null,
      },
    ],
    ...changes,
  };
};

test("has a chart of interval, changed pages and lag, and the points as a table", () => {
  const page = checkpointPage(list(5));
  expect(page).toContain("<h1>web1</h1>");
  for (const id of ["interval", "pages", "lag"]) expect(page).toContain(`id="${id}-figure"`);
  expect(page).toContain("Commit 5, 2026-11-21 13:00:05 UTC: 500 pages");
  expect(page).toContain("points-table");
  expect(page).toContain("At rest.");
});

test("puts thousands of commits into columns that can be told apart", () => {
  const page = checkpointPage(list(5000));
  expect(page.match(/<rect\s+class="hit"/g)!.length).toBeLessThanOrEqual(3 * 96);
  expect(page).toContain("Each column is the mean of 53 commits");
});

test.each([
  ["nothing", list(0), "There is nothing to restore here"],
  ["one commit", list(1), "there is no course of time to show"],
  ["a stream on its way", list(3, { receiving: true }), "A stream is coming in"],
] as const)("%s is told", (_, report, text) => {
  expect(checkpointPage(report)).toContain(text);
});

test("damage and failover are told first", () => {
  const [stream] = list(2).streams;
  const damaged = { ...stream!, damaged: true, tail: "a record with a wrong checksum" };
  expect(checkpointPage(list(2, { streams: [damaged] }))).toContain("<b>Damaged.</b>");
  const over = { ...stream!, failover: { number: 2, state: "begun" as const } };
  const page = checkpointPage(list(2, { streams: [over] }));
  expect(page).toContain("A failover to restore point 2 was begun");
});

test("names of folders are text there", () => {
  const folder = '/a/<script>alert("x")</script>&"';
  const page = checkpointPage(list(3, { folder }));
  expect(page).not.toContain("<script>alert");
  expect(page).toContain("&lt;script&gt;");
});

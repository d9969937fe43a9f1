// agent diff as a process: table, JSON and page, pipes, and what it refuses.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { DiffReportSchema } from "../../lib/stream/diff/index.ts";
import { agentCommand, type Ran, run } from "../helpers/run.ts";
import { checkpointedPlan, HVM, PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode, indexOf, overwrite, type StreamPlan } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

setDefaultTimeout(60_000); // Much is written to disk, which other tests may keep busy.

/** The same guest with one page, one register and one setting changed. */
function changed(): StreamPlan {
  const plan = xlPlan(PV64);
  const record = (name: string) => plan.records[indexOf(plan, name, 0)]!;
  const [pages, vcpu, config] = ["PAGE_DATA", "X86_PV_VCPU_BASIC", "CONFIG"].map(record);
  overwrite(pages!, pages!.body.byteLength - 1, new Uint8Array([7]));
  overwrite(vcpu!, 8 + 648, new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]));
  const at = Buffer.from(config!.body).indexOf('"built"');
  overwrite(config!, at, new TextEncoder().encode('"<b>&"'));
  overwrite(config!, at + 6, new TextEncoder().encode(" "));
  return plan;
}

function place() {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder.path, name);
  writeFileSync(path("a"), encode(xlPlan(PV64)).bytes);
  writeFileSync(path("b"), encode(changed()).bytes);
  writeFileSync(
    path("remus"),
    encode(checkpointedPlan(HVM, { checkpoints: 2, isColo: false })).bytes,
  );
  return { path, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const diff = (...words: string[]): Ran =>
  run(agentCommand("diff", ...words), { env: { PATH: process.env.PATH ?? "" } });

describe("agent diff", () => {
  test("says in a table what differs", () => {
    using at = place();
    const { status, stdout, stderr } = diff(at.path("a"), at.path("b"));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const lines = stdout.replaceAll(at.path(""), "").split("\n");
    expect(lines.slice(0, 3)).toEqual([
      "differ: pages 1 changed; 2 values of the rest of the state",
      "  A  /a: xl save file, PV guest, from Xen 4.20, libxc v3",
      "  B  /b: xl save file, PV guest, from Xen 4.20, libxc v3",
    ]);
    expect(lines).toContainEqual(expect.stringMatching(/^ +L2TAB pinned +1 +1 +0 +1 +0 +0 +0$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ +c_info.name +"built" +"<b>&"$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ +rip +0x[0-9a-f]+ +0x7$/));
  });

  test("says that nothing differs", () => {
    using at = place();
    expect(diff(at.path("a"), at.path("a")).stdout).toStartWith("same: both end in the same state");
  });

  test("tells a program as JSON, as its schema says", () => {
    using at = place();
    const { stdout } = diff(at.path("a"), at.path("b"), "--json");
    const report = v.parse(DiffReportSchema, JSON.parse(stdout));
    expect({ same: report.same, changed: report.pages.changed }).toEqual({
      same: false,
      changed: 1,
    });
    expect(report.pages.runs).toEqual([{ change: "changed", first_pfn: 2, last_pfn: 2 }]);
    expect(report.state.map(({ group, name }) => `${group} ${name}`)).toEqual([
      "config c_info.name",
      "vcpu 0 rip",
    ]);
  });

  test.each([
    ["1", [1, 1]],
    ["1,2", [1, 2]],
    [",1", [2, 1]],
    ["1,", [1, 2]],
  ])("takes the checkpoints of --at %s", (words, checkpoints) => {
    using at = place();
    const { stdout } = diff(at.path("remus"), at.path("remus"), "--json", "--at", words);
    const { a, b } = v.parse(DiffReportSchema, JSON.parse(stdout));
    expect([a, b].map(({ checkpoint }) => checkpoint)).toEqual(checkpoints);
  });

  test("lists as much as is wanted", () => {
    using at = place();
    const { stdout } = diff(at.path("a"), at.path("remus"), "--limit", "3");
    expect(stdout).toMatch(/\.\.\. and [0-9,]+ more values: see --limit and --json\n$/);
    expect(stdout).toContain("A is a PV guest, B a HVM guest");
  });

  test("writes a page in which nothing of a stream is markup", () => {
    using at = place();
    const { status, stdout } = diff(at.path("a"), at.path("b"), "--html", at.path("page"));
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    const page = readFileSync(at.path("page"), "utf8");
    expect(page).toStartWith("<!DOCTYPE html>");
    expect(page).toContain("c_info.name");
    expect(page).toContain("&lt;b&gt;&amp;");
    expect(page).not.toContain('"<b>&');
    expect(page).not.toMatch(/(src|href)="(?!#)/);
  });

  test("reads pipes and compressed input, and leaves nothing behind", () => {
    using at = place();
    writeFileSync(at.path("b.zst"), Bun.zstdCompressSync(readFileSync(at.path("b"))));
    const words = agentCommand("diff", "-", at.path("b.zst"), "--spool", at.path(""));
    const script = `cat "$1" | '${words.join("' '")}'`;
    const { stdout, stderr } = spawnSync("/bin/sh", ["-c", script, "sh", at.path("a")], {
      encoding: "utf8",
    });
    expect(stdout).toStartWith("differ: pages 1 changed; 2 values");
    expect(stderr).toContain("agent: standard input is not a file: keeping the stream in");
    expect(stderr).toContain("b.zst is compressed: keeping the stream in");
    expect(readdirSync(at.path("")).sort()).toEqual(["a", "b", "b.zst", "remus"]);
  });
});

describe("agent diff refuses", () => {
  test("a stream that is damaged, by its name", () => {
    using at = place();
    writeFileSync(at.path("cut"), readFileSync(at.path("b")).subarray(0, 9000));
    for (const words of [
      [at.path("a"), at.path("cut")],
      [at.path("cut"), at.path("a")],
    ]) {
      const { status, stderr } = diff(...words);
      expect(status).toBe(3);
      expect(stderr).toMatch(/^agent: Cannot compare ".*\/cut": libxc .* the end of the input/);
    }
  });

  test("a checkpoint that a stream does not have, or has none of", () => {
    using at = place();
    const refusal = (words: string) =>
      diff(at.path("a"), at.path("remus"), "--at", words).stderr.replace(at.path(""), "").trim();
    expect(refusal(",3")).toContain('/remus" at checkpoint 3: it has 2 complete checkpoints');
    expect(refusal("1")).toEndWith('a": it has no checkpoints');
  });

  test("to write the page over a stream", () => {
    using at = place();
    const { status, stderr } = diff(at.path("a"), at.path("b"), "--html", at.path("b"));
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `agent: Cannot write "${at.path("b")}": it is the input\n`,
    });
    expect(Buffer.compare(readFileSync(at.path("b")), encode(changed()).bytes)).toBe(0);
  });

  test.each([
    [["a"], /operands: wanted two streams$/],
    [["-", "-"], /^agent: Cannot compare "-" with itself: it can be read only once$/],
    [["a", "b", "--at", "0"], /--at: wanted N, or N,N .+, found "0"$/],
    [["a", "b", "--format", "zip"], /--format: wanted one of .+, found "zip"$/],
    [["a", "b", "--json", "--html", "-"], /two results would go to standard output$/],
  ] as const)("%p", (words, message) => {
    const { status, stderr } = diff(...words);
    expect(stderr.trim()).toMatch(message);
    expect(status).toBe(2);
  });
});

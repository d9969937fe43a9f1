// agent check, from source, as an operator runs it.

import { expect, test } from "bun:test";
import * as v from "valibot";
import type { SelfTestReport } from "../../lib/self-test/index.ts";
import { CheckDocument, checkDocument, renderCheck } from "../../agent/ui/check.ts";
import { allowsColour } from "../../agent/ui/colour.ts";
import { agentCommand, programCommand, run } from "../helpers/run.ts";

const NOBODY = 65_534;
const isRoot = process.geteuid?.() === 0;

const REPORT: SelfTestReport = {
  passed: false,
  probes: [
    { group: "runtime", name: "c_library", passed: true, detail: "glibc 2.36" },
    { group: "kernel", name: "splice", passed: false, detail: "Cannot\nsplice" },
  ],
  features: [
    { name: "one", since: "5.14", replacedBy: "reading", absence: undefined },
    { name: "two", since: "5.3", replacedBy: "waiting", absence: "ENOSYS" },
  ],
  host: [
    { group: "system", name: "kernel", present: true, detail: "6.1" },
    { group: "tools", name: "qemu_img", present: false, detail: undefined },
  ],
};

const documentOf = (stdout: string): v.InferOutput<typeof CheckDocument> =>
  v.parse(CheckDocument, JSON.parse(stdout));

test.each(["check", "--check"])("agent %s --json is of the schema, all passed", (word) => {
  const { status, stdout, stderr } = run(agentCommand(word, "--json"), {});
  expect([status, stderr]).toEqual([0, ""]);
  const document = documentOf(stdout);
  expect(document.passed).toBe(true);
  expect(document.probes.filter((probe) => probe.status !== "passed")).toEqual([]);
  expect(document.agent.bun_version).toBe(Bun.version);
});

test("the table is plain off a terminal, and ends with the verdict", () => {
  const { status, stdout } = run(agentCommand("check"), {});
  expect(status).toBe(0);
  expect(stdout).not.toContain("\u001b");
  expect(stdout).toMatch(/\nAll \d+ probes passed\.\n$/);
  expect(stdout).toContain("\n  exec in place          ok       same pid, descriptor kept\n");
});

test.skipIf(!isRoot)("it works for a user who is not root", () => {
  const { status, stdout } = run(agentCommand("check", "--json"), { uid: NOBODY, env: {} });
  expect(status).toBe(0);
  const user = documentOf(stdout).host.find(({ name }) => name === "user");
  expect(user?.detail).toBe("uid 65534, not root");
});

test("a kernel without memory files fails the probes that need them, by name: status 1", () => {
  const call = process.arch === "arm64" ? "279" : "319";
  const sandbox = programCommand("under-enosys", call, call);
  const { status, stdout } = run([...sandbox, ...agentCommand("check", "--json")], {});
  expect(status).toBe(1);
  const { passed, probes } = documentOf(stdout);
  expect(passed).toBe(false);
  expect(probes.find(({ name }) => name === "memory_file_seals")).toMatchObject({
    status: "failed",
    detail:
      'Cannot make memory file "agent-check": memfd_create on "agent-check" failed with ENOSYS ' +
      "(errno 38)",
  });
  expect(probes.find(({ name }) => name === "errno")?.status).toBe("passed");
});

test.each([
  [["check", "--jsn"], 'agent: Cannot run check: there is no option "--jsn"\n'],
  [["check", "extra"], "agent: Cannot run check: operands: wanted none\n"],
  [
    ["self-test-child", "middle"],
    "agent: Cannot run self-test-child: operands: wanted before, or after and a process number\n",
  ],
])("agent %p is refused as wrong usage", (words, message) => {
  const { status, stderr } = run(agentCommand(...words), {});
  expect([status, stderr]).toEqual([2, message]);
});

test("the child of the exec probe refuses another pid and an absent descriptor", () => {
  const { status, stderr } = run(agentCommand("self-test-child", "after", "1"), {});
  expect(status).toBe(1);
  expect(stderr).toMatch(/^agent: the pid after exec: wanted 1, found \d+\n$/);
});

test("columns are aligned over all groups, and messages of several lines stay in theirs", () => {
  const [, ...lines] = renderCheck(REPORT, { coloured: false }).split("\n");
  expect(lines).toEqual([
    "",
    "runtime",
    "  c library  ok       glibc 2.36",
    "",
    "kernel",
    "  splice     FAILED   Cannot",
    "                      splice",
    "",
    "kernel features",
    "  one        present  Linux 5.14 and later",
    "  two        absent   ENOSYS, replaced by waiting (Linux 5.3 and later have it)",
    "",
    "system",
    "  kernel     present  6.1",
    "",
    "tools",
    "  qemu-img   absent",
    "",
    "1 of 2 probes failed.",
    "",
  ]);
});

test("the document of a failed check is of the schema as well", () => {
  const document = checkDocument(REPORT);
  expect(v.parse(CheckDocument, document)).toEqual(document);
  expect(document.kernel_features[1]).toEqual({
    name: "two",
    since_kernel: "5.3",
    present: false,
    absence: "ENOSYS",
    replaced_by: "waiting",
  });
});

test("colour is for terminals, and never with NO_COLOR", () => {
  expect(allowsColour({ TERM: "xterm" })).toBe(true);
  expect(allowsColour({ TERM: "xterm", NO_COLOR: "" })).toBe(true);
  expect(allowsColour({ TERM: "xterm", NO_COLOR: "1" })).toBe(false);
  expect(allowsColour({ TERM: "dumb" })).toBe(false);
  const painted = renderCheck(REPORT, { coloured: true });
  expect(painted).toContain("\u001b[1;31mFAILED\u001b[0m");
  // oxlint-disable-next-line no-control-regex -- the codes are what is taken out.
  expect(painted.replaceAll(/\u001b\[[0-9;]*m/g, "")).toBe(
    renderCheck(REPORT, { coloured: false }),
  );
});

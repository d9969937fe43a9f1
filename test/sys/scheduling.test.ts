// The scheduling class, in a process of its own.

import { expect, test } from "bun:test";
import { programCommand, run } from "../helpers/run.ts";

const UNPRIVILEGED = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"];

test("every thread becomes idle, the first one normal again and urgent, then all normal", () => {
  const { stdout, stderr } = run(programCommand("become-scheduled"), {});
  expect(stderr).toBe("");
  const [canReturn, first, idle, alone, urgent, all, child] = stdout.trim().split("\n");
  expect([canReturn, first, idle, all, child]).toEqual([
    "true",
    "normal true",
    "idle true, threads of another class: 0",
    "normal true, threads of another class: 0",
    "child: 0",
  ]);
  expect(urgent).toMatch(/^urgent true, threads of another class: [1-9]/);
  expect(alone).toMatch(/^normal true, threads of another class: [1-9]/);
});

test.skipIf(Bun.which("setpriv") === null)(
  "who cannot leave the idle class is told so (needs setpriv)",
  () => {
    const { stdout } = run([...UNPRIVILEGED, ...programCommand("become-scheduled")], {});
    expect(stdout.trim().split("\n")).toEqual([
      "false",
      "normal true",
      "idle true, threads of another class: 0",
      expect.stringMatching(/^idle false/),
      expect.stringMatching(/^idle false/),
      expect.stringMatching(/^idle false/),
      "child: 5",
    ]);
  },
);

test.skipIf(Bun.which("chrt") === null)(
  "a class that somebody else has chosen is let be (needs chrt)",
  () => {
    const { stdout } = run(["chrt", "--batch", "0", ...programCommand("become-scheduled")], {});
    expect(stdout.split("\n")[0]).toBe("false");
  },
);

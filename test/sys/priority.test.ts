// Idle priority, read back from the kernel.

import { expect, test } from "bun:test";
import { programCommand, run } from "../helpers/run.ts";

test("every thread is at the lowest processor priority and in the idle I/O class", () => {
  const { stdout } = run(programCommand("become-idle"), {});
  expect(JSON.parse(stdout)).toEqual({ answer: { io: true }, nice: [19], ioClasses: [3] });
});

test("where the I/O class is refused, that is the answer and no failure", () => {
  const call = process.arch === "arm64" ? "30" : "251"; // ioprio_set
  const sandbox = programCommand("under-enosys", call, call, ...programCommand("become-idle"));
  const { stdout, status } = run(sandbox, {});
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ answer: { io: false }, nice: [19], ioClasses: [0] });
});

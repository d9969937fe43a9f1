// The old program after a new one that has served and died: what it goes on to do besides serving.

import { afterEach, beforeEach, expect, test } from "bun:test";
import type { RequestTrace } from "../../lib/store-daemon/request-trace.ts";
import { HandoverHere } from "../helpers/handover-here.ts";
import { request } from "../helpers/store-in-process.ts";

let stack: DisposableStack;
let handover: HandoverHere;
beforeEach(() => {
  stack = new DisposableStack();
  handover = stack.use(new HandoverHere());
});
afterEach(() => stack.dispose());

test("requests are written down as before, and that connections were closed", async () => {
  const lines: string[] = [];
  const nothing = (): void => undefined;
  const trace: RequestTrace = {
    request: ({ connection }) => void lines.push(`request ${connection}`),
    gone: ({ connection }) => void lines.push(`gone ${connection}`),
    connected: ({ connection }) => void lines.push(`connected ${connection}`),
    output: nothing,
    note: nothing,
    switches: nothing,
    flush: nothing,
    reopen: nothing,
  };
  handover.first.daemon.trace = trace;
  const idle = stack.use(handover.first.connect());
  const touched = stack.use(handover.first.connect());
  handover.standBy();
  handover.adopt(handover.changes());
  await handover.serve(false);
  touched.send(request("READ", 1, "/tool\0"));
  await handover.turns();
  handover.die();
  await handover.goOn();
  idle.send(request("READ", 2, "/tool\0"));
  await handover.first.turns();
  const [first, second] = lines.map((line) => line.replace("connected ", ""));
  expect(lines.slice(2)).toEqual([`gone ${second}`, `request ${first}`]);
});

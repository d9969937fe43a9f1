// The rate limiter on a made-up clock: what it sleeps is what the bytes are ahead of their time.

import { describe, expect, test } from "bun:test";
import { rateLimiter } from "../../../lib/stream/input/index.ts";

const MIB = 1024 * 1024;

/** A clock that only sleeping moves on, and what was slept. */
function fakePorts() {
  const ports = {
    nowMs: 1000,
    slept: [] as number[],
    now: () => ports.nowMs,
    sleep(milliseconds: number) {
      ports.slept.push(milliseconds);
      ports.nowMs += milliseconds;
    },
  };
  return ports;
}

describe("a rate of 1 MiB a second", () => {
  test.each([
    // positions in MiB           what is slept
    ["from the start", [0, 1, 2, 3], [1000, 1000, 1000]],
    ["from within a file", [512, 513, 514], [1000, 1000]],
    ["over a jump", [0, 64, 65], [64_000, 1000]],
    ["where nothing moves", [7, 7, 7], []],
    ["for so little that sleeping is not worth it", [0, 0.004], []],
    ["for little, as soon as it adds up", [0, 0.00390625, 0.0078125], [7.8125]],
  ] as const)("%s", (_, positions, wanted) => {
    const ports = fakePorts();
    const at = rateLimiter(MIB, ports);
    for (const position of positions) at(position * MIB);
    expect(ports.slept).toEqual([...wanted]);
  });

  test("time that the work itself takes is not slept again", () => {
    const ports = fakePorts();
    const at = rateLimiter(MIB, ports);
    at(0);
    ports.nowMs += 750;
    at(MIB);
    expect(ports.slept).toEqual([250]);
    ports.nowMs += 5000; // A slow disk: behind its rate, it need not wait.
    at(2 * MIB);
    at(3 * MIB);
    expect(ports.slept).toEqual([250]);
  });

  test("sleeps in all at least what the bytes need", () => {
    const ports = fakePorts();
    const at = rateLimiter(MIB, ports);
    for (let position = 0; position <= 20 * MIB; position += 4096 * 3) at(position);
    const total = ports.slept.reduce((sum, milliseconds) => sum + milliseconds, 0);
    expect(total).toBeWithin(20_000 - 17, 20_001); // Up to one step and one short sleep remain.
    expect(Math.min(...ports.slept)).toBeGreaterThanOrEqual(5);
  });
});

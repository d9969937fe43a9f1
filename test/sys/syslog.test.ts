// Lines to a log socket that the test listens on.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acceptUnix, bindUnix, receiveDescriptors, sendToSyslog } from "../../lib/sys/index.ts";
import { harmless } from "../../lib/sys/syslog.ts";

const folder = mkdtempSync(join(tmpdir(), "agent-log-"));
afterAll(() => rmSync(folder, { recursive: true }));

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const TAG = `agent[${process.pid}]`;

test("each line is one datagram with priority, tag and pid", () => {
  const socketPath = join(folder, "datagrams");
  using log = bindUnix({ path: socketPath, kind: "datagram" });
  const lines = ["verdict: good", "größe 7"];
  expect(sendToSyslog({ socketPath, tag: "agent", severity: "info", lines })).toBe(true);
  expect(sendToSyslog({ socketPath, tag: "agent", severity: "error", lines: ["bad"] })).toBe(true);
  const got = [1, 2, 3].map(() => textOf(receiveDescriptors(log, 1000)!.bytes));
  expect(got).toEqual([`<30>${TAG}: verdict: good`, `<30>${TAG}: größe 7`, `<27>${TAG}: bad`]);
});

test("a log daemon that only takes streams gets the lines ended by NULs", () => {
  const socketPath = join(folder, "stream");
  using log = bindUnix({ path: socketPath, kind: "stream" });
  const lines = ["one", "two"];
  expect(sendToSyslog({ socketPath, tag: "agent", severity: "warning", lines })).toBe(true);
  using connection = acceptUnix(log)!;
  expect(textOf(receiveDescriptors(connection, 1000)!.bytes)).toBe(
    `<28>${TAG}: one\0<28>${TAG}: two\0`,
  );
});

test("a line that is too long is cut, not lost", () => {
  const socketPath = join(folder, "long");
  using log = bindUnix({ path: socketPath, kind: "datagram" });
  const lines = ["é".repeat(10_000)];
  expect(sendToSyslog({ socketPath, tag: "agent", severity: "info", lines })).toBe(true);
  const { bytes } = receiveDescriptors(log, 20_000)!;
  expect(bytes.length).toBeWithin(8191, 8193);
  expect(textOf(bytes)).toEndWith("éé"); // Never half a character.
});

test("without a log socket, and with one that nobody reads, the answer is false", () => {
  const send = (socketPath: string): boolean =>
    sendToSyslog({ socketPath, tag: "agent", severity: "info", lines: ["x"] });
  expect(send(join(folder, "absent"))).toBe(false);
  const socketPath = join(folder, "dead");
  bindUnix({ path: socketPath, kind: "datagram" })[Symbol.dispose]();
  expect(send(socketPath)).toBe(false);
});

test("a log daemon that hangs does not hang us", () => {
  const socketPath = join(folder, "hangs");
  using log = bindUnix({ path: socketPath, kind: "datagram" });
  const lines = Array.from({ length: 5000 }, () => "x".repeat(1000));
  expect(sendToSyslog({ socketPath, tag: "agent", severity: "info", lines })).toBe(false);
  expect(receiveDescriptors(log, 2000)).toBeDefined();
});

test.each([
  ["two\nlines\r", "two#012lines#015"],
  ["tab\tstays, NUL\0 and \u001b[31m do not", "tab\tstays, NUL#000 and #033[31m do not"],
  ["\u0085 and \u2028 end lines too", "#205 and #20050 end lines too"],
  ["größe", "größe"],
])("%j cannot forge a line of its own", (text, expected) => {
  expect(harmless(text)).toBe(expected);
});

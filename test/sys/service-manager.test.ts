// The service manager's datagrams and descriptors, with a notify socket of our own.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  bindUnix,
  createMemfd,
  isDescriptorName,
  notifyManager,
  passedDescriptors,
  receiveDescriptors,
} from "../../lib/sys/index.ts";
import { programCommand, run } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";

const folder = mkdtempSync(join(tmpdir(), "agent-notify-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["a path", join(folder, "notify"), join(folder, "notify")],
  ["an abstract name", `\0agent-notify-${process.pid}`, `@agent-notify-${process.pid}`],
])("a notification with a descriptor arrives at %s", (_, path, given) => {
  using manager = bindUnix({ path, kind: "datagram" });
  using file = createMemfd("stored");
  writeSync(file.number, "state");
  const said = { FDSTORE: 1, FDNAME: "arena" };
  expect(notifyManager({ NOTIFY_SOCKET: given }, said, [file.number])).toBe(true);
  using message = receiveDescriptors(manager, 1000);
  expect(Buffer.from(message!.bytes).toString()).toBe("FDSTORE=1\nFDNAME=arena");
  const bytes = Buffer.alloc(5);
  readSync(message!.descriptors[0]!.number, bytes, 0, 5, 0);
  expect(bytes.toString()).toBe("state");
});

test("more descriptors than one message holds travel in several", () => {
  const path = join(folder, "many");
  using manager = bindUnix({ path, kind: "datagram" });
  using file = createMemfd("stored");
  const many = Array.from({ length: 300 }, () => file.number);
  expect(notifyManager({ NOTIFY_SOCKET: path }, { FDSTORE: 1 }, many)).toBe(true);
  const counts = [1, 2].map(() => {
    using message = receiveDescriptors(manager, 1000);
    return message!.descriptors.length;
  });
  expect(counts).toEqual([253, 47]);
});

test("nobody is told where nobody listens, and that is no error", () => {
  expect(notifyManager({}, { READY: 1 }, [])).toBe(false);
  expect(notifyManager({ NOTIFY_SOCKET: "vsock:2:1" }, { READY: 1 }, [])).toBe(false);
  expect(notifyManager({ NOTIFY_SOCKET: join(folder, "none") }, { READY: 1 }, [])).toBe(false);
  const manager = { NOTIFY_SOCKET: "/x" };
  const twoLines = (): boolean => notifyManager(manager, { STATUS: "a\nb" }, []);
  expect(messageOf(twoLines)).toBe("Cannot tell the service manager STATUS: wanted one line");
});

test("a descriptor's name has no colon", () => {
  expect(["arena", "a b", "", "a:b", "x".repeat(256)].map(isDescriptorName)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});

test("passed descriptors are taken by the process they are for, with the manager's names", () => {
  using first = createMemfd("first");
  using second = createMemfd("second");
  const { stdout, stderr } = run(programCommand("passed-descriptors"), {
    descriptors: [first.number, second.number],
  });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual([
    ["arena", "/memfd:first (deleted)", true],
    [null, "/memfd:second (deleted)", true],
  ]);
  expect(passedDescriptors({ LISTEN_FDS: "2", LISTEN_PID: "1" }, 2)).toEqual([]);
  expect(passedDescriptors({}, 2)).toEqual([]);
  expect(messageOf(() => passedDescriptors({ LISTEN_FDS: "x", LISTEN_PID: "2" }, 2))).toBe(
    'Cannot take the service manager\'s descriptors: found LISTEN_FDS="x" and LISTEN_PID="2"',
  );
});

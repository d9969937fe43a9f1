// What a daemon may answer and should not: the client says so, and does not wait for ever.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { StoreClient } from "../../lib/store-client/index.ts";
import { programCommand } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const words = (...values: number[]): string =>
  Buffer.from(Uint32Array.from(values).buffer).toString("hex");
const text = (value: string): string => Buffer.from(value, "latin1").toString("hex");

const READ = 2;
const EVENT = 15;
const ERROR = 16;

/** What reading a node comes to when the daemon answers so. */
async function reading(answer: string, then: "wait" | "close"): Promise<string> {
  using folder = temporaryFolder();
  const path = join(folder.path, "s");
  const command = programCommand("store-answers", path, answer, then);
  const daemon = Bun.spawn(command, { stdout: "pipe", stdin: "ignore" });
  try {
    await daemon.stdout.getReader().read();
    using client = new StoreClient({ path, timeoutMs: 300 });
    return messageOf(() => client.read("/a", 0)).replace(folder.path, "");
  } finally {
    daemon.kill("SIGKILL");
    await daemon.exited;
  }
}

const PREFIX = 'Cannot use the xenstore daemon at "/s": ';
const REFUSED = 'Cannot read "/a" of the xenstore daemon at "/s": ';

describe("a daemon that", () => {
  test.each([
    ["hangs up", "", "close", `${PREFIX}wanted an answer, found that it closed the connection`],
    ["says nothing", "", "wait", `${PREFIX}wanted an answer to READ within 300 ms, found none`],
    ["stops in a header", "0200", "wait", "wanted an answer to READ within 300 ms, found none"],
    ["stops in a reply", words(READ, 1, 0, 9), "wait", "within 300 ms, found none"],
    ["answers something else", words(3, 1, 0, 0), "wait", "found a message of type 3"],
    ["answers another request", words(READ, 7, 0, 0), "wait", "of type 2 with request id 7"],
    ["promises 4 GiB", words(READ, 1, 0, 0xffff_ffff), "wait", "found one of over 64 MiB"],
    ["sends half an event", words(EVENT, 0, 0, 2) + text("a\0"), "wait", "wanted a watch event"],
    [
      "refuses",
      words(ERROR, 1, 0, 7) + text("EACCES\0"),
      "wait",
      `${REFUSED}found EACCES (no permission)`,
    ],
    ["refuses without a word", words(ERROR, 1, 0, 0), "wait", `${REFUSED}found no error name`],
  ] as const)("%s", async (_, answer, then, message) => {
    expect(await reading(answer, then)).toContain(message);
  });

  test("is not there", () => {
    const path = "/nonexistent/socket";
    expect(messageOf(() => new StoreClient({ path, timeoutMs: 100 }))).toBe(
      'Cannot connect to "/nonexistent/socket": connect on "/nonexistent/socket" failed with ' +
        "ENOENT (errno 2)",
    );
  });
});

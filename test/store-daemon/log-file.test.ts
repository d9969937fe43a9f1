// The log that is turned over.

import { expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { LogFile } from "../../lib/store-daemon/log-file.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("files are turned over by lines, and only so many are kept", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "access.log");
  using log = new LogFile({ path, linesMax: 3, filesMax: 3, charactersMax: 12 });
  for (let line = 1; line <= 14; line++) {
    log.add(`line ${line} that is too long`);
    log.flush();
  }
  expect(readFileSync(path, "utf8")).toBe("line 13 th..\nline 14 th..\n");
  expect(readFileSync(`${path}.1`, "utf8")).toStartWith("line 10 th..\n");
  expect(readFileSync(`${path}.2`, "utf8")).toStartWith("line 7 tha..\n");
  expect(existsSync(`${path}.3`)).toBe(false);
});

test("one that somebody moved away is opened anew when asked", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "trace");
  using log = new LogFile({ path, linesMax: 0, filesMax: 1, charactersMax: 0 });
  log.add("first");
  log.flush();
  renameSync(path, `${path}.old`);
  log.add("second");
  log.reopen();
  log.add("third");
  log.flush();
  expect(readFileSync(`${path}.old`, "utf8")).toBe("first\nsecond\n");
  expect(readFileSync(path, "utf8")).toBe("third\n");
});

test("lines that cannot be written are counted, and nobody is stopped", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "gone", "trace");
  expect(() => new LogFile({ path, linesMax: 0, filesMax: 1, charactersMax: 0 })).toThrow("ENOENT");
  using log = new LogFile({ path: "/dev/full", linesMax: 0, filesMax: 1, charactersMax: 0 });
  log.add("lost");
  log.flush();
  log.add("lost too");
  log.flush();
});

// A folder that appears whole or not at all, and files opened in one that nobody vouches for.

import { describe, expect, test } from "bun:test";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { createNewFolder, openInFolder } from "../../lib/sys/folder.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { messageOf } from "../helpers/system-error.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

describe("a new folder", () => {
  test("appears with its files when it is committed, and not before", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "made");
    {
      using made = createNewFolder(path);
      using file = made.createFile("a.bin");
      writeSync(file.number, "contents");
      expect(readdirSync(folder.path)).toEqual([
        expect.stringMatching(/^\.made\.[0-9a-f]{12}\.tmp$/),
      ]);
      made.commit();
    }
    expect(readdirSync(folder.path)).toEqual(["made"]);
    expect(readFileSync(join(path, "a.bin"), "utf8")).toBe("contents");
    expect([statSync(path), statSync(join(path, "a.bin"))].map(({ mode }) => mode & 0o777)).toEqual(
      [0o700, 0o600],
    );
  });

  test("is gone when it is not committed, and no descriptor is left", async () => {
    using folder = temporaryFolder();
    const before = openDescriptors();
    {
      using made = createNewFolder(join(folder.path, "made"));
      using _file = made.createFile("a.bin");
    }
    expect(readdirSync(folder.path)).toEqual([]);
    // The runtime's hold on the watching process goes when that has ended.
    for (let wait = 0; wait < 200 && openedSince(before).length > 0; wait++) await Bun.sleep(10);
    expect(openedSince(before)).toEqual([]);
  });

  test("takes the place of an empty folder, and of nothing else", () => {
    using folder = temporaryFolder();
    const [empty, full] = [join(folder.path, "empty"), join(folder.path, "full")];
    mkdirSync(empty);
    mkdirSync(full);
    writeFileSync(join(full, "file"), "");
    {
      using made = createNewFolder(empty);
      made.commit();
    }
    expect(messageOf(() => createNewFolder(full))).toBe(
      `Cannot write "${full}": wanted a new folder, found one with files in it`,
    );
    expect(messageOf(() => createNewFolder(join(full, "file")))).toEndWith("found a file");
    const missing = join(folder.path, "none", "made");
    expect(messageOf(() => createNewFolder(missing))).toStartWith(`Cannot write "${missing}": `);
    expect(readdirSync(folder.path).sort()).toEqual(["empty", "full"]);
  });

  test("does not take the place of what was made meanwhile", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "made");
    {
      using made = createNewFolder(path);
      mkdirSync(path);
      writeFileSync(join(path, "theirs"), "");
      expect(messageOf(() => made.commit())).toContain("failed with ENOTEMPTY");
    }
    expect(readdirSync(path)).toEqual(["theirs"]);
    expect(readdirSync(folder.path)).toEqual(["made"]);
  });

  test("has no files but its own", () => {
    using folder = temporaryFolder();
    using made = createNewFolder(join(folder.path, "made"));
    for (const name of ["../out", "a/b", ".hidden", "", "."]) {
      expect(messageOf(() => made.createFile(name))).toContain("has a plain name");
    }
    using _file = made.createFile("a");
    expect(messageOf(() => made.createFile("a"))).toContain("failed with EEXIST");
  });
});

describe("a file in a folder that nobody vouches for", () => {
  test("is read", () => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "a.bin"), "contents");
    using file = openInFolder(folder.path, "a.bin");
    expect(readFileSync(file.number, "utf8")).toBe("contents");
  });

  test("is not opened through a link, out of the folder, or as something else", () => {
    using folder = temporaryFolder();
    symlinkSync("/etc/passwd", join(folder.path, "link"));
    mkdirSync(join(folder.path, "folder"));
    Bun.spawnSync(["mkfifo", join(folder.path, "pipe")]);
    const before = openDescriptors();
    const rows = [
      ["link", "failed with ELOOP"],
      ["folder", "wanted a regular file, found a directory"],
      ["pipe", "wanted a regular file, found a pipe"],
      ["none", "failed with ENOENT"],
      ["../folder", "wanted a plain file name"],
      ["/etc/passwd", "wanted a plain file name"],
      ["..", "wanted a plain file name"],
      ["", "wanted a plain file name"],
      ["a\0b", "wanted a plain file name"],
    ] as const;
    for (const [name, why] of rows) {
      expect(messageOf(() => openInFolder(folder.path, name))).toContain(why);
    }
    expect(openedSince(before)).toEqual([]);
  });
});

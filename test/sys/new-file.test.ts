// A file that appears whole or not at all: on the real file system, with a full and a read-only
// one, and with signals that end the process half way.

import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { createNamedFile, createNewFile, type NewFileOptions } from "../../lib/sys/new-file.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { programCommand } from "../helpers/run.ts";
import { NEEDS_MOUNT, smallDisk } from "../helpers/small-disk.ts";
import { messageOf } from "../helpers/system-error.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const KINDS = [
  ["unnamed", createNewFile],
  ["temporary", createNamedFile],
] as const;
type Create = (typeof KINDS)[number][1];

const options = (path: string, rest: Partial<NewFileOptions>): NewFileOptions => ({
  path,
  existing: "refuse",
  inputs: [],
  ...rest,
});

function put(create: Create, path: string, rest: Partial<NewFileOptions> = {}): void {
  using file = create(options(path, rest));
  writeSync(file.fd.number, "new");
  file.commit();
}

describe.each(KINDS)("a file that is %s at first", (_, create) => {
  test("appears with its name when it is committed, and not before", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out");
    {
      using file = create(options(path, {}));
      writeSync(file.fd.number, "new");
      expect(readdirSync(folder.path)).not.toContain("out");
      file.commit();
    }
    expect(readdirSync(folder.path)).toEqual(["out"]);
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(statSync(path).mode & 0o777).toBe(0o666 & ~process.umask());
  });

  test("leaves nothing when it is not committed, and no descriptor", async () => {
    using folder = temporaryFolder();
    const before = openDescriptors();
    {
      using file = create(options(join(folder.path, "out"), {}));
      writeSync(file.fd.number, "half");
    }
    expect(readdirSync(folder.path)).toEqual([]);
    // The runtime's hold on a watching process goes when that has ended.
    for (let wait = 0; wait < 200 && openedSince(before).length > 0; wait++) await Bun.sleep(10);
    expect(openedSince(before)).toEqual([]);
  });
});

describe.each(KINDS)("over another file, one that is %s at first", (_, create) => {
  test("replaces a file in one step, keeping its mode and owner", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out");
    writeFileSync(path, "old");
    chmodSync(path, 0o640);
    if (process.getuid?.() === 0) chownSync(path, 1234, 1235);
    const old = statSync(path);
    {
      using file = create(options(path, { existing: "replace" }));
      writeSync(file.fd.number, "new");
      expect(readFileSync(path, "utf8")).toBe("old");
      file.commit();
    }
    expect(readdirSync(folder.path)).toEqual(["out"]);
    expect(readFileSync(path, "utf8")).toBe("new");
    const { mode, uid, gid } = statSync(path);
    expect([mode & 0o777, uid, gid]).toEqual([0o640, old.uid, old.gid]);
  });

  test("does not replace a file that must not be there, even one made meanwhile", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out");
    const message = `Cannot write "${path}": there is a file of that name already`;
    {
      using file = create(options(path, {}));
      writeFileSync(path, "old");
      expect(messageOf(() => file.commit())).toBe(message);
    }
    expect(messageOf(() => put(create, path))).toBe(message);
    expect(readdirSync(folder.path)).toEqual(["out"]);
    expect(readFileSync(path, "utf8")).toBe("old");
  });

  test("replaces the file behind a link, not the link", () => {
    using folder = temporaryFolder();
    const [path, link] = [join(folder.path, "out"), join(folder.path, "link")];
    writeFileSync(path, "old");
    symlinkSync("out", link);
    put(create, link, { existing: "replace" });
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(statSync(link).ino).toBe(statSync(path).ino);
  });
});

describe.each(KINDS)("killed while a file is %s", (kind, _create) => {
  test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
    "%s leaves nothing behind",
    async (signal) => {
      using folder = temporaryFolder();
      const path = join(folder.path, "out");
      writeFileSync(path, "old");
      const [executable = "", ...words] = programCommand("write-new-file", kind, path);
      const child = spawn(executable, words, { stdio: ["ignore", "pipe", "inherit"] });
      child.stdout.once("data", () => child.kill(signal));
      const died = await new Promise((resolve) => void child.on("close", (...end) => resolve(end)));
      expect(died).toEqual([null, signal]);
      for (let wait = 0; wait < 200 && readdirSync(folder.path).length > 1; wait++)
        Bun.sleepSync(10);
      expect(readdirSync(folder.path)).toEqual(["out"]);
      expect(readFileSync(path, "utf8")).toBe("old");
    },
  );
});

test("while it is temporary its name is hidden and beside the target", () => {
  using folder = temporaryFolder();
  using _file = createNamedFile(options(join(folder.path, "out"), {}));
  expect(readdirSync(folder.path)).toEqual([expect.stringMatching(/^\.out\.[0-9a-f]{12}\.tmp$/)]);
});

describe("what cannot be written is one error, before anything has changed", () => {
  test("the input, by whatever name", () => {
    using folder = temporaryFolder();
    const [path, other] = [join(folder.path, "in"), join(folder.path, "other")];
    writeFileSync(path, "old");
    linkSync(path, other);
    const rest = { existing: "replace", inputs: [statSync(path)] } as const;
    expect(messageOf(() => put(createNewFile, other, rest))).toBe(
      `Cannot write "${other}": it is the input`,
    );
    expect(readFileSync(path, "utf8")).toBe("old");
  });

  test.each([
    ["a directory", "d", 'open on "PATH" failed with EISDIR (errno 21)'],
    ["a folder that is not there", "none/out", 'open on "PATH" failed with ENOENT (errno 2)'],
    ["a folder that is a file", "file/out", 'open on "PATH" failed with ENOTDIR (errno 20)'],
    ["a link to nothing", "dangling", "it is a link to nothing"],
    ["a name with a slash behind it", "new/", 'open on "PATH" failed with ENOENT (errno 2)'],
  ])("%s", (_, name, why) => {
    using folder = temporaryFolder();
    mkdirSync(join(folder.path, "d"));
    writeFileSync(join(folder.path, "file"), "");
    symlinkSync("nothing", join(folder.path, "dangling"));
    const path = `${folder.path}/${name}`;
    const before = readdirSync(folder.path);
    for (const existing of ["replace", "refuse"] as const) {
      expect(messageOf(() => put(createNewFile, path, { existing }))).toBe(
        `Cannot write "${path}": ${why.replace("PATH", path)}`,
      );
    }
    expect(readdirSync(folder.path)).toEqual(before);
  });

  test.skipIf(NEEDS_MOUNT.skip)(NEEDS_MOUNT.title("a read-only file system"), () => {
    using disk = smallDisk(64 * 1024);
    const [old, path] = [join(disk!.path, "old"), join(disk!.path, "new")];
    writeFileSync(old, "old");
    disk!.makeReadOnly();
    const why = "the file system is read-only: open on";
    expect(messageOf(() => put(createNewFile, path))).toStartWith(`Cannot write "${path}": ${why}`);
    expect(messageOf(() => put(createNewFile, old, { existing: "replace" }))).toBe(
      `Cannot write "${old}": ${why} "${old}" failed with EROFS (errno 30)`,
    );
  });
});

test.skipIf(process.getuid?.() !== 0)(
  "a file without write permission is not replaced, although its folder would allow it",
  () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out");
    writeFileSync(path, "old");
    chmodSync(path, 0o444);
    chmodSync(folder.path, 0o777);
    const program = `const { createNewFile } = await import(${JSON.stringify(
      join(import.meta.dir, "../../lib/sys/new-file.ts"),
    )}); process.setuid(65534);
    try { createNewFile({ path: process.argv[1], existing: "replace", inputs: [] }); }
    catch (error) { console.log(error.message); }`;
    const { stdout } = Bun.spawnSync([process.execPath, "-e", program, path]);
    expect(stdout.toString().trim()).toBe(
      `Cannot write "${path}": open on "${path}" failed with EACCES (errno 13)`,
    );
    expect(readFileSync(path, "utf8")).toBe("old");
  },
);

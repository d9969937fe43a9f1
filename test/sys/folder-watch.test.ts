// Names that appear in folders, told through the loop.

import { expect, test } from "bun:test";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FolderWatch, Loop, READY_MASK } from "../../lib/sys/index.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("a name that is made or moved into a watched folder is told", async () => {
  const before = openDescriptors();
  {
    using folder = temporaryFolder();
    using loop = new Loop();
    using watch = new FolderWatch();
    mkdirSync(join(folder.path, "watched"));
    watch.add(join(folder.path, "watched"));
    watch.add(join(folder.path, "watched"));
    let told = 0;
    loop.watch(watch.fd, READY_MASK.readable, () => {
      watch.drain();
      told += 1;
      loop.stop();
    });
    writeFileSync(join(folder.path, "watched/made"), "");
    await loop.run();
    writeFileSync(join(folder.path, "beside"), "");
    renameSync(join(folder.path, "beside"), join(folder.path, "watched/moved"));
    await loop.run();
    expect(told).toBe(2);
    expect(() => watch.add(join(folder.path, "missing"))).toThrow("inotify_add_watch");
    expect(() => watch.add(join(folder.path, "watched/made"))).toThrow("ENOTDIR");
  }
  expect(openedSince(before)).toEqual([]);
});

// Everything that is refused, as first, middle and last disk of a group: every reason is told, and
// nothing is there that was not before.

import { describe, expect, test } from "bun:test";
import { linkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  createGroup,
  type CreateOptions,
  groupFromWords,
  type GroupSpec,
} from "../../lib/snapshot/index.ts";
import { type DiskGuest, LIMITS, makeImage, startGuest, tool } from "../helpers/disk-guest.ts";
import { journalsLeft, lookAt } from "../helpers/disk-world.ts";
import { createOptions } from "../helpers/group-samples.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

async function refuse(spec: GroupSpec, folder: string, options: Partial<CreateOptions> = {}) {
  const { outcome } = await createGroup(spec, createOptions(options), {
    limits: LIMITS,
    journals: join(folder, "journals"),
    interrupt: undefined,
  });
  expect(journalsLeft(join(folder, "journals"))).toEqual([]);
  expect(outcome.result).toBe("refused");
  return outcome.problems.map(({ message }) => message);
}

/** A guest with three disks; `odd` stands at `place` of them. */
async function guestWith(folder: string, odd: readonly string[], place: number) {
  const good = (id: string) => ({ ...makeImage(join(folder, `${id}.qcow2`), "qcow2"), id });
  const disks = [0, 1].map((index) => good(`d${index}`));
  const words = disks.map(({ id, path }) => [
    "-drive",
    `if=none,id=${id},file=${path},format=qcow2`,
  ]);
  words.splice(place, 0, [...odd]);
  return startGuest({
    folder,
    name: "g",
    disks: [],
    isRunning: true,
    arguments: words.flat(),
  });
}

const PLACES = [0, 1, 2];

interface Row {
  readonly what: string;
  readonly kind: CreateOptions["kind"];
  readonly drive: (folder: string) => readonly string[];
  /** Named, where it would be left out otherwise. */
  readonly names?: readonly string[];
  readonly prepare?: (guest: DiskGuest, folder: string) => Promise<unknown>;
  readonly told: string;
}

const odd = (folder: string, format: "qcow2" | "raw") =>
  makeImage(join(folder, `odd.${format}`), format).path;
const ROWS: readonly Row[] = [
  {
    what: "no medium",
    kind: "external",
    drive: () => ["-drive", "if=none,id=odd,media=cdrom"],
    names: ["odd", "d0", "d1"],
    told: "g: odd: there is no medium in the drive",
  },
  {
    what: "read-only",
    kind: "external",
    drive: (folder) => [
      "-drive",
      `if=none,id=odd,file=${odd(folder, "qcow2")},format=qcow2,readonly=on`,
    ],
    names: ["odd", "d0", "d1"],
    told: "g: odd: the disk is read-only",
  },
  {
    what: "a format without internal snapshots",
    kind: "internal",
    drive: (folder) => ["-drive", `if=none,id=odd,file=${odd(folder, "raw")},format=raw`],
    told: "g: odd: format raw has no internal snapshots: take an external one",
  },
  {
    what: "an internal name that one disk has",
    kind: "internal",
    drive: (folder) => {
      const path = odd(folder, "qcow2");
      tool("qemu-img", "snapshot", "-c", "s1", path);
      return ["-drive", `if=none,id=odd,file=${path},format=qcow2`];
    },
    told: 'g: odd: it has a snapshot "s1" already (id 1)',
  },
  {
    what: "a file at the overlay's path",
    kind: "external",
    drive: (folder) => {
      writeFileSync(join(folder, "odd.s1.qcow2"), "mine");
      return ["-drive", `if=none,id=odd,file=${odd(folder, "qcow2")},format=qcow2`];
    },
    told: '/odd.s1.qcow2" is there already: choose another name, or --replace it',
  },
  {
    what: "a backing file that is missing from its format",
    kind: "external",
    drive: (folder) => {
      const base = makeImage(join(folder, "base.raw"), "raw").path;
      const path = join(folder, "odd.qcow2");
      tool("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", base, path, "16M");
      tool("qemu-img", "rebase", "-u", "-b", "", path);
      tool("python3", "-c", noFormat(path, base));
      return ["-drive", `if=none,id=odd,file=${path},format=qcow2`];
    },
    told: "names a backing file but not its format",
  },
  {
    what: "a block job",
    kind: "external",
    drive: (folder) => ["-drive", `if=none,id=odd,file=${odd(folder, "qcow2")},format=qcow2`],
    prepare: (guest, folder) => {
      makeImage(join(folder, "target.raw"), "raw");
      return guest.monitor.execute("drive-mirror", {
        device: "odd",
        "job-id": "mirror",
        target: join(folder, "target.raw"),
        sync: "full",
        mode: "existing",
        format: "raw",
      });
    },
    told: 'g: block jobs are there: "mirror" (mirror)',
  },
  {
    what: "a persistent dirty bitmap",
    kind: "external",
    drive: (folder) => ["-drive", `if=none,id=odd,file=${odd(folder, "qcow2")},format=qcow2`],
    prepare: (guest) =>
      guest.monitor.execute("block-dirty-bitmap-add", { node: "odd", name: "b", persistent: true }),
    told: "g: odd: the image has a persistent dirty bitmap, which would keep an undo from working",
  },
];

/** A header with a backing file name and no format: QEMU's own tool does not write it any more. */
const noFormat = (path: string, base: string): string => `
import struct
with open(${JSON.stringify(path)}, "r+b") as image:
    name = ${JSON.stringify(base)}.encode()
    image.seek(8)
    image.write(struct.pack(">QI", 1024, len(name)))
    image.seek(1024)
    image.write(name)
`;

describe.each(ROWS)("refused: $what", ({ kind, drive, names, prepare, told }) => {
  test.each(PLACES)("as disk %d of three", async (place) => {
    using own = temporaryFolder();
    await using guest = await guestWith(own.path, drive(own.path), place);
    await prepare?.(guest, own.path);
    const before = await lookAt(own.path, [guest]);
    const spec = groupFromWords([`qmp:${guest.qmp}`]);
    const [only] = spec.guests;
    const guests = names === undefined ? [only!] : [{ ...only!, disks: names }];
    const problems = await refuse({ ...spec, guests }, own.path, { kind });
    expect(problems).toEqual([expect.stringContaining(told)]);
    expect(await lookAt(own.path, [guest])).toEqual(before);
  });
});

test("every reason of a group is told at once", async () => {
  using own = temporaryFolder();
  const folder = own.path;
  const disks = ["a", "b"].map((id) => ({
    ...makeImage(join(folder, `${id}.qcow2`), "qcow2"),
    id,
  }));
  await using guest = await startGuest({ folder, name: "g", disks, isRunning: true });
  writeFileSync(join(folder, "a.s1.qcow2"), "");
  const stopped = makeImage(join(folder, "stopped.qcow2"), "qcow2").path;
  symlinkSync(stopped, join(folder, "symlink.qcow2"));
  linkSync(stopped, join(folder, "hardlink.qcow2"));
  const spec = groupFromWords([
    `qmp:${guest.qmp}`,
    `qmp:${join(folder, "nobody.qmp")}`,
    `qcow2:${stopped}`,
    `qcow2:${join(folder, "symlink.qcow2")}`,
    `qcow2:${join(folder, "hardlink.qcow2")}`,
    `qcow2:${join(folder, "gone.qcow2")}`,
    `qcow2:${disks[0]!.path}`,
  ]);
  const [first, second] = spec.guests;
  const named = { ...first!, disks: ["a", "b", "c"] };
  const problems = await refuse({ ...spec, guests: [named, second!] }, folder);
  const all = problems.join("\n");
  for (const told of [
    'g: c: QEMU has no disk of that name (it has "a", "b")',
    "nobody: Cannot use QMP socket",
    '/a.s1.qcow2" is there already',
    "/gone.qcow2: Cannot read",
    "/a.qcow2: it is in use by another process",
  ]) {
    expect(all).toContain(told);
  }
  expect(all).toMatch(/(symlink|hardlink|stopped)\.qcow2: it is in use|the image is also that of/);
});

test.each([
  ["", "external", "a snapshot's name is empty"],
  ["12", "internal", 'the name "12" is all digits and would be taken for an id'],
  ["x".repeat(256), "internal", "the name has 256 bytes, wanted at most 255"],
  ["../up", "external", 'the name "../up" becomes part of file names'],
  ["a\nb", "internal", "the name has control characters in it"],
] as const)("the name %p of an %s snapshot is refused", async (snapshot, kind, told) => {
  using own = temporaryFolder();
  const disk = makeImage(join(own.path, "d.qcow2"), "qcow2");
  const problems = await refuse(groupFromWords([`qcow2:${disk.path}`]), own.path, {
    snapshot,
    kind,
  });
  expect(problems).toEqual([expect.stringContaining(told)]);
});

test("a base that is a disk of the group, an overlay on an internal snapshot", async () => {
  using own = temporaryFolder();
  const base = makeImage(join(own.path, "base.qcow2"), "qcow2").path;
  const top = join(own.path, "top.qcow2");
  tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top);
  const both = groupFromWords([`qcow2:${top}`, `qcow2:${base}`]);
  expect((await refuse(both, own.path)).join()).toMatch(/is disk .* of the group|is in use/);
  const below = await refuse(groupFromWords([`qcow2:${base}`]), own.path, { kind: "internal" });
  expect(below).toEqual([expect.stringContaining(`"${top}" stands on "${base}"`)]);
});

test.each([
  ["names no backing file", (path: string) => makeImage(path, "qcow2")],
  [
    "is a disk of 1048576 bytes",
    (path: string, base: string) =>
      tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", path, "1M"),
  ],
  [
    "has the backing file",
    (path: string, base: string) =>
      tool(
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        makeImage(`${base}.other`, "qcow2").path,
        "-F",
        "qcow2",
        path,
      ),
  ],
  ["is not there", () => undefined],
] as const)("an overlay made by hand that %s", async (told, make) => {
  using own = temporaryFolder();
  const { path: base } = makeImage(join(own.path, "d.qcow2"), "qcow2");
  make(join(own.path, "d.s1.qcow2"), base);
  const spec = groupFromWords([`qcow2:${base}`]);
  const problems = await refuse(spec, own.path, { useExisting: true });
  expect(problems).toEqual([expect.stringContaining(told)]);
});

test("two groups on one disk at once: the second is refused by lock", async () => {
  using own = temporaryFolder();
  const { path } = makeImage(join(own.path, "d.qcow2"), "qcow2");
  const spec = groupFromWords([`qcow2:${path}`]);
  const around = { limits: LIMITS, journals: join(own.path, "journals"), interrupt: undefined };
  const both = async (): Promise<string[]> => {
    const groups = ["s1", "s2"].map((snapshot) =>
      createGroup(spec, createOptions({ snapshot }), around),
    );
    return (await Promise.all(groups)).map(({ outcome }) => outcome.result).toSorted();
  };
  let results = await both();
  // Where they meet in the same moment, QEMU's locks refuse both.
  for (let left = 20; left > 0 && results[0] === "refused"; left--) results = await both();
  expect(results).toEqual(["done", "refused"]);
});

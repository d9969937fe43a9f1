// Names, groups in words and files, xl configs, xenstore's backends: rows of what goes in and out.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { groupFromFile, groupFromWords, timeName } from "../../lib/snapshot/index.ts";
import { overlayNode, overlayPath } from "../../lib/snapshot/names.ts";
import { parseBackends } from "../../lib/snapshot/xen-backends.ts";
import { changeDisks } from "../../lib/snapshot/xl-config.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("names", () => {
  expect(timeName(Date.UTC(2026, 0, 2, 3, 4, 5, 678))).toBe("vm-20260102030405");
  const node = overlayNode("0b1f5c5e-5a52-4c8c-9a31-6f0d5b9f0a11", 31);
  expect(node).toBe("agent-0b1f5c5e-31");
  expect(node.length).toBeLessThan(32);
  const parts = { image: "/srv/web.qcow2", stem: "web", snapshot: "s1", suffix: "qcow2" } as const;
  expect(overlayPath({ ...parts, folder: undefined })).toBe("/srv/web.s1.qcow2");
  expect(overlayPath({ ...parts, folder: "/o" })).toBe("/o/web.s1.qcow2");
});

test("a group in words", () => {
  const words = ["qmp:/run/web.qmp", "libxl:7", "virsh:db", "qcow2:/a.qcow2", "raw:/b:c"];
  expect(groupFromWords(words)).toMatchObject({
    guests: [
      { name: "web", address: { kind: "qmp", path: "/run/web.qmp" } },
      { address: { kind: "libxl", domid: 7, path: "/run/xen/qmp-libxl-7" } },
      { name: "db", address: { kind: "virsh", domain: "db", uri: null } },
    ],
    disks: [
      { path: "/a.qcow2", format: "qcow2" },
      { path: "/b:c", format: "raw" },
    ],
  });
});

test.each([
  [["/a.qcow2"], 'Cannot take "/a.qcow2": wanted qmp:PATH'],
  [["libxl:web"], 'Cannot take "libxl:web"'],
  [["qmp:"], 'Cannot take "qmp:"'],
  [[], "there is no guest and no disk in it"],
  [["qmp:/a/x.qmp", "qmp:/b/x.qmp"], 'two guests are called "x"'],
])("words %j are refused", (words, told) => {
  expect(() => groupFromWords(words)).toThrow(told);
});

describe("group files", () => {
  test.each([
    ["g.toml", '[[guest]]\nname = "web"\nqmp = "web.qmp"\ndisks = ["vda"]\nguest-agent = "/ga"\n'],
    [
      "g.json",
      '{"guest": [{"name": "web", "qmp": "web.qmp", "disks": ["vda"], "guest-agent": "/ga"}]}',
    ],
  ])("%s", (name, text) => {
    using own = temporaryFolder();
    const file = join(own.path, name);
    writeFileSync(file, text);
    const path = join(own.path, "web.qmp");
    expect(groupFromFile(file)).toEqual({
      guests: [{ name: "web", address: { kind: "qmp", path }, disks: ["vda"], guestAgent: "/ga" }],
      disks: [],
    });
  });

  test.each([
    ["g.toml", "guest = [", "it is no TOML"],
    ["g.json", "{", "it is no JSON"],
    ["g.toml", "[[guest]]\nqmp = 7\n", "at guest.0.qmp"],
    ["g.toml", '[[guest]]\nname = "x"\n', "wanted one of qmp, libxl, virsh"],
    ["g.toml", '[[guest]]\nqmp = "a"\nvirsh = "b"\n', "wanted one of qmp, libxl, virsh"],
    ["g.toml", '[[guest]]\nqmp = "a"\nuri = "b"\n', "uri is for virsh"],
    ["g.toml", '[[disk]]\npath = "a"\nformat = "vmdk"\n', "at disk.0.format"],
    ["g.toml", "colour = 1\n", "at colour"],
  ])("%s with %j is refused", (name, text, told) => {
    using own = temporaryFolder();
    const file = join(own.path, name);
    writeFileSync(file, text);
    expect(() => groupFromFile(file)).toThrow(told);
  });

  test("one that is not there", () => {
    expect(() => groupFromFile("/nowhere/g.toml")).toThrow("ENOENT");
  });
});

const qcow2 = (path: string) => ({ path, format: "qcow2" });
const raw = (path: string) => ({ path, format: "raw" });

/** A spec, what changes, and the spec afterwards. */
test.each([
  [
    "format=qcow2, vdev=xvda, access=rw, target=/a",
    qcow2("/a"),
    "format=qcow2, vdev=xvda, access=rw, target=/n",
  ],
  ["vdev=xvda,target=/a", raw("/a"), "format=qcow2,vdev=xvda,target=/n"],
  ["/a,raw,xvda,rw", raw("/a"), "/n,qcow2,xvda,rw"],
  ["/a,,xvda", raw("/a"), "/n,qcow2,xvda"],
  ["/a, qcow2, xvda, rw", qcow2("/a"), "/n, qcow2, xvda, rw"],
  ["tap:qcow2:/a,xvda,w", qcow2("/a"), "tap:qcow2:/n,xvda,w"],
  ["raw:/a,xvda,w", raw("/a"), "qcow2:/n,xvda,w"],
  ["target=/a", qcow2("/a"), "target=/n"],
])("xl's disk '%s'", (spec, from, after) => {
  const config = (one: string) =>
    `# disk = ['/a']\nname = "x"\ndisk = [\n '${one}', # /a\n "/b,raw,b,w"]\n`;
  const { text, missing } = changeDisks(config(spec), [{ from, to: qcow2("/n") }]);
  expect(missing).toEqual([]);
  expect(text).toBe(config(after));
});

test.each([
  ["", "no list"],
  ["disk = [ '/b,raw,xvda,w' ]", "another disk"],
  ["disk = [ '/a,raw,xvda,w', '/a,raw,xvdb,w' ]", "twice"],
  ["disk = [ '/aa,raw,xvda,w' ]", "a longer path"],
  ["disk = [ '/a,raw,xvda,w", "no end"],
])("xl config %j: %s", (config) => {
  const { text, missing } = changeDisks(config, [{ from: raw("/a"), to: qcow2("/n") }]);
  expect([text, missing]).toEqual([config, ["/a"]]);
});

test("disks that the kernel or tapdisk serves", () => {
  const lines = [
    '/libxl/7/device/vbd/51712 = ""',
    '/libxl/7/device/vbd/51712/backend = "/local/domain/0/backend/vbd/7/51712"',
    '/libxl/7/device/vbd/51728/backend = "/local/domain/0/backend/qdisk/7/51728"',
    '/libxl/7/device/vbd/51744/backend = "/local/domain/0/backend/vbd3/7/51744"',
  ];
  expect(parseBackends(lines.join("\n"))).toEqual([
    { path: "/local/domain/0/backend/vbd/7/51712", backend: "blkback" },
    { path: "/local/domain/0/backend/vbd3/7/51744", backend: "tapdisk" },
  ]);
});

// agent hook install, remove and status: all of a hook or none, and what was there before comes
// back.

import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { HookStatusDocument } from "../../agent/commands/hook/hook.ts";
import { applyChanges } from "../../lib/hook/changes.ts";
import { HOOK_KINDS } from "../../lib/hook/index.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const PROGRAM = "/usr/local/bin/agent";

const hook = (root: string, ...words: string[]) =>
  run(agentCommand("hook", ...words, "--root", root), {});
const install = (root: string, kind: string) => hook(root, "install", kind, "--program", PROGRAM);
/** Where nothing says which program was installed, it must be named, as agent is not compiled. */
const removeAgain = (root: string, kind: string) =>
  hook(root, "remove", kind, "--program", PROGRAM);

/** Every file below with its mode and contents, and every directory. */
function tree(root: string): Record<string, string> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { mode } = statSync(path);
      return [path, `${mode.toString(8)} ${entry.isFile() ? readFileSync(path, "latin1") : ""}`];
    }),
  );
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

describe.each([...HOOK_KINDS])("the %s hook", (kind) => {
  test("is installed whole, and taken away without a trace", () => {
    using folder = temporaryFolder();
    const root = folder.path;
    put(root, "/etc/environment", 'LANG="C.UTF-8"\n');
    put(root, "/etc/xapi.d/vm-pre-start/10-other", "#!/bin/sh\n");
    const before = tree(root);
    expect(hook(root, "status", kind, "--program", PROGRAM)).toMatchObject({ status: 1 });
    expect(install(root, kind)).toMatchObject({ status: 0, stdout: "" });
    const { status, stdout } = hook(root, "status", kind, "--json");
    expect(status).toBe(0);
    const document = v.parse(HookStatusDocument, JSON.parse(stdout));
    expect(document).toMatchObject({ kind, installed: true, program: PROGRAM });
    for (const { path } of document.items) {
      expect(readFileSync(join(root, path), "utf8")).toContain(PROGRAM);
    }
    const after = tree(root);
    expect(install(root, kind)).toMatchObject({ status: 0 }); // Again: nothing changes.
    expect(tree(root)).toEqual(after);
    expect(hook(root, "remove", kind)).toMatchObject({ status: 0 });
    expect(tree(root)).toEqual(before);
    expect(removeAgain(root, kind).stderr).toBe(`There was no ${kind} hook.\n`);
    expect(tree(root)).toEqual(before);
  });

  test("a part that was taken away or changed is told, and put right", () => {
    using folder = temporaryFolder();
    const root = folder.path;
    install(root, kind);
    const whole = tree(root);
    const { items } = v.parse(
      HookStatusDocument,
      JSON.parse(hook(root, "status", kind, "--json").stdout),
    );
    const path = join(root, items.at(-1)!.path); // Every kind has some.
    writeFileSync(path, `${readFileSync(path, "utf8")}# edited\n`);
    chmodSync(path, 0o600);
    expect(hook(root, "status", kind).stdout).toContain("differs");
    install(root, kind);
    expect(tree(root)).toEqual(whole);
  });
});

describe("somebody else's files", () => {
  test.each([
    ["libxl", "/etc/environment", "LIBXL_SAVE_HELPER=/opt/other\n"],
    ["libxl", "/etc/systemd/system/libvirtd.service.d/50-agent.conf", "[Service]\n"],
    ["xapi", "/etc/xapi.d/plugins/agent", "#!/bin/sh\n"],
    ["libvirt", "/etc/libvirt/hooks/libxl.d/50-agent", "#!/bin/sh\n"],
  ])("%s: %s is never touched", (kind, path, text) => {
    using folder = temporaryFolder();
    const root = folder.path;
    put(root, path, text);
    const before = tree(root);
    const { status, stderr } = install(root, kind);
    expect(status).toBe(1);
    expect(stderr).toContain(`"${join(root, path)}" is somebody else's`);
    expect(tree(root)).toEqual(before);
    expect(removeAgain(root, kind)).toMatchObject({ status: 0 });
    expect(tree(root)).toEqual(before);
  });

  test("a file of ours that somebody has made his own stops the removal, before anything", () => {
    using folder = temporaryFolder();
    const root = folder.path;
    install(root, "xapi");
    put(root, "/etc/xapi.d/plugins/agent", "#!/bin/sh\n# mine now\n");
    const before = tree(root);
    expect(hook(root, "remove", "xapi")).toMatchObject({ status: 1 });
    expect(tree(root)).toEqual(before);
  });

  test("a directory that others use stays", () => {
    using folder = temporaryFolder();
    const root = folder.path;
    install(root, "libvirt");
    put(root, "/etc/libvirt/hooks/libxl.d/60-other", "#!/bin/sh\n");
    hook(root, "remove", "libvirt");
    expect(existsSync(join(root, "/etc/libvirt/hooks/libxl.d/60-other"))).toBe(true);
    expect(existsSync(join(root, "/var"))).toBe(false);
  });
});

test("an installation that fails half way leaves nothing", () => {
  using folder = temporaryFolder();
  const root = folder.path;
  put(root, "/etc/a", "old");
  mkdirSync(join(root, "/etc/b/in-the-way"), { recursive: true });
  const before = tree(root);
  const changes = [
    { path: "/etc/a", before: "old", after: "new", mode: 0o644 },
    { path: "/etc/new/deep/c", before: undefined, after: "new", mode: 0o644 },
    { path: "/etc/b", before: undefined, after: "new", mode: 0o644 }, // It is a directory.
  ];
  expect(() => applyChanges(root, changes)).toThrow("nothing was changed");
  expect(Object.keys(tree(root))).toEqual(Object.keys(before));
  expect(readFileSync(join(root, "/etc/a"), "utf8")).toBe("old");
});

test.each([
  [["hook"], 2],
  [["hook", "install", "qemu"], 2],
  [["hook", "install", "libxl", "--root", "here"], 2],
  [["hook", "install", "libxl", "--root", "/", "--program", "/no/such/agent"], 1],
])("a command line that is wrong: %j", (words, status) => {
  expect(run(agentCommand(...words), {}).status).toBe(status);
});

test("a login shell and a service get what libxl runs", () => {
  using folder = temporaryFolder();
  const root = folder.path;
  const program = readlinkSync("/proc/self/exe");
  hook(root, "install", "libxl", "--program", program);
  const snippet = join(root, "/etc/profile.d/agent-save-helper.sh");
  const shell = ["sh", "-c", `. '${snippet}'; echo "$LIBXL_SAVE_HELPER $LIBXL_CONVERT_HELPER"`];
  expect(run(shell, { env: {} }).stdout).toBe(`${program} ${program}\n`);
  expect(
    readFileSync(join(root, "/etc/systemd/system/xendomains.service.d/50-agent.conf"), "utf8"),
  ).toContain(`[Service]\nEnvironment="LIBXL_SAVE_HELPER=${program}"\n`);
  expect(readFileSync(join(root, "/etc/environment"), "utf8")).toBe(
    `LIBXL_SAVE_HELPER=${program}\nLIBXL_CONVERT_HELPER=${program}\n`,
  );
});

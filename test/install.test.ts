// install.sh, run by every shell that is here: dash, busybox ash and bash. It sees a PATH with the
// few tools it needs and nothing else: no node, no bun, no compiler, as on a control domain.

import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { readlinkSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { builtBinary } from "./helpers/binary.ts";
import { ROOT } from "./helpers/source-files.ts";
import { type TemporaryFolder, temporaryFolder } from "./helpers/temporary.ts";

/** All that install.sh may call when it installs a ready-made program. */
const TOOLS = "cat chmod cp dirname find grep ln mkdir mv readlink rm rmdir sed sync uname".split(
  " ",
);

const busybox = Bun.which("busybox");
const SHELLS = [["dash"], ["busybox", "ash"], ["bash", "--posix"]].filter(([name = ""]) =>
  Bun.which(name),
);

/** One that takes its tools from PATH: busybox may use its own. */
const PATH_SHELL = SHELLS.find(([name]) => name !== "busybox");

const INSTALLED = [
  "bin/agent",
  "share/agent/manifest",
  "share/bash-completion/completions/agent",
  "share/fish/vendor_completions.d/agent.fish",
  "share/man/man1/agent.1",
  "share/zsh/site-functions/_agent",
];

const UNIT = "lib/systemd/system/agent-xenstored.service";

/** A stand-in for the program: a page says which version printed it. */
const fakeAgent = (version: string, check = "true"): string =>
  [
    "#!/bin/sh",
    "case $1 in",
    `  --version) echo "agent ${version} (unknown, linux-x64, Bun 1.4.5)" ;;`,
    `  check) ${check} ;;`,
    '  completion) case $2 in names) echo verify-stream-v2 ;; *) echo "$2" ;; esac ;;',
    `  man) echo "page of ${version}" ;;`,
    "esac",
    "",
  ].join("\n");

interface Bench extends TemporaryFolder {
  readonly prefix: string;
  /** What is under the prefix, directories left out. */
  installed(): string[];
  program(text: string): void;
  tool(name: string, text: string): void;
  start(...options: string[]): Bun.Subprocess<"ignore", "pipe", "pipe">;
  install(...options: string[]): Promise<{ status: number; stdout: string; stderr: string }>;
}

/** A release as it is copied to a host: install.sh, the program beside it, and a PATH of TOOLS. */
function bench(shell: readonly string[] = SHELLS[0] ?? ["sh"]): Bench {
  const folder = temporaryFolder();
  const release = join(folder.path, "release");
  const tools = join(folder.path, "tools");
  const prefix = join(folder.path, "some where/prefix");
  mkdirSync(release);
  mkdirSync(tools);
  cpSync(join(ROOT, "install.sh"), join(release, "install.sh"));
  for (const name of TOOLS) symlinkSync(busybox ?? Bun.which(name) ?? name, join(tools, name));
  const [name = "", ...words] = shell;
  const command = [Bun.which(name) ?? name, ...words, join(release, "install.sh")];
  const start = (...options: string[]) =>
    Bun.spawn([...command, ...options], {
      cwd: folder.path,
      env: { PATH: tools },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      detached: true, // Its own process group, to send it what Ctrl-C sends.
    });
  const write = (path: string, text: string): void => {
    rmSync(path, { force: true });
    writeFileSync(path, text, { mode: 0o755 });
  };
  return {
    ...folder,
    prefix,
    installed: () => filesUnder(prefix),
    program: (text) => write(join(release, "agent"), text),
    tool: (tool, text) => write(join(tools, tool), text),
    start,
    async install(...options) {
      const child = start("--prefix", prefix, ...options);
      const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      return { status: await child.exited, stdout, stderr };
    },
  };
}

function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

const page = ({ prefix }: Bench): string =>
  readFileSync(join(prefix, "share/man/man1/agent.1"), "utf8");

describe.each(SHELLS.map((shell) => [shell.join(" "), shell] as const))("under %s", (_, shell) => {
  test("installs a ready-made program, twice, and takes it off without a trace", async () => {
    using host = bench(shell);
    for (const round of ["first", "again"]) {
      const { status, stdout, stderr } = await host.install("--binary", builtBinary());
      expect({ round, status, stderr }).toEqual({ round, status: 0, stderr: "" });
      expect(stdout).toContain(`Installed agent `);
      expect(host.installed()).toEqual(INSTALLED);
    }
    const started = Bun.spawnSync([join(host.prefix, "bin/agent"), "--version"], { env: {} });
    expect(started.stdout.toString()).toStartWith("agent ");
    expect(page(host)).toStartWith(".TH AGENT 1");
    expect((await host.install("--uninstall")).stdout).toBe(`Removed agent from ${host.prefix}\n`);
    expect(existsSync(join(host.path, "some where"))).toBeFalse();
  }, 60_000);

  test("links the names of other programs, and keeps the links from then on", async () => {
    using host = bench(shell);
    host.program(fakeAgent("1"));
    for (const options of [["--link"], []]) {
      expect(await host.install(...options)).toMatchObject({ status: 0, stderr: "" });
      expect(host.installed()).toEqual([...INSTALLED, "bin/verify-stream-v2"].sort());
      expect(readlinkSync(join(host.prefix, "bin/verify-stream-v2"))).toBe("agent");
    }
    await host.install("--uninstall");
    expect(existsSync(join(host.path, "some where"))).toBeFalse();
  });

  test("keeps the former version where the new one fails its check", async () => {
    using host = bench(shell);
    host.program(fakeAgent("1"));
    await host.install();
    host.program(fakeAgent("2", "echo no loop device >&2; exit 1"));
    const { status, stderr } = await host.install("--link");
    expect(stderr).toContain("no loop device\ninstall.sh: Cannot install: agent check failed");
    expect(status).toBe(1);
    expect(page(host)).toBe("page of 1\n");
    expect(host.installed()).toEqual(INSTALLED);
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("leaves the former version on %s", async (signal, status) => {
    using host = bench(shell);
    host.program(fakeAgent("1"));
    await host.install();
    host.program(fakeAgent("2", `echo checking; exec ${Bun.which("sleep")} 60`));
    const child = host.start("--prefix", host.prefix);
    const reader = child.stdout.getReader(); // Kept: a closed pipe would end the script.
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("checking\n");
    expect(host.installed()).not.toEqual(INSTALLED); // Staged files are beside them.
    process.kill(-child.pid, signal);
    expect(await child.exited).toBe(status);
    expect(page(host)).toBe("page of 1\n");
    expect(host.installed()).toEqual(INSTALLED);
  });
});

describe("install.sh refuses", () => {
  test.each([
    ["a text file", "hello\n", "Cannot use"],
    [
      "a bare Bun",
      "#!/bin/sh\necho 1.4.5\n",
      'found "1.4.5": it is damaged, stripped, or built for another',
    ],
    ["a program that cannot start", "#!/nowhere/ld.so\n", "Cannot use"],
  ])("%s in place of the program", async (_, text, message) => {
    using host = bench();
    host.program(text);
    const { status, stderr } = await host.install();
    expect(stderr).toContain(message);
    expect(status).toBe(1);
    expect(existsSync(join(host.path, "some where"))).toBeFalse();
  });

  test.each([
    ["bin/agent", [], "is there and was not installed by this script"],
    ["share/man/man1/agent.1", [], "is there and was not installed by this script"],
    ["bin/verify-stream-v2", ["--link"], "is there and is not our link"],
  ])("to replace somebody else's %s", async (name, options, message) => {
    using host = bench();
    host.program(fakeAgent("1"));
    const foreign = join(host.prefix, name);
    mkdirSync(join(foreign, ".."), { recursive: true });
    writeFileSync(foreign, "foreign");
    const { status, stderr } = await host.install(...options);
    expect(stderr).toContain(message);
    expect(status).toBe(1);
    expect(host.installed()).toEqual([name]);
    expect(readFileSync(foreign, "utf8")).toBe("foreign");
  });

  test("to uninstall what is not there", async () => {
    using host = bench();
    const { status, stderr } = await host.install("--uninstall");
    expect(stderr).toStartWith(
      `install.sh: Cannot uninstall: nothing is installed under "${host.prefix}"`,
    );
    expect(status).toBe(1);
  });

  test.each([
    [["--fast"], 'there is no option "--fast"'],
    [["--binary"], "--binary wants a value"],
  ])("%p", async (options, message) => {
    using host = bench();
    const { status, stderr } = await host.install(...options);
    expect(stderr).toBe(`install.sh: Cannot install: ${message}: try sh install.sh --help\n`);
    expect(status).toBe(2);
  });

  test("to go on without a program, sources, node or bun", async () => {
    using host = bench();
    const { status, stderr } = await host.install();
    expect(stderr).toContain('has neither a file "agent" nor the sources');
    expect(status).toBe(1);
  });
});

describe("install.sh takes care of", () => {
  const noShell = PATH_SHELL === undefined ? " (skipped: there is neither dash nor bash)" : "";
  test.skipIf(noShell !== "")(
    `a rename that fails half way: it takes all back${noShell}`,
    async () => {
      using host = bench(PATH_SHELL);
      const mv = busybox === null ? Bun.which("mv") : `${busybox} mv`;
      const failing = `#!/bin/sh\ncase $* in *.new.agent.fish*) exit 1 ;; esac\nexec ${mv} "$@"\n`;
      host.tool("mv", failing);
      host.program(fakeAgent("1"));
      expect(await host.install()).toMatchObject({ status: 1, stdout: "" });
      expect(existsSync(join(host.path, "some where"))).toBeFalse();

      host.tool("mv", `#!/bin/sh\nexec ${mv} "$@"\n`);
      await host.install("--link");
      host.tool("mv", failing);
      host.program(fakeAgent("2"));
      const { status, stderr } = await host.install();
      expect(stderr).toContain("Cannot rename to");
      expect(status).toBe(1);
      expect(page(host)).toBe("page of 1\n");
      expect(host.installed()).toEqual([...INSTALLED, "bin/verify-stream-v2"].sort());
      expect(readFileSync(join(host.prefix, "bin/agent"), "utf8")).toBe(fakeAgent("1"));
    },
  );

  test("files of others among its own: they stay, and so do their directories", async () => {
    using host = bench();
    host.program(fakeAgent("1"));
    await host.install("--link");
    writeFileSync(join(host.prefix, "share/man/man1/other.1"), "other");
    rmSync(join(host.prefix, "bin/verify-stream-v2"));
    writeFileSync(join(host.prefix, "bin/verify-stream-v2"), "the real one");
    expect(await host.install("--uninstall")).toMatchObject({ status: 0, stderr: "" });
    expect(host.installed()).toEqual(["bin/verify-stream-v2", "share/man/man1/other.1"]);
  });

  test("a package's --destdir: the manifest does not have it, and nothing is tried", async () => {
    using host = bench();
    host.program(fakeAgent("1", "exit 1"));
    const destdir = join(host.path, "package/root");
    const child = host.start("--destdir", destdir, "--prefix=/usr");
    expect(await child.exited).toBe(0);
    expect(filesUnder(join(destdir, "usr"))).toEqual(INSTALLED);
    const manifest = readFileSync(join(destdir, "usr/share/agent/manifest"), "utf8");
    expect(manifest).toContain("file /usr/bin/agent\n");
    expect(await host.start("--destdir", destdir, "--prefix", "/usr", "--uninstall").exited).toBe(
      0,
    );
    expect(existsSync(join(destdir, "usr"))).toBeFalse();
  });

  test("files that a newer version no longer has", async () => {
    using host = bench();
    host.program(fakeAgent("1"));
    await host.install();
    const old = join(host.prefix, "share/agent/old.txt");
    const manifest = join(host.prefix, "share/agent/manifest");
    writeFileSync(old, "old");
    writeFileSync(manifest, `${readFileSync(manifest, "utf8")}file ${old}\n`);
    expect(await host.install()).toMatchObject({ status: 0, stderr: "" });
    expect(host.installed()).toEqual(INSTALLED);
  });

  test("a build that is newer than its sources: it is copied, an older one is not", async () => {
    using host = bench();
    const release = join(host.path, "release");
    for (const folder of ["agent", "lib", "dist"]) mkdirSync(join(release, folder));
    for (const file of ["build.ts", "package.json", "bun.lock"])
      writeFileSync(join(release, file), "");
    const built = join(release, "dist/agent");
    writeFileSync(built, fakeAgent("1"), { mode: 0o755 });
    const minuteAhead = new Date(Date.now() + 60_000);
    utimesSync(built, minuteAhead, minuteAhead);
    expect(await host.install()).toMatchObject({ status: 0, stderr: "" });
    expect(lstatSync(join(host.prefix, "bin/agent")).mode % 0o1000).toBe(0o755);

    utimesSync(built, new Date(0), new Date(0));
    const { status, stderr } = await host.install();
    expect(stderr).toContain("wanted npm and node, or bun, in PATH and found neither");
    expect(status).toBe(1);
    expect(host.installed()).toEqual(INSTALLED);
  });
});

test.each(SHELLS.map((shell) => [shell.join(" "), shell] as const))(
  "a systemd unit is installed when asked for, and then for good (%s)",
  async (_, shell) => {
    using host = bench(shell);
    host.program(fakeAgent("1"));
    const withUnit = [...INSTALLED, UNIT].sort();
    const { stdout } = await host.install("--systemd");
    expect(stdout).toEndWith(
      "Next: systemctl daemon-reload && systemctl enable --now agent-xenstored.service\n",
    );
    expect(host.installed()).toEqual(withUnit);
    const unit = readFileSync(join(host.prefix, UNIT), "utf8");
    expect(unit).toContain(`\nExecStart="${host.prefix}/bin/agent" store serve\n`);
    expect(unit).not.toMatch(/\n(MemoryDenyWriteExecute|PrivateDevices|ProtectClock)=/);
    host.program(fakeAgent("2"));
    expect(await host.install()).toMatchObject({ status: 0, stderr: "" });
    expect(host.installed()).toEqual(withUnit);
    await host.install("--uninstall");
    expect(existsSync(join(host.path, "some where"))).toBeFalse();
  },
);

const analyze = Bun.which("systemd-analyze");
const noAnalyze = analyze === null ? " (skipped: there is no systemd-analyze)" : "";
test.skipIf(analyze === null)(`systemd finds nothing in the unit${noAnalyze}`, async () => {
  using host = bench();
  host.program(fakeAgent("1"));
  await host.install("--systemd");
  const words = ["verify", "--man=no", "--recursive-errors=no", join(host.prefix, UNIT)];
  const { exitCode, stderr } = Bun.spawnSync(["systemd-analyze", ...words]);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
});

const shellcheck = Bun.which("shellcheck");
const whyNot = shellcheck === null ? " (skipped: there is no shellcheck)" : "";
test.skipIf(shellcheck === null)(`shellcheck finds nothing in the shell scripts${whyNot}`, () => {
  const scripts = ["install.sh", ".ci/run", ".ci/fetch-device-parts", ".ci/fetch-systemd"].map(
    (name) => join(ROOT, name),
  );
  const { exitCode, stdout } = Bun.spawnSync(["shellcheck", ...scripts]);
  expect({ exitCode, stdout: stdout.toString() }).toEqual({ exitCode: 0, stdout: "" });
});

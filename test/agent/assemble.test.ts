// agent assemble as a process: the stream appears whole and verified, or what stood there stays.

import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  linkSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { firstDifference, takeApart } from "../helpers/image-folder.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { NEEDS_MOUNT, smallDisk } from "../helpers/small-disk.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { type TemporaryFolder, temporaryFolder } from "../helpers/temporary.ts";

const XL_HVM = encode(VALID_PLANS["xl, HVM"]!()).bytes;

function apart(folder: TemporaryFolder, bytes: Uint8Array = XL_HVM): string {
  const path = join(folder.path, "apart");
  takeApart(bytes, path, {});
  return path;
}

const assemble = (...words: string[]) => run(agentCommand("assemble", ...words), {});

test("a folder becomes the stream it was, and that is said", () => {
  using folder = temporaryFolder();
  const [path, to] = [apart(folder), join(folder.path, "stream")];
  const { status, stdout, stderr } = assemble(path, "--to", to);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^assembled: .*apart to .*stream: [0-9]+ KiB\n  verified: 14 records\n$/);
  expect(firstDifference(XL_HVM, readFileSync(to))).toBe("equal");
});

test("standard output has the stream and nothing else", () => {
  using folder = temporaryFolder();
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    agentCommand("assemble", apart(folder), "--to", "-"),
  );
  expect(exitCode).toBe(0);
  expect(stderr.toString()).toContain("it was not verified: it did not go to a file");
  expect(firstDifference(XL_HVM, stdout)).toBe("equal");
});

test("a reader that goes away is told of, once", () => {
  using folder = temporaryFolder();
  const path = apart(folder, Buffer.concat([XL_HVM, new Uint8Array(4 * 2 ** 20)]));
  const script = '{ "$1" "$2" assemble "$3" --to - 2>"$4"; echo $? >"$4.status"; } | head -c 10';
  const [bun, main] = agentCommand();
  const log = join(folder.path, "log");
  const { stdout } = Bun.spawnSync(["/bin/sh", "-c", script, "sh", bun!, main!, path, log]);
  expect(stdout.byteLength).toBe(10);
  expect(readFileSync(log, "utf8")).toMatch(
    /^agent: Cannot write "standard output": the reader has gone: .* EPIPE \(errno 32\)\n$/,
  );
  expect(readFileSync(`${log}.status`, "utf8")).toBe("1\n");
});

describe("what stood there stays, unless the new stream is whole and valid", () => {
  /** A folder, and a file that is to be replaced. */
  function place(folder: TemporaryFolder) {
    const to = join(folder.path, "stream");
    writeFileSync(to, "old");
    return { path: apart(folder), to };
  }

  test("a valid one replaces it, keeping its mode", () => {
    using folder = temporaryFolder();
    const { path, to } = place(folder);
    chmodSync(to, 0o640);
    expect(assemble(path, "--to", to, "-q")).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(firstDifference(XL_HVM, readFileSync(to))).toBe("equal");
  });

  test("an edit that no reader takes is told, with its place", () => {
    using folder = temporaryFolder();
    const { path, to } = place(folder);
    appendFileSync(join(path, "emulator.bin"), "more than padding");
    const { status, stderr } = assemble(path, "--to", to);
    expect(status).toBe(3);
    expect(stderr).toMatch(
      /^agent: Cannot assemble ".*": the stream would not be valid \(.*\)\n {2}qemu eof\./,
    );
    expect(readFileSync(to, "utf8")).toBe("old");
    const forced = assemble(path, "--to", to, "--damaged");
    expect({ status: forced.status, isSaid: forced.stdout.includes("not a valid stream") }).toEqual(
      {
        status: 0,
        isSaid: true,
      },
    );
    expect(readFileSync(to).byteLength).toBeGreaterThan(XL_HVM.byteLength);
  });

  test("a folder that holds none is told, with file and line", () => {
    using folder = temporaryFolder();
    const { path, to } = place(folder);
    appendFileSync(join(path, "records.jsonl"), '{"layer":"libxl"}\n');
    const { status, stderr } = assemble(path, "--to", to);
    expect(status).toBe(3);
    expect(stderr).toMatch(
      /": manifest records\.jsonl\.record at offset .* \(record 18\): expected "record", found /,
    );
    expect(readFileSync(to, "utf8")).toBe("old");
  });

  test("a folder that is none, or not there", () => {
    using folder = temporaryFolder();
    const { to } = place(folder);
    for (const path of [to, join(folder.path, "none"), folder.path]) {
      const { status, stderr } = assemble(path, "--to", to);
      expect({ status, isTold: stderr.startsWith("agent: Cannot open ") }).toEqual({
        status: 1,
        isTold: true,
      });
    }
    expect(readFileSync(to, "utf8")).toBe("old");
  });

  test("a file of the folder itself is the input, by whatever name", () => {
    using folder = temporaryFolder();
    const path = apart(folder);
    const other = join(folder.path, "other");
    linkSync(join(path, "pages.log"), other);
    const pages = readFileSync(other);
    for (const to of [join(path, "pages.log"), other]) {
      expect(assemble(path, "--to", to).stderr).toBe(
        `agent: Cannot write "${to}": it is the input\n`,
      );
    }
    expect(Buffer.compare(pages, readFileSync(other))).toBe(0);
  });

  test.skipIf(NEEDS_MOUNT.skip)(NEEDS_MOUNT.title("a full disk, and a read-only one"), () => {
    using folder = temporaryFolder();
    const path = apart(folder);
    using disk = smallDisk(16 * 1024);
    const to = join(disk!.path, "stream");
    writeFileSync(to, "old");
    const full = assemble(path, "--to", to);
    expect({ status: full.status, isTold: full.stderr.includes("the disk is full") }).toEqual({
      status: 1,
      isTold: true,
    });
    disk!.makeReadOnly();
    const readOnly = assemble(path, "--to", to);
    expect(readOnly.stderr).toStartWith(
      `agent: Cannot write "${to}": the file system is read-only`,
    );
    expect(readdirSync(disk!.path)).toEqual(["stream"]);
    expect(readFileSync(to, "utf8")).toBe("old");
  });

  test.each(["SIGTERM", "SIGKILL"] as const)("%s in the middle", async (signal) => {
    using folder = temporaryFolder();
    const { path, to } = place(folder);
    const [executable = "", ...words] = agentCommand("assemble", path, "--to", to, "--rate", "4K");
    const child = spawn(executable, words, { stdio: "ignore" });
    await Bun.sleep(600);
    expect(child.exitCode).toBeNull();
    child.kill(signal);
    await new Promise((resolve) => void child.on("close", resolve));
    expect(readFileSync(to, "utf8")).toBe("old");
    expect(readdirSync(folder.path).sort()).toEqual(["apart", "stream"]);
  });
});

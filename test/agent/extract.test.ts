// agent extract as a process: folders and memory images that appear whole or not at all, whatever
// happens, and what it says.

import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { debugGuest } from "../helpers/debug-guest.ts";
import { readElf } from "../helpers/elf-file.ts";
import { firstDifference, putTogether } from "../helpers/image-folder.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { NEEDS_MOUNT, smallDisk } from "../helpers/small-disk.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { type TemporaryFolder, temporaryFolder } from "../helpers/temporary.ts";

const XL_HVM = encode(VALID_PLANS["xl, HVM"]!()).bytes;
const REMUS = encode(VALID_PLANS["Remus, PV"]!()).bytes;
const GUEST = debugGuest("hvm 64", 2, new Map()).bytes;

function stream(folder: TemporaryFolder, bytes: Uint8Array): string {
  const path = join(folder.path, "stream");
  writeFileSync(path, bytes);
  return path;
}

const extract = (...words: string[]) => run(agentCommand("extract", ...words), {});

describe("a stream, taken apart", () => {
  test("is a folder that only its owner can read", () => {
    using folder = temporaryFolder();
    const [path, to] = [stream(folder, XL_HVM), join(folder.path, "apart")];
    const { status, stdout, stderr } = extract(path, "--to", to);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe(
      `extracted: ${path} to ${to}: 14 records, 1 page\n` +
        "  records.jsonl has every record in order; edit a part, then agent assemble\n",
    );
    expect(readdirSync(to).sort()).toEqual([
      "config.json",
      "cpuid-policy.json",
      "emulator.bin",
      "hvm-context.bin",
      "hvm-params.json",
      "manifest.json",
      "msr-policy.json",
      "pages.log",
      "records.jsonl",
      "xenstore.json",
    ]);
    expect(statSync(to).mode & 0o777).toBe(0o700);
    expect(statSync(join(to, "pages.log")).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(join(to, "config.json"), "utf8")).c_info.name).toBe("built");
    expect(firstDifference(XL_HVM, putTogether(to))).toBe("equal");
  });

  test("from a pipe takes nothing that stands behind the stream", () => {
    using folder = temporaryFolder();
    const path = stream(folder, Buffer.concat([XL_HVM, Buffer.from("what the next one reads")]));
    const to = join(folder.path, "apart");
    const script = 'cat "$1" | { "$2" "$3" extract --to "$4" -q; cat; }';
    const [bun, main] = agentCommand();
    const { stdout } = Bun.spawnSync(["/bin/sh", "-c", script, "sh", path, bun!, main!, to]);
    expect(stdout.toString()).toBe("what the next one reads");
    expect(firstDifference(XL_HVM, putTogether(to))).toBe("equal");
  });

  test("compressed comes apart as the stream within, and what stands behind it", () => {
    using folder = temporaryFolder();
    const bytes = Buffer.concat([XL_HVM, Buffer.from("domain is yours")]);
    const to = join(folder.path, "apart");
    const { status } = extract(stream(folder, Bun.zstdCompressSync(bytes)), "--to", to, "-q");
    expect(status).toBe(0);
    expect(readFileSync(join(to, "trailing.bin"), "utf8")).toBe("domain is yours");
    expect(firstDifference(bytes, putTogether(to))).toBe("equal");
  });

  test("compressed data that are cut short are what is wrong, not the stream", () => {
    using folder = temporaryFolder();
    const packed = Bun.zstdCompressSync(XL_HVM).subarray(0, -20);
    const { status, stderr } = extract(stream(folder, packed), "--to", join(folder.path, "apart"));
    expect({ status, isTold: stderr.includes("zstd") }).toEqual({ status: 3, isTold: true });
    expect(readdirSync(folder.path)).toEqual(["stream"]);
  });

  test("that is cut short is refused, unless --damaged takes what is there", () => {
    using folder = temporaryFolder();
    const path = stream(folder, XL_HVM.subarray(0, -100));
    const to = join(folder.path, "apart");
    const refused = extract(path, "--to", to);
    expect(refused.status).toBe(3);
    expect(refused.stderr).toStartWith(
      `agent: Cannot extract "${path}" (--damaged takes apart what is there): ` +
        "libxl EMULATOR_CONTEXT.",
    );
    expect(readdirSync(folder.path)).toEqual(["stream"]);

    const taken = extract(path, "--to", to, "--damaged");
    expect(taken.stdout).toContain("it is cut short or damaged: manifest.json says where");
    expect(JSON.parse(readFileSync(join(to, "manifest.json"), "utf8")).stopped).toContain(
      "EMULATOR",
    );
    expect(firstDifference(XL_HVM.subarray(0, -100), putTogether(to))).toBe("equal");
  });

  test.each([
    ["a qcow2 disk", Uint8Array.of(0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3), "a qcow2 disk image"],
    ["nothing", new Uint8Array(0), "no bytes at all"],
  ])("that is none is refused, also with --damaged: %s", (_, bytes, why) => {
    using folder = temporaryFolder();
    const path = stream(folder, bytes);
    const { status, stderr } = extract(path, "--to", join(folder.path, "apart"), "--damaged");
    expect({ status, isTold: stderr.includes(why) }).toEqual({ status: 3, isTold: true });
    expect(readdirSync(folder.path)).toEqual(["stream"]);
  });
});

describe("a folder is there whole, or nothing has changed", () => {
  test("an empty folder is filled, any other is refused", () => {
    using folder = temporaryFolder();
    const path = stream(folder, XL_HVM);
    const to = join(folder.path, "apart");
    mkdirSync(to);
    expect(extract(path, "--to", to, "-q").status).toBe(0);
    const again = extract(path, "--to", to);
    expect({ status: again.status, stderr: again.stderr }).toEqual({
      status: 1,
      stderr: `agent: Cannot write "${to}": wanted a new folder, found one with files in it\n`,
    });
    expect(extract(path, "--to", path).stderr).toBe(
      `agent: Cannot write "${path}": wanted a new folder, found a file\n`,
    );
    symlinkSync(to, join(folder.path, "link"));
    expect(extract(path, "--to", join(folder.path, "link")).stderr).toContain("found a file");
    expect(readdirSync(folder.path).sort()).toEqual(["apart", "link", "stream"]);
  });

  test.skipIf(NEEDS_MOUNT.skip)(NEEDS_MOUNT.title("on a full disk, and on a read-only one"), () => {
    using folder = temporaryFolder();
    const path = stream(folder, encode(VALID_PLANS["libxc version 3, PV 64"]!()).bytes);
    using disk = smallDisk(20 * 1024);
    const to = join(disk!.path, "apart");
    const full = extract(path, "--to", to);
    expect(full.status).toBe(1);
    expect(full.stderr).toMatch(/^agent: Cannot write ".*apart\/[a-z-0-9.]+": the disk is full: /);
    const memory = extract(path, "--memory", to, "--as", "elf");
    expect({ status: memory.status, isTold: memory.stderr.includes("the disk is full") }).toEqual({
      status: 1,
      isTold: true,
    });
    expect(readdirSync(disk!.path)).toEqual([]);
    disk!.makeReadOnly();
    for (const words of [
      ["--to", to],
      ["--memory", to, "--as", "raw"],
    ]) {
      const { status, stderr } = extract(path, ...words);
      expect({ status, isTold: stderr.includes("the file system is read-only") }).toEqual({
        status: 1,
        isTold: true,
      });
    }
  });

  test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
    "%s in the middle leaves nothing",
    async (signal) => {
      using folder = temporaryFolder();
      const path = stream(folder, REMUS);
      const to = join(folder.path, "apart");
      const [executable = "", ...words] = agentCommand(
        "extract",
        path,
        "--to",
        to,
        "--rate",
        "20K",
      );
      const child = spawn(executable, words, { stdio: "ignore" });
      const isBegun = () => readdirSync(folder.path).some((name) => name.endsWith(".tmp"));
      for (let wait = 0; wait < 500 && !isBegun(); wait++) await Bun.sleep(10);
      expect(isBegun()).toBeTrue();
      await Bun.sleep(50);
      child.kill(signal);
      await new Promise((resolve) => void child.on("close", resolve));
      for (let wait = 0; wait < 300 && readdirSync(folder.path).length > 1; wait++)
        await Bun.sleep(10);
      expect(readdirSync(folder.path)).toEqual(["stream"]);
    },
    20_000,
  );
});

describe("the guest's memory", () => {
  test("as a core, told in words", () => {
    using folder = temporaryFolder();
    const [path, to] = [stream(folder, GUEST), join(folder.path, "core")];
    const { status, stdout, stderr } = extract(path, "--memory", to, "--as", "elf");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe(
      `extracted: ${path} to ${to}: ELF core of 64 bits, HVM guest\n` +
        "  6 pages, 0 of them zeros (holes in the file)\n" +
        "  registers of 2 vcpus, the kernel's addresses in 2 segments\n" +
        "  lower addresses are physical ones\n",
    );
    expect(readElf(new Uint8Array(readFileSync(to))).machine).toBe(62);
  });

  test("is the same from a file, a pipe, compressed data, and a folder", () => {
    using folder = temporaryFolder();
    const path = stream(folder, GUEST);
    const outputs = ["file", "pipe", "packed", "folder"].map((name) => join(folder.path, name));
    const [file = "", pipe = "", packed = "", fromFolder = ""] = outputs;
    writeFileSync(join(folder.path, "zst"), Bun.zstdCompressSync(GUEST));
    expect(extract(path, "-m", file, "--as", "elf", "-q").status).toBe(0);
    const script = 'cat "$1" | "$2" "$3" extract -m "$4" --as elf -q';
    const [bun, main] = agentCommand();
    Bun.spawnSync(["/bin/sh", "-c", script, "sh", path, bun!, main!, pipe]);
    extract(join(folder.path, "zst"), "-m", packed, "--as", "elf", "-q");
    extract(path, "--to", join(folder.path, "apart"), "-q");
    extract(join(folder.path, "apart"), "-m", fromFolder, "--as", "elf", "-q");
    const wanted = readFileSync(file);
    for (const output of outputs) {
      expect(firstDifference(wanted, readFileSync(output))).toBe("equal");
    }
  });

  test("is that of the checkpoint that was asked for", () => {
    using folder = temporaryFolder();
    const [path, to] = [stream(folder, REMUS), join(folder.path, "memory")];
    expect(extract(path, "-m", to, "--as", "raw").stdout).toContain("at checkpoint 3");
    expect(extract(path, "-m", to, "--as", "raw", "--at", "1").stdout).toContain("at checkpoint 1");
    const { status, stderr } = extract(path, "-m", to, "--as", "raw", "--at", "4");
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        `agent: Cannot extract the memory of "${path}" at checkpoint 4: ` +
        "it has 3 complete checkpoints\n",
    });
  });

  test("is not written over the stream, nor to a pipe", () => {
    using folder = temporaryFolder();
    const path = stream(folder, GUEST);
    expect(extract(path, "-m", path, "--as", "raw").stderr).toBe(
      `agent: Cannot write "${path}": it is the input\n`,
    );
    expect(firstDifference(GUEST, readFileSync(path))).toBe("equal");
    expect(extract(path, "-m", "-", "--as", "raw").stderr).toBe(
      "agent: Cannot write a memory image to a pipe: it has holes, name a file\n",
    );
  });

  test("of a legacy stream is refused with what to do", () => {
    using folder = temporaryFolder();
    const path = stream(folder, encode(VALID_PLANS["xl, legacy PV"]!()).bytes);
    const { status, stderr } = extract(path, "-m", join(folder.path, "m"), "--as", "raw");
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        `agent: Cannot extract the memory of "${path}": it is a legacy stream; ` +
        "agent convert makes a current one of it\n",
    });
  });
});

describe("a command line that says too little or too much is refused", () => {
  test.each([
    [[], "wanted --to DIR, or --memory FILE --as raw or elf"],
    [
      ["--to", "d", "--memory", "f", "--as", "raw"],
      "wanted --to DIR, or --memory FILE --as raw or elf",
    ],
    [["--memory", "f"], "--memory needs --as raw or --as elf"],
    [["--memory", "f", "--as", "core"], '--as: wanted raw or elf, found "core"'],
    [["--to", "d", "--as", "raw"], "--as, --at and --spool go with --memory"],
    [["--memory", "f", "--as", "raw", "--damaged"], "--damaged goes with --to"],
  ])("%j", (words, why) => {
    const { status, stderr } = extract("stream", ...words);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `agent: Cannot run extract: ${why}\n`,
    });
  });
});

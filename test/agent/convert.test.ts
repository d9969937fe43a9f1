// agent convert and the drop-in convert-legacy-stream as processes: files, pipes, descriptors, what
// they print, exit statuses, and an output that appears whole or not at all.

import { describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ConvertReportSchema } from "../../lib/stream/convert/index.ts";
import * as v from "valibot";
import { convertBytes } from "../helpers/convert-bytes.ts";
import {
  batch,
  cat,
  fill,
  GOLDEN_HVM,
  GOLDEN_PV,
  hvmStream,
  pvStream,
  qemuRecord,
  text,
} from "../helpers/legacy-recipes.ts";
import { agentCommand, type Ran, REPOSITORY, run } from "../helpers/run.ts";
import { NEEDS_MOUNT, smallDisk } from "../helpers/small-disk.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder, type TemporaryFolder } from "../helpers/temporary.ts";

const HVM = hvmStream({ ...GOLDEN_HVM, width: 8 });
const PV32 = pvStream({ ...GOLDEN_PV, width: 4, guestWidth: 4 });
/** 8 MiB, for what must happen in the middle. */
const LARGE = hvmStream({
  ...GOLDEN_HVM,
  width: 8,
  chunks: [batch(8, list(1024), fill(4096 * 1024, 1)), batch(8, list(1024), fill(4096 * 1024, 2))],
});
const wanted = (bytes: Uint8Array, to: "libxl" | "libxc") => convertBytes(bytes, { to }).bytes;

function list(count: number): number[] {
  return Array.from({ length: count }, (_, pfn) => pfn);
}

interface Place extends TemporaryFolder {
  readonly input: string;
  readonly output: string;
}

function place(bytes: Uint8Array): Place {
  const folder = temporaryFolder();
  const [input, output] = [join(folder.path, "in"), join(folder.path, "out")];
  writeFileSync(input, bytes);
  return { ...folder, input, output };
}

const convert = (...words: string[]): Ran => run(agentCommand("convert", ...words), {});

function shell(script: string, ...words: string[]): Ran {
  const agent = agentCommand().map((word) => `'${word}'`);
  const whole = script.replaceAll("AGENT", agent.join(" "));
  const child = spawnSync("/bin/sh", ["-c", whole, "sh", ...words], {
    encoding: "utf8",
    cwd: REPOSITORY,
    timeout: 30_000,
  });
  const { status, signal, stdout, stderr } = child;
  return { status, signal, stdout, stderr };
}

const same = (path: string, bytes: Uint8Array): boolean =>
  Buffer.compare(readFileSync(path), bytes) === 0;

describe("agent convert", () => {
  test("writes a file, and says what it was and is", () => {
    using at = place(HVM);
    const { status, stdout, stderr } = convert(at.input, "--to", at.output);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.replaceAll(`${at.path}/`, "")).toBe(
      "converted: in to out: legacy stream of an HVM guest by a 64-bit toolstack to a libxl " +
        "stream, libxc version 3\n  8.2 KiB read, 8.4 KiB written\n" +
        "  2 pages (2 with contents), 1 unmapped entries left out\n",
    );
    expect(same(at.output, wanted(HVM, "libxl"))).toBe(true);
    expect(readdirSync(at.path).toSorted()).toEqual(["in", "out"]);
  });

  test("--json is the documented report", () => {
    using at = place(PV32);
    const { stdout } = convert(at.input, "-o", at.output, "-f", "libxc", "--json");
    const report = v.parse(ConvertReportSchema, JSON.parse(stdout));
    expect(report).toMatchObject({
      input_format: "legacy",
      output_format: "libxc",
      toolstack_width: 32,
      guest: "pv",
      guest_width: 32,
      bytes_in: PV32.byteLength,
      pages: { sent: 5, with_data: 2, unmapped: 1 },
    });
    expect(same(at.output, wanted(PV32, "libxc"))).toBe(true);
  });

  test("converts from pipe to pipe, compressed input, and large streams", () => {
    using at = place(LARGE);
    const out = wanted(LARGE, "libxl");
    const pipes = 'cat "$1" | AGENT convert -q --to - | cat > "$2"';
    expect(shell(pipes, at.input, at.output).status).toBe(0);
    expect(same(at.output, out)).toBe(true);
    writeFileSync(at.input, Bun.zstdCompressSync(LARGE));
    expect(convert(at.input, "-q", "--to", at.output).status).toBe(0);
    expect(same(at.output, out)).toBe(true);
  });

  test("QEMU's record to the end of a pipe", () => {
    const stream = hvmStream({
      ...GOLDEN_HVM,
      width: 8,
      rest: qemuRecord("QemuDeviceModelRecord", fill(3_000_000, 7)),
    });
    using at = place(stream);
    const pipe = 'cat "$1" | AGENT convert -q --to "$2"';
    expect(shell(pipe, at.input, at.output).status).toBe(0);
    expect(same(at.output, wanted(stream, "libxl"))).toBe(true);
  });

  test("an xl save file stays one", () => {
    using at = place(encode(VALID_PLANS["xl, legacy HVM"]!()).bytes);
    expect(convert(at.input, "-q", "-o", at.output).status).toBe(0);
    const { status, stdout } = run(agentCommand("verify", at.output), {});
    expect(status).toBe(0);
    expect(stdout).toContain("xl save file, HVM guest");
  });

  test("version 3 to 2 where nothing is lost", () => {
    const libxl = encode(VALID_PLANS["libxl, converted HVM"]!()).bytes;
    using at = place(libxl);
    const { status, stdout } = convert(at.input, "--libxc-version", "2", "-o", at.output);
    expect([status, stdout]).toEqual([0, expect.stringContaining("libxc version 2")]);
    const report = run(agentCommand("verify", at.output), {});
    expect([report.status, report.stdout]).toEqual([0, expect.stringContaining("libxc v2")]);
    expect(readFileSync(at.output).byteLength).toBe(libxl.byteLength - 8); // STATIC_DATA_END.
  });

  const QUOTED = /^agent: Cannot convert "[^"]*"/;
  test.each([
    ["xl, PV 64", ["--libxc-version", "2"], 1, "X86_CPUID_POLICY at offset 0x"],
    ["libxc version 2, HVM", ["--libxc-version", "2"], 1, "it is version 2 already"],
    ["suspend image, legacy", ["--libxc-version", "2"], 1, "a suspend image around a legacy"],
    ["libxl, HVM", [], 2, "it is not a legacy stream but a libxl stream"],
    ["libxl, HVM", ["-f", "libxc"], 2, "only legacy streams change their framing"],
    ["libxl, HVM", ["-w", "64"], 2, "--width is for legacy streams"],
    ["legacy HVM, tool 64", ["-w", "32"], 3, "legacy header.width at offset 0x0: expected words"],
    ["legacy HVM, tool 64", ["-g", "pv"], 3, "legacy header.guest at offset 0x8: expected the"],
    ["legacy HVM without QEMU", [], 3, "legacy QEMU.signature"],
  ] as const)("refuses %s %p", (name, words, status, message) => {
    using at = place(encode(VALID_PLANS[name]!()).bytes);
    const ran = convert(at.input, "-o", at.output, ...words);
    expect([ran.status, ran.stdout]).toEqual([status, ""]);
    expect(ran.stderr).toMatch(QUOTED);
    expect(ran.stderr).toContain(message);
    expect(readdirSync(at.path)).toEqual(["in"]);
  });
});

describe("the output appears whole or not at all", () => {
  test("a stream that is cut short", () => {
    using at = place(HVM.subarray(0, -1));
    writeFileSync(at.output, "old");
    const { status, stderr } = convert(at.input, "--to", at.output);
    expect([status, stderr]).toEqual([3, expect.stringContaining("found the end of the input")]);
    expect(readFileSync(at.output, "utf8")).toBe("old");
    expect(readdirSync(at.path).toSorted()).toEqual(["in", "out"]);
  });

  test("the input itself, by any name", () => {
    using at = place(HVM);
    linkSync(at.input, at.output);
    const named = convert(at.input, "--to", at.output);
    expect([named.status, named.stderr]).toEqual([1, expect.stringContaining("it is the input")]);
    const redirected = shell('AGENT convert --to - < "$1" 1<> "$1"', at.input);
    expect(redirected.status).toBe(1);
    expect(redirected.stderr).toContain('Cannot write "standard output": it is the input');
    expect(same(at.input, HVM)).toBe(true);
  });

  test.skipIf(NEEDS_MOUNT.skip)(NEEDS_MOUNT.title("a full disk, and a read-only one"), () => {
    using at = place(LARGE);
    using disk = smallDisk(4 * 1024 * 1024);
    const [old, full] = [join(disk!.path, "old"), join(disk!.path, "full")];
    writeFileSync(old, "old");
    for (const path of [old, full]) {
      const { status, stderr } = convert(at.input, "--to", path);
      expect([status, stderr]).toEqual([1, expect.stringContaining("the disk is full")]);
    }
    disk!.makeReadOnly();
    const { status, stderr } = convert(at.input, "--to", old);
    expect([status, stderr]).toEqual([1, expect.stringContaining("the file system is read-only")]);
    expect(readdirSync(disk!.path)).toEqual(["old"]);
    expect(readFileSync(old, "utf8")).toBe("old");
  });

  test("a reader that goes away, and a device without room", () => {
    using at = place(LARGE);
    const gone = shell('(AGENT convert --to - "$1"; echo "status $?" >&2) | head -c 9', at.input);
    expect(gone.stderr).toContain("the reader has gone");
    expect(gone.stderr).toContain("status 1");
    const full = convert(at.input, "--to", "/dev/full");
    expect([full.status, full.stderr]).toEqual([1, expect.stringContaining("the disk is full")]);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("%s in the middle", async (signal) => {
    using at = place(LARGE);
    writeFileSync(at.output, "old");
    const words = agentCommand("convert", "--rate", "4M", at.input, "--to", at.output);
    const child = spawn(words[0]!, words.slice(1), { stdio: "ignore" });
    await Bun.sleep(700);
    child.kill(signal);
    const end = await new Promise((resolve) => void child.on("close", (...all) => resolve(all)));
    expect(end).toEqual([null, signal]);
    expect(readdirSync(at.path).toSorted()).toEqual(["in", "out"]);
    expect(readFileSync(at.output, "utf8")).toBe("old");
  });
});

describe("convert-legacy-stream", () => {
  /** Started under that name, as through a link. */
  const byName = (...words: string[]): Ran => {
    const quoted = [...agentCommand(), ...words].map((word) => `'${word}'`).join(" ");
    const script = `exec -a convert-legacy-stream ${quoted}`;
    const child = spawnSync("bash", ["-c", script], { encoding: "utf8", timeout: 30_000 });
    const { status, signal, stdout, stderr } = child;
    return { status, signal, stdout, stderr };
  };

  test("as libxl runs it, a file left where the stream ends", () => {
    using at = place(cat(HVM, text("libxl reads on here")));
    const [input, output] = [openSync(at.input, "r"), openSync(at.output, "w")];
    const told = ["--width", "64", "--guest", "hvm", "--format", "libxl"];
    const ran = run(agentCommand("--in", "3", "--out", "4", ...told), {
      descriptors: [input, output],
    });
    expect(ran).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(same(at.output, wanted(HVM, "libxl"))).toBe(true);
    const rest = Buffer.alloc(64);
    expect(rest.toString("utf8", 0, readSync(input, rest))).toBe("libxl reads on here");
    for (const fd of [input, output]) closeSync(fd);
  });

  test("as xenopsd runs it, the QEMU record left in the pipe, every byte of it", () => {
    const record = qemuRecord("DeviceModelRecord0002", text("QEVM"));
    using at = place(hvmStream({ ...GOLDEN_HVM, width: 4, rest: record }));
    const told = "--width 32 --skip-qemu --guest-type hvm --syslog --verbose";
    const script = `cat "$1" | { AGENT --in 0 --out 3 ${told} 3> "$2"; cat > "$3"; }`;
    const rest = join(at.path, "rest");
    const { status, stderr } = shell(script, at.input, at.output, rest);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const bare = hvmStream({ ...GOLDEN_HVM, width: 4, rest: new Uint8Array(0) });
    expect(same(at.output, wanted(bare, "libxc"))).toBe(true);
    expect(same(rest, record)).toBe(true);
  });

  test.each([
    // What is said                              status, stdout, stderr
    [["-w", "64", "-g", "hvm"], 1, "", "Usage: "],
    [["-h"], 0, "--guest-type", ""],
    [["--version"], 0, "1\n", ""],
    [["--what"], 2, "", "there is no option"],
    [["-w", "65"], 2, "", "wanted 32 or 64"],
    [["-i", "/none", "-o", "OUT", "-w", "64", "-g", "pv"], 1, "", 'Cannot open "/none"'],
    [
      ["-i", "IN", "-o", "OUT", "-w", "64", "-g", "pv"],
      1,
      "",
      "Stream Error:\nlegacy header.guest",
    ],
    [["-i", "IN", "-o", "OUT", "-w", "64", "-g", "hvm", "-x"], 1, "", 'expected "Xen saved domain'],
    [["-i", "IN", "-o", "OUT", "-w", "64", "-g", "hvm", "-v"], 0, "P2M Size: 0x1000\n", ""],
  ] as const)("%p", (words, status, stdout, stderr) => {
    using at = place(HVM);
    const paths: Readonly<Record<string, string>> = { IN: at.input, OUT: at.output };
    const ran = byName(...words.map((word) => paths[word] ?? word));
    expect([ran.status, ran.stdout, ran.stderr]).toEqual([
      status,
      stdout === "" ? "" : expect.stringContaining(stdout),
      stderr === "" ? "" : expect.stringContaining(stderr),
    ]);
    expect(readdirSync(at.path)).toHaveLength(words.includes("-v" as never) ? 2 : 1);
  });

  test("-x with an xl header", () => {
    using at = place(encode(VALID_PLANS["xl, legacy HVM"]!()).bytes);
    const told = ["-w", "64", "-g", "hvm", "-f", "libxl", "-x"];
    expect(byName("-i", at.input, "-o", at.output, ...told).status).toBe(0);
    expect(run(agentCommand("verify", "-f", "xl", at.output), {}).status).toBe(0);
  });
});

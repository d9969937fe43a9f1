// agent squash as a process: files, pipes and compressed input, what it prints, and an output that
// appears whole or not at all, whatever happens.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { finalState } from "../helpers/final-state.ts";
import { randomNumbers } from "../helpers/pieces.ts";
import { randomStream } from "../helpers/random-streams.ts";
import { agentCommand, type Ran, run } from "../helpers/run.ts";
import { NEEDS_MOUNT, smallDisk } from "../helpers/small-disk.ts";
import { checkpointedPlan, PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder, type TemporaryFolder } from "../helpers/temporary.ts";

setDefaultTimeout(60_000); // Much is written to disk, which other tests may keep busy.

const REMUS = encode(checkpointedPlan(PV64, { checkpoints: 3, isColo: false })).bytes;
/** Its last checkpoint as a plain stream, by the model. */
const WANTED = finalState(REMUS, 3);

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

const squash = (...words: string[]): Ran => run(agentCommand("squash", ...words), {});

function shell(script: string, ...words: string[]): Ran {
  const command = ["-c", script, "sh", ...words];
  const { status, signal, stdout, stderr } = spawnSync("/bin/sh", command, { encoding: "utf8" });
  return { status, signal, stdout, stderr };
}
/** The words of the command, quoted. */
const AGENT = agentCommand("squash")
  .map((word) => `'${word}'`)
  .join(" ");

const expectWanted = (bytes: Uint8Array): void => {
  const found = finalState(bytes, undefined);
  expect(found.pages).toEqual(WANTED.pages);
  expect(found.records).toEqual(WANTED.records);
};

describe("agent squash", () => {
  test("writes a file and says what it took", () => {
    using at = place(REMUS);
    const { status, stdout, stderr } = squash(at.input, "--to", at.output);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe(
      `squashed: ${at.input} to ${at.output}: PV guest, at checkpoint 3 of 3 (Remus)\n` +
        "  26 pages sent, 24 kept (3 with contents)\n" +
        `  ${Math.round(REMUS.byteLength / 1024)} KiB of stream, 28 KiB of image\n`,
    );
    expectWanted(readFileSync(at.output));
  });

  test("tells a program as JSON", () => {
    using at = place(REMUS);
    const { stdout } = squash(at.input, "-o", at.output, "--json", "--at", "2");
    const report = JSON.parse(stdout);
    expect({ ...report, dropped_bytes: 0, end_offset: 0, input_bytes: 0 }).toEqual({
      input: at.input,
      output: at.output,
      format: "xl",
      compression: null,
      kind: "remus",
      guest_type: "pv",
      libxc_version: 3,
      checkpoint: 2,
      checkpoints: 3,
      end_offset: 0,
      dropped_bytes: 0,
      pages: { sent: 25, sent_with_data: 4, kept: 24, kept_with_data: 3, only_compared: 0 },
      optional_records: 0,
      input_bytes: 0,
      output_bytes: readFileSync(at.output).byteLength,
    });
    expect(report.end_offset + report.dropped_bytes).toBe(REMUS.byteLength);
  });

  test("is quiet when asked to be", () => {
    using at = place(REMUS);
    const { status, stdout, stderr } = squash("-q", at.input, "--to", at.output);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  test("keeps a stream from a pipe in a file, says so, and leaves what is behind it", () => {
    const plain = encode(xlPlan(PV64)).bytes;
    using at = place(new Uint8Array([...plain, ...new TextEncoder().encode("behind\n")]));
    const script = `cat "$1" | { ${AGENT} --to "$2"; cat >&2; }`;
    const { stdout, stderr } = shell(script, at.input, at.output);
    expect(stdout).toStartWith(`squashed: standard input to ${at.output}: PV guest, at the end`);
    expect(stderr).toBe(
      `agent: standard input is not a file: keeping the stream in "${at.path}" meanwhile\nbehind\n`,
    );
    expect(Buffer.compare(readFileSync(at.output), plain)).toBe(0);
    expect(readdirSync(at.path).sort()).toEqual(["in", "out"]);
  });

  test("expands compressed input", () => {
    using at = place(Bun.zstdCompressSync(REMUS));
    const { status, stderr } = squash(at.input, "--to", at.output, "--spool", at.path);
    expect(status).toBe(0);
    expect(stderr).toContain(`is compressed: keeping the stream in "${at.path}" meanwhile`);
    expectWanted(readFileSync(at.output));
  });

  test("refuses compressed input that is damaged", () => {
    const packed = Bun.gzipSync(new Uint8Array(REMUS));
    packed[packed.byteLength >> 1]! ^= 0x55;
    using at = place(packed);
    const { status, stderr } = squash("-q", at.input, "--to", at.output);
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr:
        `agent: Cannot squash "${at.input}": input gzip.data at offset 0x0: ` +
        "expected whole gzip data, found damaged or cut short\n",
    });
    expect(readdirSync(at.path)).toEqual(["in"]);
  });

  test("writes to standard output, and then tells on standard error", () => {
    using at = place(REMUS);
    const script = `${AGENT} --to - < "$1" > "$2"`;
    const { status, stderr } = shell(script, at.input, at.output);
    expect(status).toBe(0);
    expect(stderr).toStartWith("squashed: standard input to standard output: PV guest");
    expectWanted(readFileSync(at.output));
  });

  test("squashes pipe to pipe", () => {
    using at = place(REMUS);
    const script = `cat "$1" | ${AGENT} -q --to - | cat > "$2"`;
    expect(shell(script, at.input, at.output).stderr).toBe("");
    expectWanted(readFileSync(at.output));
  });

  test.each([
    [["--to", "x", "--at", "0"], /--at: wanted a whole number of at least 1, found "0"$/],
    [["--to", "x", "a", "b"], /operands: wanted one stream$/],
    [["a"], /^agent: Cannot run squash: name the output with --to FILE, or --to -$/],
    [["--to", "-", "--json", "a"], /--json and the image both go to standard output$/],
  ] as const)("refuses %p", (words, message) => {
    const { status, stderr } = squash(...words);
    expect(stderr.trim()).toMatch(message);
    expect(status).toBe(2);
  });
});

describe("the output appears whole or not at all", () => {
  /** It failed, the old file stands, and nothing else does. */
  function expectUntouched(at: Place, ran: Ran, status: number, message: RegExp): void {
    expect(ran.stderr).toMatch(message);
    expect(ran.status).toBe(status);
    expect(readFileSync(at.output, "utf8")).toBe("old");
    expect(readdirSync(at.path).sort()).toEqual(["in", "out"]);
  }

  test("a stream that cannot be squashed", () => {
    using at = place(REMUS.subarray(0, 20_000));
    writeFileSync(at.output, "old");
    const ran = squash(at.input, "--to", at.output);
    expectUntouched(
      at,
      ran,
      3,
      /^agent: Cannot squash ".*in": libxc .* found the end of the input/,
    );
  });

  test("the input itself", () => {
    using at = place(REMUS);
    const { status, stderr } = squash(at.input, "--to", at.input);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `agent: Cannot write "${at.input}": it is the input\n`,
    });
    expect(Buffer.compare(readFileSync(at.input), REMUS)).toBe(0);
  });

  test.skipIf(process.getuid?.() !== 0)("a file that may not be written", () => {
    using at = place(REMUS);
    writeFileSync(at.output, "old");
    for (const path of [at.path, at.input]) chmodSync(path, 0o755);
    chmodSync(at.output, 0o444);
    const ran = run(agentCommand("squash", at.input, "--to", at.output), { uid: 65534 });
    expectUntouched(at, ran, 1, /^agent: Cannot write ".*out": .* EACCES/);
  });

  test("a device without room", () => {
    using at = place(REMUS);
    const { status, stderr } = squash(at.input, "--to", "/dev/full");
    expect(stderr).toMatch(/^agent: Cannot write "\/dev\/full": the disk is full: /);
    expect(status).toBe(1);
  });

  test.skipIf(NEEDS_MOUNT.skip)(NEEDS_MOUNT.title("a full disk, and a read-only one"), () => {
    using at = place(REMUS);
    using disk = smallDisk(16 * 1024);
    const output = join(disk!.path, "out");
    writeFileSync(output, "old");
    const full = squash(at.input, "--to", output);
    expect(full.stderr).toMatch(/^agent: Cannot write ".*out": the disk is full: /);
    const spool = shell(
      `cat "$1" | ${AGENT} -q --to "$2" --spool "$3"`,
      at.input,
      at.output,
      disk!.path,
    );
    expect(spool.stderr).toMatch(
      /^agent: Cannot write "the copy of standard input in .*": the disk is full: /,
    );
    disk!.makeReadOnly();
    const readOnly = squash(at.input, "--to", output);
    expect(readOnly.stderr).toMatch(/^agent: Cannot write ".*out": the file system is read-only: /);
    expect([full.status, spool.status, readOnly.status]).toEqual([1, 1, 1]);
    expect(readFileSync(output, "utf8")).toBe("old");
    expect(readdirSync(disk!.path)).toEqual(["out"]);
    expect(readdirSync(at.path)).toEqual(["in"]);
  });

  test("a reader that goes away", () => {
    const options = { guest: "pv", checkpoints: 0, isColo: false, version: 3 } as const;
    const live = randomStream(randomNumbers(1), { ...options, framing: "xl" });
    using at = place(encode(live).bytes); // More than a pipe holds.
    const { stderr } = shell(`${AGENT} --to - "$1" | head -c 1000 > /dev/null`, at.input);
    expect(stderr).toMatch(/^agent: Cannot write "standard output": the reader has gone: /);
  });

  test("killed in the middle", async () => {
    using at = place(REMUS);
    writeFileSync(at.output, "old");
    const fifo = join(at.path, "fifo");
    expect(spawnSync("mkfifo", [fifo]).status).toBe(0);
    const child = Bun.spawn(agentCommand("squash", fifo, "--to", at.output), { stderr: "pipe" });
    const fd = openSync(fifo, "r+"); // Not "w": that would wait for the reader.
    writeFileSync(fd, REMUS.subarray(0, 20_000)); // It waits for the rest, with its files open.
    const said = (await child.stderr.getReader().read()).value;
    expect(new TextDecoder().decode(said)).toContain("is not a file: keeping the stream");
    child.kill("SIGKILL");
    await child.exited;
    closeSync(fd);
    expect(readFileSync(at.output, "utf8")).toBe("old");
    expect(readdirSync(at.path).sort()).toEqual(["fifo", "in", "out"]);
  });
});

test("a descriptor may be named on both sides", () => {
  using at = place(REMUS);
  const [input, output] = [openSync(at.input, "r"), openSync(at.output, "w+")];
  const { status } = run(agentCommand("squash", "-q", "3", "--to", "4"), {
    descriptors: [input, output],
  });
  const bytes = new Uint8Array(100_000);
  const size = readSync(output, bytes, 0, bytes.byteLength, 0);
  closeSync(input);
  closeSync(output);
  expect(status).toBe(0);
  expectWanted(bytes.subarray(0, size));
});

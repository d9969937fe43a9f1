// A guest of libxl that is restored with its disks, as far as it goes without Xen: the save file is
// a real one, with disks put into its config; "xl" keeps what it is told. The real xl does it in
// test/dom0/snapshot.sh.

import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseState } from "../../lib/snapshot/xl-toolstack.ts";
import { capturePath, captureTitle } from "../helpers/captures.ts";
import { makeImage } from "../helpers/disk-guest.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const HEAD_BYTES = 48;
const LIMIT_MS = 60_000;
const BIG = "18446744073709551615";
const capture = capturePath("hvm40-physmap.xl-save");
const title = (text: string) => captureTitle(text, capture);

test.each([
  ["hvm40                                        1    39     1     -b----      18.7", "running"],
  ["hvm 40                                       1    39     1     ------       8.7", "running"],
  ["hvm40                                        1    39     1     --p---      34.9", "paused"],
  ["hvm40                                        1    39     1     ---s--      34.9", "suspended"],
  ["hvm40                                        1    39     1     ----c-      34.9", "ended"],
  ["(null)                                       1     0     1     --ps-d      34.9", "ended"],
  ["hvm40", undefined],
] as const)("xl list %j", (line, state) => {
  const head = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n";
  expect(parseState(`${head}${line}\n`)).toBe(state);
});

function partsOf(path: string) {
  const bytes = readFileSync(path);
  const streamAt = HEAD_BYTES + bytes.readUInt32LE(44);
  const text = bytes.toString("utf8", HEAD_BYTES + 4, streamAt).replace(/\0+$/, "");
  const config = JSON.parse(text) as Record<string, unknown>;
  return { bytes, config, stream: bytes.subarray(streamAt) };
}

/** The capture with two disks in its config. */
function saveFile(path: string, disks: readonly string[]): void {
  const { bytes, config, stream } = partsOf(capture!); // Else the test is skipped.
  config["disks"] = disks.map((disk, index) => ({
    pdev_path: disk,
    vdev: `xvd${"ab"[index]}`,
    format: "qcow2",
    readwrite: 1,
  }));
  // A number as libxl writes its defaults; a double would round it.
  const text = JSON.stringify({ ...config, big: "BIG" }).replace('"BIG"', BIG);
  const json = Buffer.from(`${text}\0`);
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES + 4));
  head.writeUInt32LE(json.byteLength + 4, 44);
  head.writeUInt32LE(json.byteLength, HEAD_BYTES);
  writeFileSync(path, Buffer.concat([head, json, stream]));
}

/** Two disks with snapshot "s1", the memory, and a program "xl" that ends restore with `status`. */
async function stage(folder: string, status: number) {
  const xl = `#!/bin/sh
echo "$@" >>"${folder}/calls"
case $1 in
list) [ -e "${folder}/domain" ] || { echo "Error: Domain '$2' does not exist." >&2; exit 1; }
  echo "hvm40  3  39  1  $(cat "${folder}/domain")  1.0" ;;
restore) cat "$3" >"${folder}/received"; echo "no memory left" >&2
  [ ${status} = 0 ] && echo "--p---" >"${folder}/domain"; exit ${status} ;;
unpause) echo "-b----" >"${folder}/domain" ;;
esac
`;
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/xl"), xl);
  chmodSync(join(folder, "bin/xl"), 0o755);
  const bases = ["a", "b"].map((name) => makeImage(join(folder, `${name}.qcow2`), "qcow2").path);
  const words = bases.map((path) => `qcow2:${path}`);
  expect(agent(folder, "create", ...words, "--name", "s1").status).toBe(0);
  const tops = bases.map((path) => path.replace(".qcow2", ".s1.qcow2"));
  const memory = join(folder, "guest.s1.memory");
  saveFile(memory, bases);
  return { tops, memory, words: tops.map((path) => `qcow2:${path}`) };
}

function agent(folder: string, ...words: string[]) {
  const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` };
  const journals = ["--journals", join(folder, "journals")];
  return run(agentCommand("snapshot", ...words, ...journals), { env });
}

const inodes = (paths: readonly string[]) => paths.map((path) => statSync(path).ino);
const callsOf = (folder: string): string[] =>
  readFileSync(join(folder, "calls"), "utf8")
    .split("\n")
    .filter((line) => !line.startsWith("list") && line !== "");

describe("revert --memory", () => {
  test.skipIf(capture === undefined)(
    title("xl is given the same stream with the new tops in its config"),
    async () => {
      using own = temporaryFolder();
      const { path: folder } = own;
      const { tops, memory, words } = await stage(folder, 0);
      const ran = agent(folder, "revert", ...words, "--name", "s1", "--memory", memory);
      expect([ran.status, ran.stderr]).toEqual([0, ""]);
      expect(callsOf(folder)).toEqual(["restore -p /proc/self/fd/0", "unpause hvm40"]);
      const received = join(folder, "received");
      expect(run(agentCommand("verify", "-q", received), {}).status).toBe(0);
      const wanted = join(folder, "wanted");
      saveFile(wanted, tops);
      const [got, asked] = [partsOf(received), partsOf(wanted)];
      expect(got.config).toEqual(asked.config);
      expect(got.bytes.includes(`"big":${BIG}`)).toBe(true);
      expect(got.stream.equals(asked.stream)).toBe(true);
    },
    LIMIT_MS,
  );

  test.skipIf(capture === undefined)(
    title("a guest that xl cannot restore: the disks are as they were, and xl's words are told"),
    async () => {
      using own = temporaryFolder();
      const { path: folder } = own;
      const { tops, memory, words } = await stage(folder, 3);
      const before = inodes(tops);
      const ran = agent(folder, "revert", ...words, "--name", "s1", "--memory", memory);
      expect(ran.status).toBe(1);
      expect(ran.stderr).toContain("xl restore ended with 3: no memory left");
      expect(inodes(tops)).toEqual(before);
      expect(existsSync(join(folder, "domain"))).toBe(false);
    },
    LIMIT_MS,
  );

  test.skipIf(capture === undefined)(
    title("refused: a guest that is there, damaged memory, a disk that is not in the group"),
    async () => {
      using own = temporaryFolder();
      const { path: folder } = own;
      const { tops, memory, words } = await stage(folder, 0);
      const before = inodes(tops);
      const revert = (disks: readonly string[], file: string) => {
        const { status, stderr } = agent(
          folder,
          ...["revert", ...disks, "--name", "s1", "--memory", file],
        );
        return `${status} ${stderr}`;
      };
      expect(revert(words.slice(1), memory)).toContain('a.qcow2", belongs to none of the disks');
      const damaged = join(folder, "damaged");
      writeFileSync(damaged, readFileSync(memory).subarray(0, -5000));
      expect(revert(words, damaged)).toContain(`the saved memory "${damaged}" is bad`);
      expect(revert(words, join(folder, "nowhere"))).toContain("ENOENT");
      expect(revert(words, tops[0]!)).toContain("is bad: save_header at 0");
      writeFileSync(join(folder, "domain"), "-b----");
      expect(revert(words, memory)).toContain("xl destroy hvm40");
      expect(callsOf(folder)).toEqual([]);
      expect(inodes(tops)).toEqual(before);
    },
    LIMIT_MS,
  );
});

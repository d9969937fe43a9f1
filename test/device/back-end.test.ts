// Saving and loading against a back end that does one thing wrong: each is one clear error within
// the time that was given, nothing is written, and no descriptor is left open.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { loadState, saveState } from "../../lib/device/transfer.ts";
import { stateFile, StateFile } from "../../lib/device/state-file.ts";
import { openDescriptors, openedSince } from "../helpers/open-descriptors.ts";
import { agentCommand, programCommand, run } from "../helpers/run.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

setDefaultTimeout(60_000); // For a busy machine: each has processes of its own.

const STATE_BYTES = 3_000_000; // More than a pipe holds.
const WAIT_MS = 300;
const folder = temporaryFolder();
const children: Bun.Subprocess[] = [];

async function backEnd(mode: string): Promise<string> {
  const path = join(folder.path, `${mode}-${children.length}.sock`);
  const command = programCommand("vhost-back-end", path, mode, String(STATE_BYTES));
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  children.push(child);
  await child.stdout.getReader().read(); // It listens.
  return path;
}

let good = "";
beforeAll(async () => {
  good = await backEnd("good");
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map(({ exited }) => exited));
  folder[Symbol.dispose]();
});

const options = (path: string) => ({ path, waitMs: WAIT_MS, losesConnections: false });

const FAULTS = [
  ["silent", "did not answer GET_FEATURES within 300 ms"],
  ["closes", "a guest's front end is attached to it"],
  ["other-answer", "wanted one to GET_FEATURES (1), found one to SET_FEATURES (2)"],
  ["no-reply-flag", "wanted a reply, found flags 0x1"],
  ["long-answer", "wanted 8 bytes of payload, found 16"],
  ["unasked", "wanted one to GET_FEATURES (1), found one to GET_QUEUE_NUM (17)"],
  ["fd-in-answer", "wanted no descriptor in its answer, found one"],
  ["no-device-state", "without device state (bit 19)"],
  ["refuses", "it answered 0x101 with 0 descriptors"],
] as const;
const SAVE_FAULTS = [
  ...FAULTS,
  ["never-ends", "nothing came for 300 ms after 0 bytes, and no end"],
  ["dies-in-save", "closed the connection instead of answering CHECK_DEVICE_STATE"],
  ["bad-check", "the transfer failed with 61 (ENODATA): the state ended too early"],
] as const;
const LOAD_FAULTS = [
  ...FAULTS,
  ["never-reads", "the back end took nothing for 300 ms"],
  ["dies-in-load", "the reader has gone"],
  ["bad-check", "the transfer failed with 61 (ENODATA): the state ended too early"],
] as const;

describe("a back end that", () => {
  test.each(SAVE_FAULTS)("%s, asked to save, is told in one error", async (mode, message) => {
    const path = await backEnd(mode);
    const before = openDescriptors();
    {
      using file = new StateFile(undefined);
      expect(() => saveState(options(path), file.fd, () => {})).toThrow(message);
    }
    expect(openedSince(before)).toEqual([]);
  });

  test.each(LOAD_FAULTS)("%s, asked to load, is told in one error", async (mode, message) => {
    const path = await backEnd(mode);
    const before = openDescriptors();
    {
      using file = stateFile(new Uint8Array(STATE_BYTES));
      expect(() => loadState(options(path), file.fd, file.bytes)).toThrow(message);
    }
    expect(openedSince(before)).toEqual([]);
  });

  test("is good gives and takes its state, many times, without leaking", () => {
    using file = new StateFile(undefined);
    saveState(options(good), file.fd, () => {});
    const before = openDescriptors();
    for (let round = 0; round < 20; round++) {
      using other = new StateFile(undefined);
      const { bytes, kind } = saveState(options(good), other.fd, () => {});
      expect({ bytes, kind }).toEqual({ bytes: STATE_BYTES, kind: "unknown" });
      other.rewind();
      expect(loadState(options(good), other.fd, bytes).bytes).toBe(STATE_BYTES);
    }
    expect(openedSince(before)).toEqual([]);
  });
});

describe("agent device save and load", () => {
  const agent = (...words: string[]) => run(agentCommand("device", ...words), { cwd: folder.path });

  test("writes a file that only its owner may read, and refuses to write over it", () => {
    const saved = agent("save", good, "state", "--json");
    expect(saved).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(saved.stdout)).toMatchObject({ bytes: STATE_BYTES, kind: "unknown" });
    const path = join(folder.path, "state");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path).subarray(0, 6).toString()).toBe("state ");
    expect(agent("save", good, "state").status).toBe(1);
    expect(agent("save", "--force", good, "state").status).toBe(0);
    expect(agent("load", good, "state")).toMatchObject({ status: 0, stderr: "" });
    expect(agent("inspect", "state").stdout).toContain("73 74 61 74 65 20");
  });

  test("leaves no file after a failure, but what is whole", async () => {
    const path = await backEnd("bad-check");
    const failed = agent("save", path, "whole");
    expect(failed.status).toBe(1);
    expect(failed.stderr).toContain("the transfer failed with 61");
    expect(failed.stderr).toContain("what it gave is kept");
    expect(statSync(join(folder.path, "whole")).size).toBe(STATE_BYTES);
    const silent = await backEnd("never-ends");
    expect(agent("save", "--timeout", "300", silent, "never").status).toBe(1);
    expect(existsSync(join(folder.path, "never"))).toBe(false);
  });

  test("says what is wrong with a socket that is none", () => {
    expect(agent("save", "missing.sock", "x").stderr).toContain('connect on "missing.sock" failed');
    expect(agent("load", good, "missing").stderr).toContain('Cannot open "missing"');
    expect(agent("swap", good, "--to", "x").stderr).toContain("is no control socket");
  });
});

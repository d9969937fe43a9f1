// Replacing a program: arguments, environment, kept descriptors, failures.

import { expect, test } from "bun:test";
import {
  cleanEnvironment,
  closeOnExec,
  createMemfd,
  Fd,
  isClosedOnExec,
  keepOnExec,
  replaceProgram,
  replaceProgramByFd,
} from "../../lib/sys/index.ts";
import { programCommand, run } from "../helpers/run.ts";
import { messageOf } from "../helpers/system-error.ts";

const NOTHING = { argv: ["x"], environment: {} };

test("what steers the runtime is dropped from an environment, and nothing else", () => {
  const environment = {
    PATH: "/bin",
    BUN_BE_BUN: "1",
    BUN_OPTIONS: "--preload x",
    NODE_OPTIONS: "--require x",
    NODE_PATH: "/x",
    BUNDLE: "kept",
    EMPTY: "",
    ABSENT: undefined,
  };
  expect(cleanEnvironment(environment)).toEqual({ PATH: "/bin", BUNDLE: "kept", EMPTY: "" });
});

test("the close-on-exec flag is set, cleared and read", () => {
  using file = createMemfd("flags");
  keepOnExec(file);
  expect(isClosedOnExec(file)).toBe(false);
  closeOnExec(file);
  expect(isClosedOnExec(file)).toBe(true);
  const closed = new Fd(0x7fff_fff0, "a closed descriptor");
  for (const use of [isClosedOnExec, keepOnExec, closeOnExec]) {
    expect(messageOf(() => use(closed))).toBe(
      "Cannot use a closed descriptor: fcntl on a closed descriptor failed with EBADF (errno 9)",
    );
  }
});

test("a failed exec returns with the reason, and this process goes on", () => {
  expect(messageOf(() => replaceProgram("/absent", NOTHING))).toBe(
    'Cannot execute "/absent": execve on "/absent" failed with ENOENT (errno 2)',
  );
  expect(messageOf(() => replaceProgram("/dev/null", NOTHING))).toBe(
    'Cannot execute "/dev/null": execve on "/dev/null" failed with EACCES (errno 13)',
  );
  using empty = createMemfd("empty");
  expect(messageOf(() => replaceProgramByFd(empty, NOTHING))).toBe(
    `Cannot execute "${empty.name}": execveat on ${empty.name} failed with ENOEXEC (errno 8)`,
  );
});

test("more arguments than the kernel takes are refused before it is asked", () => {
  const argv = ["x", "y".repeat(2 * 1024 * 1024)];
  expect(messageOf(() => replaceProgram("/bin/true", { argv, environment: {} }))).toBe(
    'Cannot execute "/bin/true": wanted at most 2097152 bytes of arguments and environment, ' +
      "found 2097192",
  );
});

test.each(["path", "descriptor"])(
  "executing by %s hands over arguments and environment as they are",
  (way) => {
    const ran = run(programCommand("exec-env", way), { env: { PATH: "/usr/bin:/bin" } });
    expect(ran.stderr).toBe("");
    expect(ran.stdout).toBe("[one] [] [größe = 1]\nA=1\nB=two words\n");
  },
);

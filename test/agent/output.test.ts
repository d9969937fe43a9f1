// Where agent cannot write its results: a full disk is one clear error, a reader that has gone is
// none, and standard error that takes nothing leaves the exit status alone.

import { describe, expect, test } from "bun:test";
import { agentCommand, run } from "../helpers/run.ts";

/** `agent WORDS` with redirections of a shell. */
const redirected = (words: string, redirections: string) =>
  run(["sh", "-c", `"$@" ${words} ${redirections}`, "sh", ...agentCommand()], {});

const FULL =
  'agent: Cannot write "standard output": the disk is full: ' +
  "write on standard output failed with ENOSPC (errno 28)\n";

describe("results", () => {
  test.each(["--help", "--version", "formats xl", "man", "completion bash", "verify /dev/null"])(
    "agent %s on a full disk",
    (words) => {
      const { status, stderr } = redirected(words, ">/dev/full");
      expect({ status, stderr }).toEqual({ status: 1, stderr: FULL });
    },
  );

  test.each([">/dev/full 2>&1", ">&- 2>&-"])("and nobody to tell, by %s", (redirections) => {
    expect(redirected("none", redirections).status).toBe(2);
    expect(redirected("verify ./none", redirections).status).toBe(1);
  });

  test("a reader that has gone", () => {
    const script = '{ "$@" formats; echo "status $?" >&2; } | :';
    const { stderr } = run(["bash", "-c", script, "bash", ...agentCommand()], {});
    expect(stderr).toBe("status 0\n");
  });
});

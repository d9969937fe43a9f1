// agent inspect --html: where the page goes, and what goes wrong before anything has changed.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentCommand, run } from "../helpers/run.ts";
import { HVM, xlPlan } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const STREAM = encode(xlPlan(HVM)).bytes;

interface Place extends Disposable {
  readonly stream: string;
  readonly page: string;
  readonly files: () => string[];
}

function place(bytes: Uint8Array): Place {
  const folder = temporaryFolder();
  const stream = join(folder.path, "stream");
  writeFileSync(stream, bytes);
  return {
    stream,
    page: join(folder.path, "page.html"),
    files: () => readdirSync(folder.path).toSorted(),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

const inspect = (...words: string[]) => run(agentCommand("inspect", ...words), {});
const isPage = (text: string): boolean =>
  text.startsWith("<!DOCTYPE html>\n") && text.trimEnd().endsWith("</html>");

describe("agent inspect --html", () => {
  test("writes a page, contents looked at, and prints nothing", () => {
    using at = place(STREAM);
    const ran = inspect(at.stream, "--html", at.page);
    expect(ran).toEqual({ status: 0, signal: null, stdout: "", stderr: "" });
    const page = readFileSync(at.page, "utf8");
    expect(isPage(page)).toBe(true);
    expect(page.includes('id="map-contents-t"')).toBe(true);
    expect(at.files()).toEqual(["page.html", "stream"]);
  });

  test("writes the same page each time, in place of an older one, or to standard output", () => {
    using at = place(STREAM);
    writeFileSync(at.page, "old");
    inspect(at.stream, "--html", at.page);
    const { status, stdout } = inspect(at.stream, "--html", "-");
    expect({ status, isSame: stdout === readFileSync(at.page, "utf8") }).toEqual({
      status: 0,
      isSame: true,
    });
  });

  test("goes with --json, --record and --pages", () => {
    using at = place(STREAM);
    const { stdout } = inspect(
      at.stream,
      "--html",
      at.page,
      "--json",
      "--record",
      "4",
      "-p",
      "0-1",
    );
    expect(JSON.parse(stdout).record.number).toBe(4);
    const page = readFileSync(at.page, "utf8");
    for (const id of ["record", "versions"]) {
      expect({ id, isThere: page.includes(`<section id="${id}"`) }).toEqual({ id, isThere: true });
    }
  });

  test("writes what could be read of a stream that was cut, with the status of bad data", () => {
    using at = place(STREAM.subarray(0, STREAM.length - 200));
    const { status, stdout } = inspect(at.stream, "--html", at.page);
    expect(status).toBe(3);
    expect(stdout).toContain("cut short");
    expect(isPage(readFileSync(at.page, "utf8"))).toBe(true);
  });

  test("refuses to write over its input, and leaves it alone", () => {
    using at = place(STREAM);
    const { status, stderr } = inspect(at.stream, "--html", at.stream);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining("input") });
    expect(readFileSync(at.stream).equals(STREAM)).toBe(true);
  });

  test.each([[["--json"]], [["--section", "guest"]], [["--record", "1"]]])(
    "refuses two results on standard output: with %j",
    (words) => {
      using at = place(STREAM);
      const { status, stderr } = inspect(at.stream, "--html", "-", ...words);
      expect(status).toBe(2);
      expect(stderr).toContain("two results would go to standard output");
    },
  );

  test("says at once where a page cannot be written", () => {
    using at = place(STREAM);
    const { status, stderr } = inspect(at.stream, "--html", join(at.stream, "page.html"));
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining("ENOTDIR") });
    expect(existsSync(at.page)).toBe(false);
  });
});

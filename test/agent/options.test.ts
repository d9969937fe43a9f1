// How words become options: as getopt_long does it, and what is wrong with them as one message.

import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { CommandSpec } from "../../agent/commands.ts";
import { countOption, parseOptions, sizeOption, switchOption } from "../../agent/options.ts";

const SPEC: CommandSpec = {
  name: "try",
  operands: "[FILE]",
  summary: "",
  description: [],
  options: [
    { name: "format", short: "f", value: "FORMAT", summary: "" },
    { name: "rate", value: "BYTES", summary: "" },
    { name: "limit", value: "COUNT", summary: "" },
    { name: "quiet", short: "q", summary: "" },
    { name: "verbose", short: "v", summary: "" },
    { name: "no-limit", summary: "" },
  ],
  load: () => Promise.reject(new Error("not loaded here")),
};

const Options = v.strictObject({
  _: v.array(v.string()),
  format: v.optional(v.picklist(["xl", "-", "a=b"], "wanted one of xl, -, a=b")),
  rate: v.optional(sizeOption),
  limit: v.optional(countOption),
  quiet: switchOption,
  verbose: switchOption,
  "no-limit": switchOption,
});

const NONE = { _: [], quiet: false, verbose: false, "no-limit": false };

describe("words", () => {
  test.each([
    // words                              options
    ["", {}],
    ["a - b", { _: ["a", "-", "b"] }],
    ["-- -q --quiet --", { _: ["-q", "--quiet", "--"] }],
    ["a -- -- b", { _: ["a", "--", "b"] }],
    ["-q a -v", { _: ["a"], quiet: true, verbose: true }],
    ["-qv -q --quiet", { quiet: true, verbose: true }],
    ["--format xl", { format: "xl" }],
    ["--format=a=b", { format: "a=b" }],
    ["-f xl 7", { format: "xl", _: ["7"] }],
    ["-fxl", { format: "xl" }],
    ["-qvfxl", { format: "xl", quiet: true, verbose: true }],
    ["-f - -", { format: "-", _: ["-"] }],
    ["--rate 1.5K --limit=7", { rate: 1536, limit: 7 }],
    ["007", { _: ["007"] }],
    ["--no-limit", { "no-limit": true }],
    ["--no-limit --limit 7", { "no-limit": true, limit: 7 }],
  ] as const)("%s", (words, options) => {
    const parsed = parseOptions(Options, SPEC, words === "" ? [] : words.split(" "));
    expect<unknown>(parsed).toEqual({ ...NONE, ...options });
  });
});

describe("what is wrong", () => {
  test.each([
    ["--fast", 'there is no option "--fast"'],
    ["--fast=1", 'there is no option "--fast"'],
    ["--no-quiet", 'there is no option "--no-quiet"'],
    ["--__proto__ x", 'there is no option "--__proto__"'],
    ["-qx", 'there is no option "-x"'],
    ["-1", 'there is no option "-1"'],
    ["--quiet=no", "--quiet takes no value"],
    ["--format", "--format needs FORMAT"],
    ["--format=", "--format needs FORMAT"],
    ["-f", "--format needs FORMAT"],
    ["-f xl --format xl", "--format is given more than once"],
    ["--format tar", '--format: wanted one of xl, -, a=b, found "tar"'],
    ["--rate -1", '--rate: wanted a size such as 64M, found "-1"'],
    ["--limit 0", '--limit: wanted a whole number of at least 1, found "0"'],
  ])("%s", (words, message) => {
    const parse = () => parseOptions(Options, SPEC, words.split(" "));
    expect(parse).toThrow(`Cannot run try: ${message}`);
  });
});

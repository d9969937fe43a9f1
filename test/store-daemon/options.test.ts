// The options of the stock daemons: as getopt_long takes them, and oxenstored's configuration.

import { describe, expect, test } from "bun:test";
import { getopt, type GetoptOption } from "../../agent/commands/store/getopt.ts";
import { readOxenstoredConfig } from "../../agent/commands/store/oxenstored-config.ts";
import { messageOf } from "../helpers/system-error.ts";

const OPTIONS: readonly GetoptOption[] = [
  { short: "N", name: "no-fork", value: "none" },
  { short: "Q", name: "quota", value: "required" },
  { short: "q", name: "quota-soft", value: "required" },
  { short: "I", name: "internal-db", value: "optional" },
];

describe("options as getopt_long takes them", () => {
  test.each([
    [["-N", "-Qa=1", "-Q", "b=2"], ["no-fork", "quota a=1", "quota b=2"], []],
    [["-NQa=1"], ["no-fork", "quota a=1"], []],
    [["--quota=a=1", "--quota", "b=2"], ["quota a=1", "quota b=2"], []],
    [
      ["--no", "x", "--int", "y"],
      ["no-fork", "internal-db"],
      ["x", "y"],
    ],
    [["-I", "off", "-Ioff"], ["internal-db", "internal-db off"], ["off"]],
    [["--", "-N"], [], ["-N"]],
  ])("%j", (words, given, operands) => {
    const parsed = getopt("x", OPTIONS, words);
    const shown = parsed.given.map(({ option, value }) =>
      value === undefined ? option.name : `${option.name} ${value}`,
    );
    expect<unknown[]>([shown, parsed.operands]).toEqual([given, operands]);
  });

  test.each([
    [["-z"], 'Cannot run x: the option "-z" is unknown'],
    [["--zebra"], 'Cannot run x: the option "--zebra" is unknown'],
    [["--quot=1"], 'Cannot run x: the option "--quot" is ambiguous'],
    [["--no-fork=1"], "Cannot run x: --no-fork takes no value"],
    [["-Q"], "Cannot run x: -Q needs a value"],
  ])("%j is refused by name", (words, message) => {
    expect(messageOf(() => getopt("x", OPTIONS, words))).toBe(message);
  });
});

describe("oxenstored.conf", () => {
  test("what it says holds, what it does not say has oxenstored's default", () => {
    const config = readOxenstoredConfig(
      "# a comment\nquota-maxentity = 500\n  access-log-read-ops=true\naccess-log-nb-chars = -1\n" +
        "pid-file = /run/other.pid\nring-scan-interval = -1\n# quota-maxwatch = 1\n",
    );
    expect(config).toEqual({
      pidFile: "/run/other.pid",
      quotas: {
        nodes: 501,
        "node-size": 2048,
        watches: 102,
        transactions: 11,
        "transaction-nodes": 1025,
        "path-max": 2048,
        outstanding: 1025,
      },
      ringScanSeconds: -1,
      accessLog: {
        path: "/var/log/xen/xenstored-access.log",
        linesMax: 13215,
        filesMax: 20,
        charactersMax: 0,
        withReads: true,
      },
      problems: [],
      refused: [],
    });
  });

  test("what is wrong, and what cannot be had, is told by name", () => {
    const { problems, refused, quotas } = readOxenstoredConfig(
      "colour = red\nquota-maxwatch = many\npersistent = true\nquota-activate = false\n" +
        "perms-activate = true\nconflict-burst-limit = 5\n",
    );
    expect(problems).toEqual([
      "unknown key colour",
      "quota-maxwatch: expect int value",
      "conflict-burst-limit: expect float value",
    ]);
    expect(refused).toEqual(["persistent = true"]);
    expect([quotas.nodes, quotas["node-size"]]).toEqual([0, 0]);
  });
});

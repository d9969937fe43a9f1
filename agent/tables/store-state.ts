// Commands on the state of a xenstore daemon: rows of the one table in commands.ts.

import { type CommandSpec, HELP_OPTION, JSON_OPTION, type OptionSpec } from "../command-spec.ts";

const COPY_OPTIONS: readonly OptionSpec[] = [
  { name: "to", short: "o", value: "FILE", summary: "write it there; - is standard output" },
  {
    name: "format",
    short: "f",
    value: "FORMAT",
    choices: ["text", "stream", "stream-v2", "json"],
    summary: "text (oxenstored), stream, stream-v2 (migration format) or json (default)",
  },
  {
    name: "variant",
    value: "VARIANT",
    choices: ["c", "design"],
    summary: "of a stream: what the C daemon takes (default), or all that the design has",
  },
];
const SUBTREE_OPTION: OptionSpec = {
  name: "subtree",
  value: "PATH",
  summary: "only the nodes at or below PATH",
};
const QUIET_OPTION: OptionSpec = {
  name: "quiet",
  short: "q",
  summary: "print nothing; only the exit status tells",
};
const SOURCES =
  "a daemon's socket, or a dump: oxenstored's text, a migration stream of version 1 or 2, or our " +
  "JSON document";

export const STORE_STATE_COMMANDS: readonly CommandSpec[] = [
  {
    name: "store dump",
    operands: "[SOCKET|FILE]",
    summary: "write the state of a xenstore to a file",
    description: [
      `Reads SOCKET or FILE (${SOURCES}; the default is where libxenstore looks) and writes it ` +
        "in another format, whole or not at all. What the format cannot carry is listed on " +
        "stderr, with what becomes of it.",
      "A socket tells of nodes and permissions alone. They are read in one transaction, so that " +
        "all are of one moment; where there are more than 4000, or the store changes all the " +
        "time, that is said.",
    ],
    options: [
      ...COPY_OPTIONS,
      SUBTREE_OPTION,
      { name: "no-transaction", summary: "read without one: faster, and not of one moment" },
      JSON_OPTION,
      QUIET_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/store/dump.ts"),
  },
  {
    name: "store load",
    operands: "FILE [SOCKET]",
    summary: "put the nodes of a dump into a running xenstore",
    description: [
      `FILE is ${SOURCES}. Only what differs is written, ` +
        "in one transaction for each 1000 nodes of it: other clients see all of those or none, " +
        "and watches fire for what changed. Connections, watches and quotas are not loaded.",
      "The owner of a node has to exist: the C daemon refuses others.",
    ],
    options: [
      SUBTREE_OPTION,
      { name: "exact", summary: "also remove nodes that are not in FILE" },
      { name: "dry-run", short: "n", summary: "only list what would be done" },
      JSON_OPTION,
      QUIET_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/store/load.ts"),
  },
  {
    name: "store convert",
    operands: "FILE",
    summary: "write a dump of a xenstore in another format",
    description: [
      "FILE is a dump in any of the formats; they tell themselves apart. - is standard input. " +
        "What the other format cannot carry is listed on stderr, with what becomes of it.",
    ],
    options: [...COPY_OPTIONS, JSON_OPTION, QUIET_OPTION, HELP_OPTION],
    load: () => import("../commands/store/convert.ts"),
  },
  {
    name: "store diff",
    operands: "A B",
    summary: "compare two xenstores",
    description: [
      `A and B are each ${SOURCES}. ` +
        "Compares nodes and permissions; where both tell of them, also connections, watches, " +
        "transactions and quotas.",
      "The exit status is that of diff: 0 same, 1 different, 2 where one cannot be opened, and 3 " +
        "where one is damaged.",
    ],
    options: [
      SUBTREE_OPTION,
      { name: "nodes-only", summary: "compare nodes and permissions alone" },
      { name: "limit", value: "COUNT", summary: "list at most so many differences (default 40)" },
      JSON_OPTION,
      QUIET_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/store/diff.ts"),
  },
  {
    name: "store ls",
    operands: "[PATH [SOCKET|FILE]...]",
    summary: "list the nodes of a xenstore",
    description: [
      "Prints all nodes below PATH (default /), a line each, as xenstore-ls -f does. Of several " +
        "sources each begins with a line that names it.",
    ],
    options: [
      { name: "permissions", short: "p", summary: "with permissions, as xenstore-ls -p" },
      HELP_OPTION,
    ],
    load: () => import("../commands/store/ls.ts"),
  },
  {
    name: "store watch",
    operands: "PATH...",
    summary: "print what changes in a xenstore",
    description: [
      "Prints the path of each change at or below one of the PATHs, a line each; the first line " +
        "of each PATH comes at once. @introduceDomain and @releaseDomain tell of domains. Ends " +
        "when it is stopped.",
    ],
    options: [
      { name: "socket", value: "PATH", summary: "the daemon's socket" },
      { name: "depth", value: "LEVELS", summary: "only so many levels below (if it knows that)" },
      { name: "count", short: "c", value: "COUNT", summary: "end after so many lines" },
      { name: "timeout", value: "SECONDS", summary: "end after so long" },
      { name: "values", summary: "with the value the node has then" },
      { name: "json", summary: "print one JSON document a line" },
      HELP_OPTION,
    ],
    load: () => import("../commands/store/watch.ts"),
  },
  {
    name: "store top",
    operands: "[SOCKET]",
    summary: "watch what a xenstore daemon of ours does",
    description: [
      "Shows operations a second, clients with their processes, watches, transactions and what " +
        "domains use of their quotas, of agent store serve on SOCKET; the busiest clients first. " +
        "Ends when it is stopped. Other daemons do not tell.",
    ],
    options: [
      { name: "interval", value: "SECONDS", summary: "look again after so long (default 2)" },
      { name: "once", summary: "look once; rates are then those since the start" },
      JSON_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/store/top.ts"),
  },
];

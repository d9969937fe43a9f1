// Commands that receive and keep checkpoints: rows of the one table in commands.ts.

import { type CommandSpec, GUEST_OPTIONS, HELP_OPTION, JSON_OPTION } from "../command-spec.ts";

/** When a checkpoint counts as safe. */
export const DURABILITIES = ["disk", "memory"] as const;
/** What is done when the sender has gone. */
export const ON_LOSS = ["leave", "failover"] as const;
/** What gets the stream on failover. */
export const FAILOVER_COMMAND = "xl restore /dev/stdin";

const KEEP_OPTIONS = [
  { name: "keep", value: "COUNT", summary: "keep the newest so many restore points" },
  {
    name: "keep-for",
    value: "TIME",
    summary: "keep restore points that are younger, such as 90s, 10m, 2h or 1d",
  },
] as const;
const QUIET = { name: "quiet", short: "q", summary: "print nothing but errors" } as const;
const [, IDLE] = GUEST_OPTIONS;
const AT = {
  name: "at",
  value: "NUMBER",
  summary: "restore point to take, as list numbers them (default: the last)",
} as const;

export const CHECKPOINT_COMMANDS: readonly CommandSpec[] = [
  {
    name: "checkpoint receive",
    operands: "",
    summary: "receive a Remus stream and keep every complete checkpoint",
    description: [
      "Takes the place of xl migrate-receive -r, with the same banner, or reads a checkpointed " +
        "stream from any pipe, socket or file. Each complete checkpoint is committed to the " +
        "folder DIR at once: whatever happens, the last one that was committed is found whole " +
        "again. xl remus -s '' GUEST 'agent checkpoint receive --to DIR' on one host; to another " +
        "one through ssh.",
      "Remus has no acknowledgement: the sender releases the guest's network packets when it has " +
        "sent a checkpoint, not when it is committed here. What has arrived and is not committed " +
        "is at most one checkpoint and what the pipe or socket holds; list shows the lag. " +
        "--on-commit and --commit-fd tell of each commit when it is durable; where a reader or " +
        "hook is slow, only of the latest ones.",
      "When the sender has gone the last restore point is left, unless --on-loss failover: then " +
        "it goes to the failover command, once the fence has said yes by its exit status 0. Two " +
        "running copies of one guest destroy its disks: --no-fence is for those who know that " +
        "the sender is dead. COLO is refused: its receiver must run the guest. Exit status: 0 " +
        "for an ended stream or a failover that was done, 3 for a bad stream or one without a " +
        "checkpoint, 4 when an operator must decide what to do with the last restore point.",
    ],
    options: [
      { name: "to", value: "DIR", summary: "folder to keep restore points in; made if need be" },
      {
        name: "listen",
        value: "ADDRESS",
        summary: "wait for the sender at ADDRESS:PORT, :PORT or unix:PATH",
      },
      { name: "fd", value: "NUMBER", summary: "read this descriptor instead of standard input" },
      { name: "no-banner", summary: "do not greet the sender as xl migrate-receive does" },
      ...KEEP_OPTIONS,
      {
        name: "durability",
        value: "WHERE",
        choices: DURABILITIES,
        summary: "disk: a commit outlives a power cut (default); memory: this process only",
      },
      { name: "on-commit", value: "COMMAND", summary: "run it in a shell after a commit" },
      { name: "commit-fd", value: "NUMBER", summary: "write a JSON line to it after each commit" },
      {
        name: "on-loss",
        value: "ACTION",
        choices: ON_LOSS,
        summary: "when the sender has gone: leave (default) or failover",
      },
      { name: "fence", value: "COMMAND", summary: "failover only if this ends with status 0" },
      { name: "no-fence", summary: "failover without a fence: you know that the sender is dead" },
      {
        name: "failover-command",
        value: "COMMAND",
        summary: `what gets the guest on its standard input (default ${FAILOVER_COMMAND})`,
      },
      { name: "control", value: "PATH", summary: "answer how it stands on this unix socket" },
      { name: "json", summary: "report as one JSON document" },
      QUIET,
      HELP_OPTION,
    ],
    load: () => import("../commands/checkpoint/receive.ts"),
  },
  {
    name: "checkpoint list",
    operands: "DIR",
    summary: "show the restore points of a folder",
    description: [
      "Number, time, size, changed pages and lag of each restore point, and what is known of the " +
        "streams that they came with. Also while a stream is received.",
    ],
    options: [
      { name: "html", value: "FILE", summary: "write a page with charts over time" },
      JSON_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/checkpoint/list.ts"),
  },
  {
    name: "checkpoint verify",
    operands: "DIR",
    summary: "check a folder's journals, and every page against its checksum",
    description: [
      "Reads everything that a restore point needs, and says which restore points are spoiled by " +
        "what is wrong. Exit status: 0 when all is right, else 3. Also while a stream is received.",
    ],
    options: [
      { name: "limit", value: "COUNT", summary: "report at most so many problems (default 20)" },
      JSON_OPTION,
      QUIET,
      ...(IDLE === undefined ? [] : [IDLE]),
      HELP_OPTION,
    ],
    load: () => import("../commands/checkpoint/verify.ts"),
  },
  {
    name: "checkpoint restore",
    operands: "DIR",
    summary: "write a restore point as a plain stream",
    description: [
      "The very bytes that agent squash makes of the received stream, cut at that checkpoint: an " +
        "xl save file where xl sent it. agent checkpoint restore DIR --to - | xl restore " +
        "/dev/stdin runs the guest: see that it does not run anywhere else.",
    ],
    options: [
      AT,
      { name: "to", value: "FILE", summary: "where to write it; - for standard output" },
      JSON_OPTION,
      QUIET,
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/checkpoint/restore.ts"),
  },
  {
    name: "checkpoint prune",
    operands: "DIR",
    summary: "give up older restore points, and what only they need",
    description: [
      "Keeps what the options want, and always the last restore point. Not while a stream is " +
        "received: the receiver has the same options.",
    ],
    options: [...KEEP_OPTIONS, JSON_OPTION, QUIET, HELP_OPTION],
    load: () => import("../commands/checkpoint/prune.ts"),
  },
  {
    name: "checkpoint-hook",
    operands: "COMMAND",
    summary: "run a command for each line on standard input",
    description: ["Started by checkpoint receive --on-commit."],
    options: [HELP_OPTION],
    hidden: true,
    load: () => import("../commands/checkpoint/hook.ts"),
  },
];

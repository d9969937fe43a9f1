// Commands about this host and this program: rows of the one table in commands.ts.

import { type CommandSpec, HELP_OPTION, JSON_OPTION } from "../command-spec.ts";

export const COMPLETION_SHELLS = ["bash", "zsh", "fish"] as const;

export const LIVE_UPDATE_WAYS = ["auto", "promote", "in-place"] as const;
export const LIVE_UPDATE_TARGETS = ["agent", "c", "oxenstored"] as const;

export const HOST_COMMANDS: readonly CommandSpec[] = [
  {
    name: "check",
    operands: "",
    summary: "test on this host everything that agent relies on (also: agent --check)",
    description: [
      "Tries each kernel and runtime behaviour for real, verifies and damages a built-in sample, " +
        "and lists what it finds of the host. Something absent (no Xen, no qemu-img) is " +
        "information, not a failure.",
    ],
    options: [JSON_OPTION, HELP_OPTION],
    load: () => import("../commands/host/check.ts"),
  },
  {
    name: "schema",
    operands: "COMMAND",
    summary: "print the JSON Schema of a command's --json document",
    description: ["Prints what COMMAND's --json document holds, as JSON Schema (draft 2020-12)."],
    options: [HELP_OPTION],
    load: () => import("../commands/host/schema.ts"),
  },
  {
    name: "completion",
    operands: "SHELL",
    operandChoices: COMPLETION_SHELLS,
    summary: "print the completion script for bash, zsh or fish",
    description: ["Prints a completion script for SHELL (bash, zsh or fish) on stdout."],
    options: [HELP_OPTION],
    load: () => import("../commands/host/completion.ts"),
  },
  {
    name: "man",
    operands: "",
    summary: "print the manual page (roff)",
    description: ["Prints the manual page in roff on stdout: agent man | man -l -"],
    options: [HELP_OPTION],
    load: () => import("../commands/host/man.ts"),
  },
  {
    name: "live-update",
    operands: "SOCKET BINARY",
    summary: "replace a running program by BINARY; its clients notice nothing",
    description: [
      "SOCKET is that of a store daemon (agent store serve), or the control socket of a relay, a " +
        "save helper, a checkpoint receiver or a device proxy. The new program checks a copy of " +
        "the state first, answers questions, and only then serves; until it has served, the old " +
        "one goes on if anything is wrong. Nothing waits for clients: requests in part, answers " +
        "on their way, open transactions and watches go over.",
      "A store is also handed back to a stock daemon (--to), in the same process. What its " +
        "format cannot carry is waited for where it passes (open transactions; for oxenstored " +
        "requests in part and answers on their way), else named and refused.",
      "Exit status: 0 the new program serves (or could, with --dry-run); 1 it does not, and the " +
        "old one serves on.",
    ],
    options: [
      { name: "dry-run", summary: "check everything, change nothing" },
      { name: "status", summary: "what would go over, and how the last update went; no BINARY" },
      {
        name: "max-pause",
        value: "MS",
        summary: "refuse when the pause is predicted to be longer",
      },
      {
        name: "way",
        value: "WAY",
        choices: LIVE_UPDATE_WAYS,
        summary: "promote: another process; in-place: the same pid; auto: as its parent needs it",
      },
      { name: "sha256", value: "HEX", summary: "refuse any other BINARY" },
      {
        name: "to",
        value: "KIND",
        choices: LIVE_UPDATE_TARGETS,
        summary: "what BINARY is: normally agent; c: Xen's xenstored; oxenstored",
      },
      {
        name: "allow-losses",
        summary: "also where KIND's format cannot carry something, once the time is over",
      },
      { name: "arguments", value: "WORDS", summary: "start BINARY with these words" },
      { name: "timeout", value: "SECONDS", summary: "for the preparation; normally 60" },
      JSON_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/host/live-update.ts"),
  },
  {
    name: "live-update-launch",
    operands: "SETTINGS",
    summary: "verify and start the new program of a live update (used by the old one)",
    description: ["SETTINGS is JSON; descriptor 3 is the line to the old program, 4 the binary."],
    options: [HELP_OPTION],
    hidden: true,
    load: () => import("../commands/host/live-update-launch.ts"),
  },
  {
    name: "live-update-probe",
    operands: "",
    summary: "print what this program can continue (asked by a program to be replaced)",
    description: ["Prints one JSON document."],
    options: [HELP_OPTION],
    hidden: true,
    load: () => import("../commands/host/live-update-probe.ts"),
  },
  {
    name: "self-test-child",
    operands: "STAGE [PID]",
    summary: "execute itself in place, for the probe of that (used by agent check)",
    description: ["STAGE is before, or after with the process number that must be kept."],
    options: [HELP_OPTION],
    hidden: true,
    load: () => import("../commands/host/self-test-child.ts"),
  },
];

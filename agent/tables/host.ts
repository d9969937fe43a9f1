// Commands about this host and this program: rows of the one table in commands.ts.

import { type CommandSpec, HELP_OPTION, JSON_OPTION } from "../command-spec.ts";

export const COMPLETION_SHELLS = ["bash", "zsh", "fish"] as const;

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
    name: "self-test-child",
    operands: "STAGE [PID]",
    summary: "execute itself in place, for the probe of that (used by agent check)",
    description: ["STAGE is before, or after with the process number that must be kept."],
    options: [HELP_OPTION],
    hidden: true,
    load: () => import("../commands/host/self-test-child.ts"),
  },
];

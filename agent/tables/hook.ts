// The commands that pass streams on, and those that toolstacks call: rows of the one table in
// commands.ts.

import {
  type CommandSpec,
  GUEST_OPTIONS,
  HELP_OPTION,
  JSON_OPTION,
  STREAM_FORMATS,
} from "../command-spec.ts";

/** What a relay does with a stream that it found bad. */
export const RELAY_ON_ERROR = ["pass", "cut"] as const;

/** Called by a toolstack through a script that agent hook install puts in place. */
const HOOK_CALL = { options: [HELP_OPTION], hidden: true } as const;

export const RELAY_AND_HOOK_COMMANDS: readonly CommandSpec[] = [
  {
    name: "relay",
    operands: "[-- COMMAND...]",
    summary: "pass a stream on, verified on its way",
    description: [
      "Passes a stream from standard input to standard output, or through COMMAND: to its input, " +
        "and what it answers back to standard output. Page contents are moved by the kernel. " +
        "Everything is passed on, also what stands behind the stream. A report follows on stderr.",
      "xl migrate -s 'agent relay -- ssh' GUEST HOST verifies a migration on its way and " +
        "follows what the two sides say to each other. SIGUSR2 makes a relay with a COMMAND " +
        "report how it stands; every relay answers on its control socket. Exit status: 3 for a " +
        "bad stream, else that of COMMAND.",
    ],
    options: [
      { name: "from", value: "STREAM", summary: "a path or descriptor instead of standard input" },
      { name: "to", value: "STREAM", summary: "a path or descriptor instead of standard output" },
      {
        name: "format",
        short: "f",
        value: "FORMAT",
        choices: STREAM_FORMATS,
        summary: "do not detect the format: xl, libxl, libxc, xapi or legacy",
      },
      {
        name: "on-error",
        value: "ACTION",
        choices: RELAY_ON_ERROR,
        summary: "pass a bad stream on all the same (default), or cut it off",
      },
      { name: "capture", value: "FILE", summary: "keep a copy of the stream in a new file" },
      { name: "control", value: "PATH", summary: "answer how it stands on this unix socket" },
      { name: "limit", value: "COUNT", summary: "report at most so many problems (default 100)" },
      { name: "json", summary: "report as one JSON document" },
      { name: "quiet", short: "q", summary: "report nothing; only the exit status tells" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/relay.ts"),
  },
  {
    name: "hook",
    operands: "install|remove|status libxl|xapi|libvirt",
    operandChoices: ["install", "remove", "status", "libxl", "xapi", "libvirt"],
    summary: "put agent where a toolstack calls it, or take it away again",
    description: [
      "libxl: LIBXL_SAVE_HELPER and LIBXL_CONVERT_HELPER for shells and services, so that every " +
        "xl save, restore and migration, and those of libvirt, are verified on their way. The " +
        "real helper is found by itself, or named by AGENT_REAL_SAVE_HELPER. A bad stream is " +
        "told and passed on; with AGENT_HELPER_ON_ERROR=cut the save or restore fails.",
      "libvirt: a hook that notes events and refuses to restore a bad managed save image.",
      "xapi (XenServer, XCP-ng): VM hooks that note events, and a plugin: xe host-call-plugin " +
        "plugin=agent fn=verify args:path=FILE. xenopsd does not use libxl: migrations there do " +
        "not pass through agent.",
      "All files of a hook are put in place or none, and taken away the same way. Somebody " +
        "else's files are never touched. status ends with 1 where not all is in place.",
    ],
    options: [
      { name: "root", value: "DIR", summary: "change the system below DIR (default /)" },
      { name: "program", value: "PATH", summary: "what the hooks run (default: this program)" },
      JSON_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/hook/hook.ts"),
  },
  {
    name: "xapi-vm-hook",
    operands: "NAME -vmuuid UUID -reason REASON",
    summary: "note what happens to a VM (called by xapi)",
    description: ["Status 0, or 1 for trouble of our own, with which xapi goes on."],
    ...HOOK_CALL,
    load: () => import("../commands/hook/xapi-vm-hook.ts"),
  },
  {
    name: "xapi-plugin",
    operands: "REQUEST",
    summary: "answer a plugin call (called by xapi)",
    description: ["REQUEST is an XML-RPC document."],
    ...HOOK_CALL,
    load: () => import("../commands/hook/xapi-plugin.ts"),
  },
  {
    name: "libvirt-hook",
    operands: "DOMAIN OPERATION SUB-OPERATION EXTRA",
    summary: "note what happens to a domain, refuse bad images (called by libvirt)",
    description: ["Status 3 where the image that is about to be restored is bad."],
    ...HOOK_CALL,
    load: () => import("../commands/hook/libvirt-hook.ts"),
  },
  {
    name: "relay-worker",
    operands: "SETTINGS",
    summary: "relay for a supervisor (used by agent relay itself)",
    description: ["SETTINGS is a JSON document."],
    options: [HELP_OPTION],
    hidden: true,
    load: () => import("../commands/stream/relay-worker.ts"),
  },
  {
    name: "save-worker",
    operands: "SETTINGS",
    summary: "relay beside a save helper (used by agent itself)",
    description: ["SETTINGS is a JSON document."],
    options: [HELP_OPTION],
    hidden: true,
    load: () => import("../commands/hook/save-worker.ts"),
  },
];

// Commands for the state of vhost-user devices: rows of the one table in commands.ts.

import { type CommandSpec, HELP_OPTION, JSON_OPTION, type OptionSpec } from "../command-spec.ts";

const TIMEOUT_OPTION: OptionSpec = {
  name: "timeout",
  value: "MS",
  summary: "wait so long for each answer and for each piece of state (default 5000)",
};
const LOSE_OPTION: OptionSpec = {
  name: "lose-connections",
  summary: "go on although TCP connections of the guest will be lost",
};
const FALLBACK_OPTION: OptionSpec = {
  name: "fallback",
  value: "SOCKET",
  summary: "a fresh back end of the old version, which gets the state if the new one refuses it",
};
const KEEP_OPTION: OptionSpec = {
  name: "keep",
  value: "FILE",
  summary: "keep the state in a new file",
};
/** How a proxy's program is replaced: by another process, or by executing it in this one. */
export const PROXY_WAYS = ["in-place", "promote"] as const;

const TRANSFER_OPTIONS = [LOSE_OPTION, TIMEOUT_OPTION, JSON_OPTION, HELP_OPTION] as const;

export const DEVICE_COMMANDS: readonly CommandSpec[] = [
  {
    name: "device inspect",
    operands: "FILE",
    summary: "show what a saved device state holds",
    description: [
      "Tells the state of passt by name, with its flows as a table, and whatever is wrong with " +
        "it; the framing that QEMU gives a device state in a migration stream is taken off. Of " +
        "another program's state it shows the bytes. Exit status: 3 when something is wrong.",
    ],
    options: [
      { name: "big-endian", summary: "a big-endian host wrote it: read the ports so" },
      JSON_OPTION,
      HELP_OPTION,
    ],
    load: () => import("../commands/device/inspect.ts"),
  },
  {
    name: "device save",
    operands: "SOCKET FILE",
    summary: "save the state of a vhost-user back end to a new file",
    description: [
      "SOCKET is a back end that no guest is attached to, or the control socket of agent device " +
        "proxy. The state is looked at whole before the file appears. TCP connections of passt " +
        "do not live on from a file: their peers have gone on by the time it is loaded.",
    ],
    options: [{ name: "force", summary: "replace FILE if it is there" }, ...TRANSFER_OPTIONS],
    load: () => import("../commands/device/save.ts"),
  },
  {
    name: "device load",
    operands: "SOCKET FILE",
    summary: "load a saved state into a fresh vhost-user back end",
    description: [
      "SOCKET as for device save. A state of passt is checked to its last byte before the back " +
        "end sees the first. Through a proxy, the next guest finds the back end as it was loaded.",
    ],
    options: [...TRANSFER_OPTIONS],
    load: () => import("../commands/device/load.ts"),
  },
  {
    name: "device copy",
    operands: "SOURCE TARGET",
    summary: "copy the state of one vhost-user back end to another",
    description: [
      "Both as for device save. The target is asked whether it can read such a state before the " +
        "source gives it, and the source is told that it is over only when the target has it. A " +
        "source that has given its state cannot go back to it: --fallback is for that.",
    ],
    options: [FALLBACK_OPTION, KEEP_OPTION, ...TRANSFER_OPTIONS],
    load: () => import("../commands/device/copy.ts"),
  },
  {
    name: "device proxy",
    operands: "",
    summary: "stand between a guest and its vhost-user back end, to move its state",
    description: [
      "QEMU connects to --listen, and every message and descriptor goes on to --backend and " +
        "back; the guest's data does not pass here. Only who holds QEMU's connection can pull a " +
        "back end's state, or put another one in its place: agent device save and agent device " +
        "swap ask for that on the control socket.",
      "A back end can only be replaced by one that offers all that the guest was promised: what " +
        "--mask-features names is never promised, so that the way back to an older one stays " +
        "open.",
    ],
    options: [
      { name: "listen", value: "PATH", summary: "the socket that QEMU connects to" },
      { name: "backend", value: "PATH", summary: "the back end's socket" },
      { name: "control", value: "PATH", summary: "the control socket (default: listen.control)" },
      { name: "status", value: "CONTROL", summary: "tell how a running proxy stands, and end" },
      {
        name: "update",
        value: "CONTROL",
        summary: "have a running proxy go on as another program, and end",
      },
      { name: "binary", value: "PATH", summary: "that program (default: this one)" },
      {
        name: "way",
        value: "WAY",
        choices: PROXY_WAYS,
        summary: "in-place (the same process, default) or promote (a new one)",
      },
      { name: "dry-run", summary: "with --update: only try whether it could" },
      {
        name: "mask-features",
        value: "BITS",
        summary: "features never offered to the guest: 0x2, or names such as guest-csum",
      },
      { name: "mask-protocol-features", value: "BITS", summary: "the same of protocol features" },
      TIMEOUT_OPTION,
      { name: "quiet", short: "q", summary: "say nothing of guests that come and go" },
      { name: "json", summary: "with --status: print one JSON document on stdout" },
      HELP_OPTION,
    ],
    load: () => import("../commands/device/proxy.ts"),
  },
  {
    name: "device swap",
    operands: "CONTROL [-- COMMAND...]",
    summary: "put another back end under a running guest, with its state",
    description: [
      "CONTROL is the control socket of agent device proxy; --to is the new back end, fresh and " +
        "running, or started by COMMAND. The guest's rings are paused, the state is taken from " +
        "the old back end, which is then killed, and loaded into the new one, where the rings go " +
        "on. Everything that can be looked at is looked at before the pause: features, version, " +
        "repair helpers at both.",
      "If the new one does not take the state, --fallback gets it. Exit status: 1 when nothing " +
        "was changed or all was undone, 4 when the guest is left without a back end.",
    ],
    options: [
      { name: "to", value: "SOCKET", summary: "the new back end" },
      FALLBACK_OPTION,
      KEEP_OPTION,
      ...TRANSFER_OPTIONS,
    ],
    load: () => import("../commands/device/swap.ts"),
  },
  {
    name: "repair",
    operands: "SOCKET...",
    summary: "freeze and release the TCP connections of passt (its passt-repair)",
    description: [
      "passt moves the TCP connections of a guest by the kernel's repair mode, which needs " +
        "CAP_NET_ADMIN; passt has none and asks a helper on SOCKET (its own socket's name and " +
        ".repair). Serves every SOCKET, and every name ending in .repair of one that is a " +
        "folder: waits for them, and comes back when passt has closed the connection.",
      "A batch of sockets is done whole or not at all. Started by root or with CAP_NET_ADMIN, " +
        "it keeps that and gives up everything else. In a folder that others may write to, only " +
        "sockets and programs of root, of the user who runs it and of --user are served. " +
        "Started as passt-repair it takes that program's argument.",
    ],
    options: [
      { name: "user", value: "USER", summary: "also serve programs of these users (a,b)" },
      { name: "quiet", short: "q", summary: "say nothing of what is served" },
      HELP_OPTION,
    ],
    load: () => import("../commands/device/repair.ts"),
  },
];

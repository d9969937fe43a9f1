// Commands for the state of vhost-user devices: rows of the one table in commands.ts.

import { type CommandSpec, HELP_OPTION } from "../command-spec.ts";

export const DEVICE_COMMANDS: readonly CommandSpec[] = [
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
        "it keeps that and gives up everything else. Served are programs of root, of the user " +
        "who runs it, and of the owner of the folder. Started as passt-repair it takes that " +
        "program's argument.",
    ],
    options: [
      { name: "user", value: "USER", summary: "also serve programs of these users (a,b)" },
      { name: "quiet", short: "q", summary: "say nothing of what is served" },
      HELP_OPTION,
    ],
    load: () => import("../commands/device/repair.ts"),
  },
];

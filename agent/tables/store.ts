// Commands around the xenstore daemon: rows of the one table in commands.ts.

import { type CommandSpec, HELP_OPTION } from "../command-spec.ts";

export const STORE_COMMANDS: readonly CommandSpec[] = [
  {
    name: "store serve",
    operands: "",
    summary: "serve xenstore: the daemon itself",
    description: [
      "Serves xenstore on a unix socket and, in the dom0 of a Xen host, on the rings of its " +
        "domains, as the stock daemons do. It is also started under their names, xenstored and " +
        "oxenstored, and then takes their options. In the foreground unless told otherwise; " +
        "SIGTERM ends it, SIGHUP opens its logs anew.",
      "The store stands in memory that a service manager can keep (FDSTORE): the next program " +
        "goes on with it, also after a crash, and with the connections that were idle. Sockets " +
        "that come from the manager (LISTEN_FDS) are served in place of --socket. SIGTERM leaves " +
        "the store in a file beside the socket, SOCKET.arena, for the next start.",
    ],
    options: [
      {
        name: "socket",
        value: "PATH",
        summary:
          "listen here (default: $XENSTORED_PATH, $XENSTORED_RUNDIR/socket, /run/xenstored/socket)",
      },
      { name: "pid-file", value: "FILE", summary: "write the process number there, locked" },
      { name: "background", summary: "return when it serves, and leave it running" },
      {
        name: "hypervisor",
        value: "KIND",
        summary: "xen, none, or for tests a folder of files that play it (default: what is there)",
      },
      { name: "domid", value: "DOMID", summary: "the domain it runs in (default 0)" },
      { name: "quota", value: "NAME=COUNT,...", summary: "limits of a domain; 0 is none" },
      {
        name: "event-timeout",
        value: "SECONDS",
        summary: "drop events a guest does not take after so long (default 20); 0: never",
      },
      { name: "keep-orphans", summary: "keep the nodes of domains that are gone (a risk)" },
      { name: "trace", value: "FILE", summary: "write every request and answer there" },
      { name: "access-log", value: "FILE", summary: "write who changed what there" },
      {
        name: "access-log-lines",
        value: "COUNT",
        summary: "turn the access log over after so many lines (default 13215)",
      },
      {
        name: "access-log-files",
        value: "COUNT",
        summary: "keep so many of them (default 10)",
      },
      { name: "access-log-reads", summary: "with the requests that change nothing" },
      HELP_OPTION,
    ],
    load: () => import("../commands/store/serve.ts"),
  },
];

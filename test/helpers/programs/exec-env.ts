// exec-env.ts path|descriptor: executes a shell that prints its arguments and environment.

import { openForReading, replaceProgram, replaceProgramByFd } from "../../../lib/sys/index.ts";

const SHELL = "/bin/sh";
const SCRIPT =
  'for word; do printf "[%s] " "$word"; done | sed "s/ $//"; echo; env | grep -v ^PWD | sort';
const program = {
  argv: ["sh", "-c", SCRIPT, "name", "one", "", "größe = 1"],
  environment: { A: "1", B: "two words" },
};
if (process.argv[2] === "path") replaceProgram(SHELL, program);
else replaceProgramByFd(openForReading(SHELL), program);

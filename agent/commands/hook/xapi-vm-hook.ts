// agent xapi-vm-hook NAME -vmuuid UUID -reason REASON [...]: what xapi tells before and after it
// does something to a VM, noted in the system log. xapi's exit statuses: 0 goes on, 1 is logged
// and goes on, anything else stops the operation. So whatever happens here, it is 0 or 1.

import { describeVmEvent, parseVmEvent } from "../../../lib/hook/index.ts";
import { sendToSyslog, SYSLOG_PATH } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { printToStderr } from "../../ui/output.ts";

const STATUS = { done: 0, logged: 1 } as const;

export function run({ argv }: Invocation): number {
  try {
    const event = parseVmEvent(argv);
    if (event === undefined) return logged(`Cannot read the arguments: ${argv.join(" ")}`);
    const lines = [describeVmEvent(event)];
    const log = { socketPath: SYSLOG_PATH, tag: "agent", severity: "info", lines } as const;
    return sendToSyslog(log) ? STATUS.done : logged("nobody listens on /dev/log");
  } catch (error) {
    return logged(error instanceof Error ? error.message : String(error));
  }
}

/** xapi puts both outputs into its own log. */
function logged(message: string): number {
  printToStderr(`agent: ${message}\n`);
  return STATUS.logged;
}

// agent libvirt-hook DOMAIN OPERATION SUB-OPERATION EXTRA: libvirt's hook for its libxl driver,
// with the domain's XML on standard input. Events go to the system log. Before a restore the image
// of the domain's managed save, if there is one, is verified: a bad one is refused, by status 3.
// Nothing else ever stops an operation: other statuses mean trouble of our own.

import { closeSync, existsSync, openSync, readSync } from "node:fs";
import {
  LIBVIRT_HEADER_BYTES,
  managedSavePath,
  parseLibvirtEvent,
  streamOffset,
} from "../../../lib/hook/index.ts";
import { sendToSyslog, SYSLOG_PATH } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { printToStderr } from "../../ui/output.ts";
import { reportLines } from "../../ui/verify-report.ts";
import { verifyOperand } from "../stream/verify.ts";

const FINDINGS_LIMIT = 100;
const ROOT_VARIABLE = "AGENT_HOOK_ROOT";
const READ_BYTES = 64 * 1024;

export async function run({ argv }: Invocation): Promise<number> {
  const event = parseLibvirtEvent(argv);
  drainInput();
  if (event === undefined) {
    printToStderr(`agent: Cannot read the arguments: ${argv.join(" ")}\n`);
    return EXIT.usage;
  }
  const { domain, operation, subOperation } = event;
  const lines = [`libvirt ${domain}: ${operation} ${subOperation}`];
  sendToSyslog({ socketPath: SYSLOG_PATH, tag: "agent", severity: "info", lines });
  if (operation !== "restore") return EXIT.ok;
  const path = managedSavePath(process.env[ROOT_VARIABLE] ?? "/", event);
  return existsSync(path) ? await verifyImage(path) : EXIT.ok;
}

/** The XML is not looked at, but libvirt wants to be rid of it. */
function drainInput(): void {
  const buffer = new Uint8Array(READ_BYTES);
  while (readSync(0, buffer) > 0);
}

async function verifyImage(path: string): Promise<number> {
  const fd = openSync(path, "r");
  try {
    const header = new Uint8Array(LIBVIRT_HEADER_BYTES);
    const got = readSync(fd, header);
    const offset = streamOffset(header.subarray(0, got), path);
    readToOffset(fd, offset - got);
    const report = await verifyOperand(String(fd), {
      format: "libxl",
      limit: FINDINGS_LIMIT,
      rate: undefined,
      showsProgress: false,
      listener: {},
    });
    if (report.verdict === "good") return EXIT.ok;
    const text = reportLines({ ...report, input: path }).join("\n");
    printToStderr(
      `agent: the managed save image is bad; virsh managedsave-remove drops it\n${text}\n`,
    );
    return EXIT.badData;
  } finally {
    closeSync(fd);
  }
}

/** Reads on, so that the stream begins where the descriptor stands. */
function readToOffset(fd: number, bytes: number): void {
  const buffer = new Uint8Array(READ_BYTES);
  for (let left = bytes; left > 0;) {
    const got = readSync(fd, buffer, 0, Math.min(left, READ_BYTES), null);
    if (got === 0) return;
    left -= got;
  }
}

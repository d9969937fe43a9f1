// passt-repair: the helper of that name, for one passt: it ends when passt closes the connection.
//
// Its messages and exit statuses are the stock helper's: 0 when passt closed, 1 for what failed, 2
// for a wrong command line. Different, on purpose: a batch that fails leaves no socket frozen, a
// peer that may not be trusted is not served, and in a folder a socket that is there already is
// taken too.

import { statSync } from "node:fs";
import { RefusedError, SystemError } from "../../../lib/base/index.ts";
import { RepairHelper } from "../../../lib/device/index.ts";
import { Loop } from "../../../lib/sys/index.ts";
import type { Invocation } from "../../commands.ts";
import { repairLine } from "../../ui/device-repair.ts";
import { printToStderr } from "../../ui/output.ts";
import { reduceAndExecute } from "./repair.ts";

const STATUS = { done: 0, failed: 1, usage: 2 } as const;
const ENOENT = 2;

export async function run({ argv, programName }: Invocation): Promise<number> {
  const [path] = argv;
  if (path === undefined || argv.length !== 1) {
    printToStderr(`Usage: ${programName} PATH\n`);
    return STATUS.usage;
  }
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    printToStderr(`Can't stat() ${path}: ${ENOENT}\n`);
    return STATUS.failed;
  }
  if (!stats.isSocket() && !stats.isDirectory()) {
    printToStderr(`${path} is not a socket\n`);
    return STATUS.usage;
  }
  try {
    reduceAndExecute(programName, argv);
  } catch (error) {
    if (!(error instanceof RefusedError || error instanceof SystemError)) throw error;
    printToStderr(`${error.message}\n`);
    return STATUS.failed;
  }
  return await serveOnce(path, stats.isDirectory());
}

async function serveOnce(path: string, isFolder: boolean): Promise<number> {
  let status: number = STATUS.done;
  using loop = new Loop();
  using _helper = new RepairHelper({
    loop,
    paths: [path],
    trusted: new Set([0, process.getuid?.() ?? 0]),
    onEvent(event) {
      if (event.kind === "failed" || event.kind === "refused") {
        printToStderr(`${repairLine(event)}\n`);
        if (event.kind === "refused" && isFolder) return; // Another one may still come.
        status = STATUS.failed;
        loop.stop();
      }
      if (event.kind === "closed") loop.stop();
    },
  });
  await loop.run();
  return status;
}

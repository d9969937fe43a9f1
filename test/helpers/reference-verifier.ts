// Xen's own verifier over streams that we wrote.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Format } from "../../lib/stream/detect.ts";
import { temporaryFolder } from "./temporary.ts";
import { referenceTool } from "./xen-utils.ts";

export const REFERENCE_TOOL = referenceTool();

/** "accepted", or the last lines it printed. Only where REFERENCE_TOOL is there. */
export function referenceVerdict(bytes: Uint8Array, format: Format): string {
  using folder = temporaryFolder();
  const path = join(folder.path, "stream");
  writeFileSync(path, bytes);
  const { python, script, library } = REFERENCE_TOOL!;
  const { exitCode, stderr } = Bun.spawnSync([python, script, "-f", format, "-i", path], {
    env: { PYTHONPATH: library, PYTHONDONTWRITEBYTECODE: "1" },
  });
  return exitCode === 0 ? "accepted" : stderr.toString().trim().split("\n").slice(-2).join("\n");
}

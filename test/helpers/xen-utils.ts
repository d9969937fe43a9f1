// Finds Xen's own stream verifier, verify-stream-v2 (Python), of Debian's package xen-utils-4.17,
// unpacked: in the folder $AGENT_TEST_XEN_UTILS, or in a cache beside other temporary files, where
// fetchXenUtils puts it. A test that needs it and does not find it counts as skipped and says why.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PACKAGE = "xen-utils-4.17";
const CACHE = join(tmpdir(), `agent-${PACKAGE}-${process.getuid?.() ?? 0}`);
/** Where the package is unpacked, if it is. */
export const XEN_UTILS_FOLDER = process.env.AGENT_TEST_XEN_UTILS ?? CACHE;
/** What the script's first line names; a wrapper of it elsewhere in PATH may be slower. */
const PYTHON = "/usr/bin/python3";

export interface ReferenceTool {
  readonly script: string;
  /** For PYTHONPATH. */
  readonly library: string;
  readonly python: string;
}

/** undefined where the package or Python is absent. */
export function referenceTool(): ReferenceTool | undefined {
  const versions = join(XEN_UTILS_FOLDER, "usr/lib");
  const python = existsSync(PYTHON) ? PYTHON : Bun.which("python3");
  if (!existsSync(versions) || python === null) return undefined;
  const version = readdirSync(versions).find((name) => name.startsWith("xen-"));
  const root = join(versions, version ?? "");
  const tool = { script: join(root, "bin/verify-stream-v2"), library: join(root, "lib/python") };
  return existsSync(tool.script) ? { ...tool, python } : undefined;
}

/** A test's title, with the reason where it is skipped. */
export const referenceTitle = (title: string, tool: ReferenceTool | undefined): string =>
  tool === undefined
    ? `${title} (skipped: no unpacked ${PACKAGE} in ${XEN_UTILS_FOLDER}, or no Python)`
    : title;

/** Downloads and unpacks the package, on a Debian that offers it; quietly gives up elsewhere. */
export function fetchXenUtils(): void {
  if (referenceTool() !== undefined || Bun.which("apt-get") === null) return;
  const scratch = mkdtempSync(`${CACHE}-`);
  const run = (...command: string[]): boolean =>
    Bun.spawnSync(command, { cwd: scratch, stderr: "inherit" }).exitCode === 0;
  try {
    // The user _apt, who would download, cannot write here.
    if (!run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", PACKAGE)) return;
    const archive = readdirSync(scratch).find((name) => name.endsWith(".deb"));
    if (archive === undefined || !run("dpkg-deb", "-x", archive, "unpacked")) return;
    mkdirSync(tmpdir(), { recursive: true });
    rmSync(CACHE, { recursive: true, force: true });
    renameSync(join(scratch, "unpacked"), CACHE);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

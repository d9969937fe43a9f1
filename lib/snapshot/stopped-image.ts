// Images that no guest runs on: whether that is so, by QEMU's own locks, and work on them.
//
// QEMU locks bytes of an image (block/file-posix.c): from 100 on one for each permission it has,
// from 200 on one for each that it does not share. The locks die with the process.

import { isByteLocked, openForReading } from "../sys/index.ts";
import { SnapshotRefusal } from "./refusal.ts";

/** enum BdrvPermission: consistent read, write, write unchanged, resize. */
const PERMISSIONS = 4;
const [HAS_AT, SHARES_NOT_AT] = [100, 200];
const [ENDING_MS, POLL_MS] = [3000, 10];
const QEMU_IMG_LIMIT_MS = 24 * 3600 * 1000;

/** Nobody has it open in a way that a writer would notice. Throws SystemError. */
export function isImageFree(path: string): boolean {
  using fd = openForReading(path);
  for (let bit = 0; bit < PERMISSIONS; bit++) {
    if (isByteLocked(fd, HAS_AT + bit) || isByteLocked(fd, SHARES_NOT_AT + bit)) return false;
  }
  return true;
}

/** Waits for a process that is just ending: false if the image is still in use then. */
export async function becomesFree(path: string): Promise<boolean> {
  const untilMs = performance.now() + ENDING_MS;
  while (!isImageFree(path)) {
    if (performance.now() > untilMs) return false;
    await Bun.sleep(POLL_MS);
  }
  return true;
}

/** Copies what `top` holds into `base`, both stopped. `top` stays, and is of no use any more. */
export async function mergeStopped(options: {
  readonly top: string;
  readonly base: string;
  readonly format: string;
}): Promise<void> {
  const { top, base } = options;
  // The formats stand in the header that we wrote: nothing is probed.
  await qemuImg(["commit", "-q", "-d", "-f", "qcow2", "-b", base, top]);
}

/** Runs qemu-img. Throws SnapshotRefusal with what it said. */
export async function qemuImg(words: readonly string[]): Promise<string> {
  let child;
  try {
    child = Bun.spawn(["qemu-img", ...words], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C" },
      timeout: QEMU_IMG_LIMIT_MS,
    });
  } catch (cause) {
    throw new SnapshotRefusal("Cannot run qemu-img: install qemu-utils", { cause });
  }
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status === 0) return stdout;
  const said = stderr.trim().split("\n").join("; ");
  throw new SnapshotRefusal(`qemu-img ${words[0] ?? ""} ended with ${status}: ${said}`);
}

// A watching process that removes something temporary should this process die, SIGKILL included.

import { pointer, reserve } from "./arena.ts";
import { libc } from "./libc.ts";
import { makePipe } from "./pipe.ts";

const newline = reserve(16);
newline.bytes[0] = 0x0a;

export interface Guard {
  /** What it watches is in its place, or gone: there is nothing to remove. */
  dismiss(): void;
}

/** Ends at a line of input; removes the path when the input ends without one: we are dead then. */
const GUARD_SCRIPT = 'read -r line || rm -rf -- "$1"';

/**
 * Watches a file or a folder, in a session of its own: what is typed at the terminal stops us and
 * not the guard. undefined where there is no shell: only a kill can then leave something behind.
 */
export function startGuard(path: string): Guard | undefined {
  const { readEnd, writeEnd } = makePipe();
  try {
    const child = Bun.spawn(["/bin/sh", "-c", GUARD_SCRIPT, "sh", path], {
      stdio: [readEnd.number, "ignore", "ignore"],
      detached: true,
      env: { PATH: "/usr/bin:/bin" },
    });
    child.unref();
  } catch {
    writeEnd[Symbol.dispose]();
    return undefined;
  } finally {
    readEnd[Symbol.dispose]();
  }
  return {
    dismiss() {
      libc.write(writeEnd.number, pointer(newline.address), 1);
      writeEnd[Symbol.dispose]();
    },
  };
}

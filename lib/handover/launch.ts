// Starting an heir: the binary is opened once, and handed to a launcher of ours (launcher.ts) with
// one end of a new channel.

import { RefusedError } from "../base/index.ts";
import {
  type Fd,
  makeNonBlocking,
  makeSocketPair,
  OOM_SCORE_FIRST,
  openForReading,
  openPidfd,
  setOomScore,
  statOf,
} from "../sys/index.ts";
import { standBack, type Started } from "./precedence.ts";
import { refusing } from "./guarded.ts";
import { LAUNCHER_COMMAND, type LaunchSettings, PROGRAM_NAME } from "./launcher.ts";

/** How to start this very program again. */
export interface SelfCommand {
  readonly executable: string;
  /** What stands before the command's name: from source the main script, when compiled nothing. */
  readonly words: readonly string[];
  /** Without the variables that would make the runtime run something else. */
  readonly environment: Record<string, string>;
}

/** A program to become: an open file and the words to start it with. */
export interface Program {
  readonly binary: Fd;
  /** argv[0] first. */
  readonly argv: readonly string[];
  /** A path, for messages. */
  readonly name: string;
}

const EXECUTE_MASK = 0o111;
/**
 * This program's file, also where another one stands at its path by now: that is the usual way for
 * an upgrade, and then process.execPath leads nowhere.
 */
export const OWN_EXECUTABLE = "/proc/self/exe";

/** Opens the binary. Throws SystemError where it cannot be read, RefusedError for no program. */
export function openBinary(path: string): Fd {
  const binary = openForReading(path);
  const stats = statOf(binary.number);
  const wrong = !stats.isFile()
    ? "it is no regular file"
    : (stats.mode & EXECUTE_MASK) === 0
      ? "it is not executable"
      : undefined;
  if (wrong === undefined) return binary;
  binary[Symbol.dispose]();
  throw new RefusedError(`Cannot use "${path}": ${wrong}`);
}

export interface Launched {
  readonly channel: Fd;
  /** undefined once it has ended already. */
  readonly launcher: Started | undefined;
}

/** The channel's other end is the launcher's and the heir's alone. */
export function startHeir(
  self: SelfCommand,
  { argv, binary, name }: Program,
  settings: Omit<LaunchSettings, "argv" | "name">,
): Launched {
  const [channel, theirs] = makeSocketPair("seqpacket");
  makeNonBlocking(channel);
  makeNonBlocking(theirs);
  try {
    const told: LaunchSettings = { ...settings, argv: [...argv], name };
    const words = [...self.words, LAUNCHER_COMMAND, JSON.stringify(told)];
    const child = refusing("Cannot start a process", () =>
      Bun.spawn([OWN_EXECUTABLE, ...words], {
        argv0: PROGRAM_NAME,
        stdio: ["inherit", "inherit", "inherit", theirs.number, binary.number],
        env: self.environment,
      }),
    );
    child.unref();
    standBack(child.pid); // At once: its start alone would be felt.
    // And so is all that it starts: where there is no memory left, the old program is to go on.
    setOomScore(child.pid, OOM_SCORE_FIRST);
    const pidfd = openPidfd(child.pid);
    return { channel, launcher: pidfd && { pid: child.pid, pidfd } };
  } catch (error) {
    channel[Symbol.dispose]();
    throw error;
  } finally {
    theirs[Symbol.dispose]();
  }
}

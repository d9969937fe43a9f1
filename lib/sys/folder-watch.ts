// Waiting for names to appear in folders (inotify), from the loop.
//
//   struct inotify_event   +0 watch i32, +4 mask u32, +8 cookie u32, +12 name bytes u32, +16 name

import { cPath, pointer, reserve } from "./arena.ts";
import { EAGAIN, EINTR, systemError } from "./errno.ts";
import { Fd } from "./file.ts";
import { lastErrno, libc } from "./libc.ts";

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_ATTRIB = 0x4;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_ONLYDIR = 0x0100_0000;
/** A name, or rights to it: a socket is made first and its mode set then. */
const WANTED_MASK = (IN_ATTRIB | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) >>> 0;

const events = reserve(64 * 1024);

/** Owns an inotify descriptor: watch `fd` in the loop for reading, then drain(). */
export class FolderWatch implements Disposable {
  readonly fd: Fd;

  constructor() {
    const number = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    const errno = number === -1 ? lastErrno() : 0;
    const failed = { call: "inotify_init1", errno, object: "inotify" };
    if (number === -1) throw systemError("Cannot watch folders", failed);
    this.fd = new Fd(number, `fd ${number} (inotify)`);
  }

  /** Watches one more folder; again for the same one changes nothing. */
  add(folder: string): void {
    const result = libc.inotify_add_watch(this.fd.number, cPath(folder), WANTED_MASK);
    const errno = result === -1 ? lastErrno() : 0;
    if (result !== -1) return;
    const object = `"${folder}"`;
    throw systemError(`Cannot watch ${object}`, { call: "inotify_add_watch", errno, object });
  }

  /** Takes what has come: something changed in a folder; look which of the names are there. */
  drain(): void {
    for (;;) {
      const got = libc.read(this.fd.number, pointer(events.address), events.length);
      const errno = got === -1 ? lastErrno() : 0;
      if (got > 0 || errno === EINTR) continue;
      if (errno === EAGAIN) return;
      const { name: object } = this.fd;
      throw systemError("Cannot watch folders", { call: "read", errno, object });
    }
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

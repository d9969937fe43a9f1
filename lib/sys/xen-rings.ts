// The pages that domains share with the xenstore daemon, mapped.
//
// A guest's is its grant reference 1 (GNTTAB_RESERVED_XENSTORE), through /dev/xen/gntdev
// (include/uapi/xen/gntdev.h of Linux). The one of the domain we run in comes from its own kernel:
// /dev/xen/xenbus_backend, or the older /proc/xen/xsd_kva and xsd_port. A mapping does not survive
// an exec and does not travel with the descriptor: the next program maps again.

import { readFileSync } from "node:fs";
import { SystemError } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import { systemError } from "./errno.ts";
import { Fd, openForBoth } from "./file.ts";
import { ioctlNumber } from "./ioctl-number.ts";
import { lastErrno, libc } from "./libc.ts";
import { setWord } from "./memory-words.ts";
import type { SharedMemory } from "./shared-memory.ts";
import { mapSharedPage } from "./shared-page.ts";

const MAP_GRANT_REF = ioctlNumber("G", 0, 24);
const UNMAP_GRANT_REF = ioctlNumber("G", 1, 16);
const BACKEND_EVENT_CHANNEL = ioctlNumber("B", 0, 0);
const GRANT_OF_XENSTORE = 1;

export const GRANT_DEVICE_PATH = "/dev/xen/gntdev";
const BACKEND_PATH = "/dev/xen/xenbus_backend";
const OLD_PAGE_PATH = "/proc/xen/xsd_kva";
const OLD_PORT_PATH = "/proc/xen/xsd_port";

const argument = reserve(32);

/** Owns /dev/xen/gntdev. */
export class GrantDevice implements Disposable {
  private readonly fd: Fd;
  constructor(fd: Fd) {
    this.fd = fd;
  }

  /** Maps the ring page of a guest. Disposing of it unmaps the grant. Throws SystemError. */
  mapRing(domid: number): SharedMemory {
    argument.view.setUint32(0, 1, true);
    argument.view.setUint32(4, 0, true);
    setWord(argument.view, 8, 0);
    argument.view.setUint32(16, domid, true);
    argument.view.setUint32(20, GRANT_OF_XENSTORE, true);
    const result = libc.ioctl(this.fd.number, MAP_GRANT_REF, pointer(argument.address));
    const errno = result === -1 ? lastErrno() : 0;
    const { view } = argument;
    const index = view.getUint32(12, true) * 2 ** 32 + view.getUint32(8, true);
    if (result === -1) {
      const object = `grant ${GRANT_OF_XENSTORE} of domain ${domid}`;
      throw systemError("Cannot map a ring", { call: "ioctl", errno, object });
    }
    try {
      return mapSharedPage(this.fd, index);
    } finally {
      // The mapping keeps the grant until it goes; the index is not needed any more.
      setWord(argument.view, 0, index);
      argument.view.setUint32(8, 1, true);
      argument.view.setUint32(12, 0, true);
      libc.ioctl(this.fd.number, UNMAP_GRANT_REF, pointer(argument.address));
    }
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

export const openGrantDevice = (path: string): GrantDevice => new GrantDevice(openForBoth(path));

export interface OwnRing {
  readonly page: SharedMemory;
  /** Of the kernel of this domain. */
  readonly remotePort: number;
}

/** The ring of the domain we run in. Throws SystemError. */
export function mapOwnRing(): OwnRing {
  try {
    using backend = openForBoth(BACKEND_PATH);
    const remotePort = libc.ioctl(backend.number, BACKEND_EVENT_CHANNEL, null);
    const errno = remotePort === -1 ? lastErrno() : 0;
    if (remotePort === -1) {
      throw systemError("Cannot ask for the ring", { call: "ioctl", errno, object: backend.name });
    }
    return { page: mapSharedPage(backend, 0), remotePort };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    using page = openForBoth(OLD_PAGE_PATH);
    return { page: mapSharedPage(page, 0), remotePort: oldPort() };
  }
}

const oldPort = (): number => Number.parseInt(readFileSync(OLD_PORT_PATH, "latin1"), 10);

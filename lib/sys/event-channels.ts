// Event channels of the hypervisor: /dev/xen/evtchn (include/uapi/xen/evtchn.h of Linux). The
// bindings belong to the open file: they go with the descriptor to another program. A port that has
// been read stays masked until it is written back.

import { pointer, reserve } from "./arena.ts";
import { EAGAIN, EINTR, systemError } from "./errno.ts";
import { Fd, openForBoth } from "./file.ts";
import { ioctlNumber } from "./ioctl-number.ts";
import { lastErrno, libc } from "./libc.ts";

const BIND_VIRQ = ioctlNumber("E", 0, 4);
const BIND_INTERDOMAIN = ioctlNumber("E", 1, 8);
const UNBIND = ioctlNumber("E", 3, 4);
const NOTIFY = ioctlNumber("E", 4, 4);
const PORT_BYTES = 4;
const PORTS_PER_READ = 256;
/** More than a dom0 has: they are given out from the lowest on. */
const PORTS_MAX = 16 * 1024;

/** Global, with one binder at a time: some domain has changed its state. */
export const VIRQ_DOMAIN_EXCEPTION = 3;

const argument = reserve(16);
const ports = reserve(PORTS_PER_READ * PORT_BYTES);

/** Owns the device. */
export class EventChannels implements Disposable {
  readonly fd: Fd;
  constructor(fd: Fd) {
    this.fd = fd;
  }

  /** The local port of a virtual interrupt. EEXIST: another program has it. */
  bindVirq(virq: number): number {
    argument.view.setUint32(0, virq, true);
    return this.control("bind a virtual interrupt", BIND_VIRQ);
  }

  /** The local port that is joined to a port of another domain. */
  bind(domid: number, remotePort: number): number {
    argument.view.setUint32(0, domid, true);
    argument.view.setUint32(4, remotePort, true);
    return this.control(`bind to port ${remotePort} of domain ${domid}`, BIND_INTERDOMAIN);
  }

  unbind(port: number): void {
    argument.view.setUint32(0, port, true);
    libc.ioctl(this.fd.number, UNBIND, pointer(argument.address)); // Gone with its domain: fine.
  }

  /** Raises the event at the other end. */
  notify(port: number): void {
    argument.view.setUint32(0, port, true);
    libc.ioctl(this.fd.number, NOTIFY, pointer(argument.address)); // Nobody there: nothing to do.
  }

  /** Reads which ports fired; portAt() tells them. 0 when none did. */
  read(): number {
    return readPorts(this.fd);
  }

  portAt(index: number): number {
    return ports.view.getUint32(index * PORT_BYTES, true);
  }

  /** Lets the first `count` ports of the last read() fire again. */
  unmask(count: number): void {
    if (count > 0) libc.write(this.fd.number, pointer(ports.address), count * PORT_BYTES);
  }

  /**
   * For a descriptor whose program was killed at any point: of the ports that it may have, those
   * that nobody knows are closed, and those that were read and not written back may fire again.
   */
  repair(known: ReadonlySet<number>): void {
    for (let port = 1; port < PORTS_MAX; port++) {
      if (!known.has(port)) this.unbind(port);
    }
    for (const port of known) {
      ports.view.setUint32(0, port, true);
      this.unmask(1);
    }
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }

  private control(what: string, request: number): number {
    const result = libc.ioctl(this.fd.number, request, pointer(argument.address));
    const errno = result === -1 ? lastErrno() : 0;
    if (result !== -1) return result;
    throw systemError(`Cannot ${what}`, { call: "ioctl", errno, object: this.fd.name });
  }
}

export const EVENT_CHANNEL_PATH = "/dev/xen/evtchn";

export const openEventChannels = (path: string): EventChannels =>
  new EventChannels(openForBoth(path));

function readPorts(fd: Fd): number {
  const got = libc.read(fd.number, pointer(ports.address), PORTS_PER_READ * PORT_BYTES);
  const errno = got === -1 ? lastErrno() : 0;
  if (got >= 0) return Math.floor(got / PORT_BYTES);
  if (errno === EAGAIN || errno === EINTR) return 0;
  throw systemError("Cannot read events", { call: "read", errno, object: fd.name });
}

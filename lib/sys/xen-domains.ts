// What the hypervisor says of a domain, by hypercall through /dev/xen/privcmd. The stock tools use
// libxenctrl for this, whose name and structures change with every release; two domctls are enough:
//
//   get_domain_state (since 4.21, stable: interface version 0), preferred where it answers
//   getdomaininfo (before), which takes only the hypervisor's own interface version: they are tried
//     once, until one is not refused with EACCES
//
//   struct xen_domctl: +0 command u32, +4 interface version u32, +8 domain u16, +16 the union:
//     getdomaininfo     +16 domain u16, +20 flags u32
//     get_domain_state  +16 state u16, +18 capabilities u16, +24 unique id u64
//
// What the hypervisor reads and writes must not move and not be swapped: it is a page mapped from
// /dev/xen/hypercall, or locked memory on kernels without that.

import { toArrayBuffer, type Pointer } from "bun:ffi";
import { RefusedError, SystemError } from "../base/index.ts";
import { pointer, reserve } from "./arena.ts";
import { EACCES, ESRCH, systemError } from "./errno.ts";
import { Fd, openForBoth } from "./file.ts";
import { ioctlNumber } from "./ioctl-number.ts";
import { lastErrno, libc } from "./libc.ts";
import { setWord } from "./memory-words.ts";

const HYPERCALL = ioctlNumber("P", 0, 48);
const HYPERCALL_BUFFER_PATH = "/dev/xen/hypercall";
export const PRIVILEGED_COMMAND_PATH = "/dev/xen/privcmd";
const PAGE_BYTES = 4096;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

const DOMCTL = 36;
const GET_DOMAIN_INFO = 5;
const GET_DOMAIN_STATE = 90;
const DOMCTL_BYTES = 16 + 128;
const UNION_AT = 16;
/** Of Xen 4.13 and of one that is still far away. */
const [VERSION_FIRST, VERSION_LAST] = [0x12, 0x30] as const;

const DYING_MASK = 1;
const SHUTDOWN_MASK = 4;
const STATE = { exists: 1, shutdown: 2, dying: 4, dead: 8 } as const;

const request = reserve(48);

export interface DomainState {
  readonly isShutDown: boolean;
  /** Being torn down, or nearly gone. */
  readonly isDying: boolean;
  /** Of this domain among all that ever were, where the hypervisor gives one. */
  readonly uniqueId: bigint | undefined;
}

/** Owns /dev/xen/privcmd. */
export class DomainStates implements Disposable {
  private readonly fd: Fd;
  private readonly address: number;
  private readonly view: DataView;
  /** 0: the stable operation is there. */
  private readonly version: number;

  /** Throws SystemError, RefusedError for a hypervisor that answers to neither operation. */
  constructor(path: string) {
    this.fd = openForBoth(path);
    this.address = hypercallPage();
    this.view = new DataView(toArrayBuffer(this.address as Pointer, 0, DOMCTL_BYTES));
    this.version = this.probe();
  }

  /** Undefined when there is no such domain. Throws SystemError. */
  of(domid: number): DomainState | undefined {
    const errno = this.ask(this.version, domid);
    if (errno === ESRCH) return undefined;
    if (errno !== 0) {
      const object = `domain ${domid}`;
      throw systemError("Cannot ask for the state", { call: "ioctl", errno, object });
    }
    return this.version === 0 ? this.stableAnswer() : this.oldAnswer(domid);
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }

  private stableAnswer(): DomainState | undefined {
    const mask = this.view.getUint16(UNION_AT, true);
    if ((mask & STATE.exists) === 0 || (mask & STATE.dead) !== 0) return undefined;
    return {
      isShutDown: (mask & STATE.shutdown) !== 0,
      isDying: (mask & STATE.dying) !== 0,
      uniqueId: this.view.getBigUint64(UNION_AT + 8, true),
    };
  }

  private oldAnswer(domid: number): DomainState | undefined {
    // Older hypervisors answer with the next domain where there is none of this number.
    if (this.view.getUint16(UNION_AT, true) !== domid) return undefined;
    const mask = this.view.getUint32(UNION_AT + 4, true);
    const isDying = (mask & DYING_MASK) !== 0;
    return { isShutDown: (mask & SHUTDOWN_MASK) !== 0, isDying, uniqueId: undefined };
  }

  private probe(): number {
    if (this.ask(0, 0) === 0) return 0;
    for (let version = VERSION_FIRST; version <= VERSION_LAST; version++) {
      const errno = this.ask(version, 0);
      if (errno === 0) return version;
      if (errno === EACCES) continue;
      throw systemError("Cannot ask the hypervisor", { call: "ioctl", errno, object: "domain 0" });
    }
    throw new RefusedError(
      `Cannot ask the hypervisor for the state of domains: wanted a domctl version from ` +
        `${VERSION_FIRST} to ${VERSION_LAST}, found that it takes none of them`,
    );
  }

  /** 0 or the errno. */
  private ask(version: number, domid: number): number {
    for (let at = 0; at < DOMCTL_BYTES; at += 4) this.view.setUint32(at, 0, true);
    this.view.setUint32(0, version === 0 ? GET_DOMAIN_STATE : GET_DOMAIN_INFO, true);
    this.view.setUint32(4, version, true);
    this.view.setUint16(8, domid, true);
    request.bytes.fill(0);
    setWord(request.view, 0, DOMCTL);
    setWord(request.view, 8, this.address);
    const result = libc.ioctl(this.fd.number, HYPERCALL, pointer(request.address));
    return result === -1 ? lastErrno() : 0;
  }
}

function hypercallPage(): number {
  try {
    using device = openForBoth(HYPERCALL_BUFFER_PATH);
    const fd = device.number;
    const address = libc.mmap(null, PAGE_BYTES, PROT_READ_WRITE, MAP_SHARED, fd, 0);
    if (address !== -1) return address;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error; // An older kernel.
  }
  const { address } = reserve(PAGE_BYTES);
  libc.mlock(pointer(address), PAGE_BYTES);
  return address;
}

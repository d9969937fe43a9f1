// The hypervisor port played by files, for tests on a machine without Xen. The same files as the
// stand-in uses that lets the stock daemons run there, so that one client drives all of them:
//
//   ring.N    4096 bytes: it makes domain N exist, and is its ring page. ring.0 is always there
//   shut.N    domain N is reported as shut down
//   dying.N   domain N is reported as dying
//   evtchn    FIFO: a native u32 written to it raises that port. Port 1 tells of changed domains,
//             domain N is port 100 + N
//   kick.N    FIFO, where it is wanted: a byte comes when domain N is notified

import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  EventChannels,
  makeFifo,
  makeFolders,
  mapSharedPage,
  openForBoth,
  openOrCreate,
  pokeFifo,
  resizeFile,
  statOf,
  type Fd,
  type SharedMemory,
} from "../sys/index.ts";
import type { DomainCondition, Hypervisor, OwnRingPage } from "./hypervisor.ts";

const CHANGE_PORT = 1;
const PORT_BASE = 100;
/** What the kernel of domain 0 would listen on. */
const OWN_REMOTE_PORT = 2;
const PAGE_BYTES = 4096;
const DOMID_FIRST_RESERVED = 0x7ff0;

export class FileHypervisor implements Hypervisor {
  readonly eventFd: Fd;
  readonly changePort = CHANGE_PORT;
  private readonly folder: string;
  private readonly channels: EventChannels;

  /** Makes what is missing in the folder. Throws SystemError. */
  constructor(folder: string, inheritedEvents: Fd | undefined) {
    this.folder = folder;
    makeFolders(folder);
    const fifo = join(folder, "evtchn");
    if (!existsSync(fifo)) makeFifo(fifo);
    this.eventFd = inheritedEvents ?? openForBoth(fifo);
    this.channels = new EventChannels(this.eventFd);
    using ownRing = openOrCreate(this.path("ring", 0));
    if (statOf(ownRing.number).size < PAGE_BYTES) resizeFile(ownRing, PAGE_BYTES);
  }

  releaseChanges(): void {
    // Nobody binds a port here.
  }
  bindChanges(): void {
    // It is always the same one.
  }
  readEvents(): number {
    return this.channels.read();
  }
  eventAt(index: number): number {
    return this.channels.portAt(index);
  }
  endEvents(): void {
    // Nothing masks a port here.
  }
  repair(): void {
    // A port is its domain's for good, and never masked.
  }
  bind(domid: number): number {
    return PORT_BASE + domid;
  }
  unbind(): void {
    // A port is its domain's for good.
  }
  notify(port: number): void {
    pokeFifo(this.path("kick", port - PORT_BASE));
  }

  conditionOf(domid: number): DomainCondition | undefined {
    if (domid >= DOMID_FIRST_RESERVED) return undefined;
    if (domid !== 0 && !existsSync(this.path("ring", domid))) return undefined;
    const isShutDown = existsSync(this.path("shut", domid));
    return { isShutDown, isDying: existsSync(this.path("dying", domid)), uniqueId: undefined };
  }

  mapRing(domid: number): SharedMemory {
    using file = openForBoth(this.path("ring", domid));
    return mapSharedPage(file, 0);
  }

  mapOwnRing(): OwnRingPage {
    return { page: this.mapRing(0), remotePort: OWN_REMOTE_PORT };
  }

  [Symbol.dispose](): void {
    this.channels[Symbol.dispose]();
  }

  private path(kind: string, domid: number): string {
    return join(this.folder, `${kind}.${domid}`);
  }
}

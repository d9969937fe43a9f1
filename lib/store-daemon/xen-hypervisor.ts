// The hypervisor port over the devices of a Xen dom0: /dev/xen/evtchn, gntdev, xenbus_backend and
// privcmd.

import {
  DomainStates,
  EVENT_CHANNEL_PATH,
  EventChannels,
  GRANT_DEVICE_PATH,
  GrantDevice,
  mapOwnRing,
  openEventChannels,
  openGrantDevice,
  PRIVILEGED_COMMAND_PATH,
  type Fd,
  type SharedMemory,
  VIRQ_DOMAIN_EXCEPTION,
} from "../sys/index.ts";
import type { DomainCondition, Hypervisor, OwnRingPage } from "./hypervisor.ts";

/** Event channels that come from the program before us, with their bindings. */
export interface InheritedEvents {
  readonly fd: Fd;
  /** undefined: bind it anew. */
  readonly changePort: number | undefined;
}

export class XenHypervisor implements Hypervisor {
  readonly eventFd: Fd;
  private changes: number;
  private readonly channels: EventChannels;
  private readonly grants: GrantDevice;
  private readonly domains: DomainStates;
  private readonly ownDomid: number;
  private readonly isInherited: boolean;

  /** Throws SystemError: no Xen here, or another xenstore daemon runs (EEXIST of the VIRQ). */
  constructor(ownDomid: number, inherited: InheritedEvents | undefined) {
    this.ownDomid = ownDomid;
    this.isInherited = inherited !== undefined;
    this.channels =
      inherited === undefined
        ? openEventChannels(EVENT_CHANNEL_PATH)
        : new EventChannels(inherited.fd);
    this.eventFd = this.channels.fd;
    this.grants = openGrantDevice(GRANT_DEVICE_PATH);
    this.domains = new DomainStates(PRIVILEGED_COMMAND_PATH);
    this.changes = inherited?.changePort ?? this.channels.bindVirq(VIRQ_DOMAIN_EXCEPTION);
  }

  get changePort(): number {
    return this.changes;
  }
  releaseChanges(): void {
    this.channels.unbind(this.changes);
    this.changes = 0;
  }
  bindChanges(): void {
    this.changes = this.channels.bindVirq(VIRQ_DOMAIN_EXCEPTION);
  }
  readEvents(): number {
    return this.channels.read();
  }
  eventAt(index: number): number {
    return this.channels.portAt(index);
  }
  endEvents(count: number): void {
    this.channels.unmask(count);
  }
  repair(ports: ReadonlySet<number>): void {
    if (this.isInherited) this.channels.repair(new Set([...ports, this.changePort]));
  }
  bind(domid: number, remotePort: number): number {
    return this.channels.bind(domid, remotePort);
  }
  unbind(port: number): void {
    this.channels.unbind(port);
  }
  notify(port: number): void {
    this.channels.notify(port);
  }
  conditionOf(domid: number): DomainCondition | undefined {
    return this.domains.of(domid);
  }
  mapRing(domid: number): SharedMemory {
    return domid === this.ownDomid ? mapOwnRing().page : this.grants.mapRing(domid);
  }
  mapOwnRing(): OwnRingPage {
    return mapOwnRing();
  }

  [Symbol.dispose](): void {
    this.channels[Symbol.dispose]();
    this.grants[Symbol.dispose]();
    this.domains[Symbol.dispose]();
  }
}

// What runs the disks of a group: a guest's QEMU, or our private storage daemon for disks that no
// guest has. Both speak the same QMP, so that everything above treats them alike.

import { SystemError } from "../base/index.ts";
import {
  diskOfNode,
  type QemuDisk,
  queryDisks,
  queryJobs,
  queryNodes,
  queryStatus,
} from "./block-facts.ts";
import type { DiskSpec, GroupSpec, GuestSpec } from "./group-spec.ts";
import { isRefused, type Monitor, type MonitorAddress, MonitorError } from "./monitor.ts";
import { type MonitorLimits, openMonitor } from "./open-monitor.ts";
import { readChain } from "./image-chain.ts";
import { SnapshotRefusal } from "./refusal.ts";
import { startStorageDaemon } from "./storage-daemon.ts";
import { disksBehindBackends } from "./xen-backends.ts";
import { domainState, hasXl } from "./xl-toolstack.ts";

const STOPPED = "stopped disks";

export interface Emulator {
  readonly name: string;
  /** undefined: our own storage daemon, which ends with us. */
  readonly address: MonitorAddress | undefined;
  readonly guestAgent: string | undefined;
  readonly monitor: Monitor;
  /** Run state; undefined for the storage daemon. */
  readonly status: string | undefined;
  readonly jobs: readonly string[];
  readonly disks: readonly QemuDisk[];
  close(): Promise<void>;
}

/** A reason why the group cannot be worked on; `subject` is a guest or a disk. */
export interface Reason {
  readonly subject: string;
  readonly message: string;
}

export interface OpenGroup extends AsyncDisposable {
  readonly emulators: readonly Emulator[];
  /** Everything that could not be opened, or is not there. */
  readonly reasons: readonly Reason[];
}

/** Reaches everything of the group at the same time, and reports all that it could not reach. */
export async function openGroup(spec: GroupSpec, limits: MonitorLimits): Promise<OpenGroup> {
  const reasons: Reason[] = [];
  const wanted = spec.guests.map((guest) => openGuest(guest, limits, reasons));
  if (spec.disks.length > 0) wanted.push(openStopped(spec.disks, limits, reasons));
  const emulators = (await Promise.all(wanted)).filter((one) => one !== undefined);
  return {
    emulators,
    reasons,
    async [Symbol.asyncDispose]() {
      await Promise.all(emulators.map((emulator) => emulator.close()));
    },
  };
}

/** The message of what an expected failure threw; everything else passes. */
export function messageOf(error: unknown): string {
  const isExpected =
    error instanceof MonitorError ||
    error instanceof SystemError ||
    error instanceof SnapshotRefusal;
  if (!isExpected) throw error;
  return error.message;
}

async function openGuest(
  guest: GuestSpec,
  limits: MonitorLimits,
  reasons: Reason[],
): Promise<Emulator | undefined> {
  const { name, address, guestAgent } = guest;
  let monitor: Monitor | undefined;
  try {
    monitor = await openMonitor(address, limits);
    // One question after the other: QEMU serves the guest's disks in between.
    const status = await statusOf(address, monitor);
    const jobs = await queryJobs(monitor);
    const all = await queryDisks(monitor);
    const isDrive = (name: string) => all.some(({ names }) => names.includes(name));
    const needsNodes = guest.disks?.some((name) => !isDrive(name)) ?? false;
    const nodes = needsNodes ? await queryNodes(monitor) : [];
    const disks = chosenDisks(guest, all, (node) => diskOfNode(nodes, node), reasons);
    const opened = monitor;
    return {
      name,
      address,
      guestAgent,
      monitor,
      status,
      jobs: jobs.map(({ id, type }) => `"${id}" (${type})`),
      disks,
      close: () => opened.close(),
    };
  } catch (error) {
    reasons.push({ subject: name, message: messageOf(error) });
    await monitor?.close();
    return undefined;
  }
}

/** QEMU says nothing of what `xl pause` did. */
async function statusOf(address: MonitorAddress, monitor: Monitor): Promise<string> {
  const status = await queryStatus(monitor);
  if (address.kind !== "libxl" || status !== "running" || !hasXl()) return status;
  return (await domainState(address.domid)) ?? status;
}

function chosenDisks(
  { name: guest, address, disks: wanted }: GuestSpec,
  all: readonly QemuDisk[],
  nodeNamed: (name: string) => QemuDisk | undefined,
  reasons: Reason[],
): QemuDisk[] {
  const foreign = address.kind === "libxl" ? disksBehindBackends(address.domid) : [];
  if (wanted === undefined) {
    for (const { name, backend } of foreign) {
      reasons.push({
        subject: `${guest}: ${name}`,
        message: `the disk is served by ${backend}, not by QEMU: leave it out with --disks`,
      });
    }
    const chosen = all.filter(({ medium }) => medium !== undefined && !medium.isReadOnly);
    if (chosen.length === 0 && foreign.length === 0) {
      reasons.push({ subject: guest, message: "QEMU has no disk that could be written" });
    }
    return chosen;
  }
  const known = all.map(({ name }) => `"${name}"`).join(", ") || "none";
  return wanted.flatMap((name) => {
    const found = all.filter(({ names }) => names.includes(name));
    const disk = found[0] ?? nodeNamed(name);
    if (disk !== undefined && found.length <= 1) return [disk];
    const backend = foreign.find((one) => one.name === name)?.backend;
    const unknown = `QEMU has no disk of that name (it has ${known})`;
    const message =
      found.length > 1
        ? "more than one disk is called so"
        : backend === undefined
          ? `${unknown}; one that a backend of the kernel or tapdisk serves is not QEMU's`
          : `the disk is served by ${backend}, not by QEMU`;
    reasons.push({ subject: `${guest}: ${name}`, message });
    return [];
  });
}

/** Opens every stopped disk in a storage daemon, and so takes its lock. */
async function openStopped(
  specs: readonly DiskSpec[],
  limits: MonitorLimits,
  reasons: Reason[],
): Promise<Emulator | undefined> {
  let daemon;
  try {
    daemon = await startStorageDaemon(limits);
  } catch (error) {
    reasons.push({ subject: STOPPED, message: messageOf(error) });
    return undefined;
  }
  const { monitor } = daemon;
  const disks: QemuDisk[] = [];
  try {
    const nodes = specs.map((_, index) => `disk${index}`);
    await Promise.all(
      specs.map(async (spec, index) => {
        const reason = await addDisk(monitor, spec, nodes[index]!); // One for each.
        if (reason !== undefined) reasons.push({ subject: spec.path, message: reason });
      }),
    );
    const found = await queryNodes(monitor);
    for (const [index, { path }] of specs.entries()) {
      const disk = diskOfNode(found, nodes[index]!);
      if (disk !== undefined) disks.push({ ...disk, name: path, names: [path] });
    }
  } catch (error) {
    reasons.push({ subject: STOPPED, message: messageOf(error) });
  }
  return {
    name: STOPPED,
    address: undefined,
    guestAgent: undefined,
    monitor,
    status: undefined,
    jobs: [],
    disks,
    close: () => daemon.close(),
  };
}

/** Why QEMU cannot open it, or undefined. Nothing is probed: formats are given or in headers. */
async function addDisk(
  monitor: Monitor,
  { path, format }: DiskSpec,
  node: string,
): Promise<string | undefined> {
  try {
    if (format === "qcow2") readChain(path);
    const file = { driver: "file", filename: path };
    await monitor.execute("blockdev-add", { driver: format, "node-name": node, file });
    return undefined;
  } catch (error) {
    if (!isRefused(error)) return messageOf(error);
    const isLocked = /lock/i.test(error.message); // Only for a better hint: the refusal counts.
    return isLocked ? `it is in use by another process: ${error.message}` : error.message;
  }
}

// Which disks make a group: from a small JSON or TOML file, or from words of the command line.

import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import * as v from "valibot";
import { UsageError } from "../base/index.ts";
import type { MonitorAddress } from "./monitor.ts";

const name = v.pipe(v.string(), v.minLength(1), v.maxLength(100));
const path = v.pipe(v.string(), v.minLength(1), v.maxLength(4095));

const Guest = v.strictObject({
  name: v.optional(name),
  /** One of these says how its monitor is reached. */
  qmp: v.optional(path),
  libxl: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0x7ff0))),
  virsh: v.optional(name),
  uri: v.optional(name),
  disks: v.optional(v.pipe(v.array(name), v.minLength(1))),
  "guest-agent": v.optional(path),
});
const Disk = v.strictObject({ path, format: v.picklist(["qcow2", "raw"]) });
const GroupFile = v.strictObject({
  guest: v.optional(v.array(Guest), []),
  disk: v.optional(v.array(Disk), []),
});

export interface GuestSpec {
  readonly name: string;
  readonly address: MonitorAddress;
  /** undefined: every disk that has a medium and is not read-only. */
  readonly disks: readonly string[] | undefined;
  /** Socket of qemu-ga's channel. */
  readonly guestAgent: string | undefined;
}
export interface DiskSpec {
  readonly path: string;
  readonly format: "qcow2" | "raw";
}
export interface GroupSpec {
  readonly guests: readonly GuestSpec[];
  readonly disks: readonly DiskSpec[];
}

export const LIBXL_SOCKET_PREFIX = "/run/xen/qmp-libxl-";
const KINDS = "qmp:PATH, libxl:DOMID, virsh:DOMAIN, qcow2:PATH or raw:PATH";

/** Words such as "qmp:/run/web.qmp" and "qcow2:/srv/data.qcow2". Throws UsageError. */
export function groupFromWords(words: readonly string[]): GroupSpec {
  const guests: v.InferOutput<typeof Guest>[] = [];
  const disks: v.InferOutput<typeof Disk>[] = [];
  for (const word of words) {
    const [, kind, rest = ""] = /^([a-z0-9]+):(.*)$/s.exec(word) ?? [];
    if (rest === "") throw new UsageError(`Cannot take "${word}": wanted ${KINDS}`);
    if (kind === "qmp") guests.push({ qmp: rest });
    else if (kind === "virsh") guests.push({ virsh: rest });
    else if (kind === "libxl" && /^[0-9]{1,5}$/.test(rest)) guests.push({ libxl: Number(rest) });
    else if (kind === "qcow2" || kind === "raw") disks.push({ path: rest, format: kind });
    else throw new UsageError(`Cannot take "${word}": wanted ${KINDS}`);
  }
  return checked({ guest: guests, disk: disks }, process.cwd(), "the command line");
}

/** Relative paths in it begin at its folder. Throws UsageError; a SystemError of reading passes. */
export function groupFromFile(file: string): GroupSpec {
  const text = readText(file);
  let value: unknown;
  try {
    value = file.endsWith(".json") ? JSON.parse(text) : Bun.TOML.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const format = file.endsWith(".json") ? "JSON" : "TOML";
    throw new UsageError(`Cannot use group file "${file}": it is no ${format}: ${why}`);
  }
  const result = v.safeParse(GroupFile, value);
  if (result.success) return checked(result.output, resolve(file, ".."), `group file "${file}"`);
  const [issue] = result.issues;
  const where = issue.path?.map(({ key }) => String(key)).join(".") ?? "the top";
  throw new UsageError(`Cannot use group file "${file}": at ${where}: ${issue.message}`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new UsageError(`Cannot read group file "${file}": ${code}`);
  }
}

function checked(
  group: v.InferOutput<typeof GroupFile>,
  folder: string,
  source: string,
): GroupSpec {
  const guests = group.guest.map((guest, index): GuestSpec => {
    const address = addressOf(guest, folder, `guest ${index + 1} in ${source}`);
    const agent = guest["guest-agent"];
    return {
      name: guest.name ?? defaultName(address),
      address,
      disks: guest.disks,
      guestAgent: agent === undefined ? undefined : resolve(folder, agent),
    };
  });
  const disks = group.disk.map((disk) => ({ ...disk, path: resolve(folder, disk.path) }));
  if (guests.length + disks.length === 0) {
    throw new UsageError(`Cannot take ${source} as a group: there is no guest and no disk in it`);
  }
  const names = guests.map((guest) => guest.name);
  const twice = names.find((one, index) => names.indexOf(one) !== index);
  if (twice === undefined) return { guests, disks };
  throw new UsageError(`Cannot take ${source} as a group: two guests are called "${twice}"`);
}

function addressOf(
  { qmp, libxl, virsh, uri }: v.InferOutput<typeof Guest>,
  folder: string,
  where: string,
): MonitorAddress {
  const given = [qmp, libxl, virsh].filter((one) => one !== undefined);
  if (given.length !== 1)
    throw new UsageError(`Cannot reach ${where}: wanted one of qmp, libxl, virsh`);
  if (uri !== undefined && virsh === undefined) {
    throw new UsageError(`Cannot reach ${where}: uri is for virsh`);
  }
  if (virsh !== undefined) return { kind: "virsh", domain: virsh, uri: uri ?? null };
  if (libxl !== undefined) {
    return { kind: "libxl", domid: libxl, path: `${LIBXL_SOCKET_PREFIX}${libxl}` };
  }
  return { kind: "qmp", path: resolve(folder, qmp!) }; // One of the three is given, see above.
}

function defaultName(address: MonitorAddress): string {
  if (address.kind === "virsh") return address.domain;
  if (address.kind === "libxl") return `domain ${address.domid}`;
  return basename(address.path).replace(/\.(qmp|sock|socket|monitor)$/, "");
}

// From what inspect's readers found to facts under names.

import { hex } from "../../base/index.ts";
import { borrow, readAt } from "../../sys/index.ts";
import type { GuestState } from "../inspect/index.ts";
import type { StoredInput } from "../input/index.ts";
import { CONTENTS, digestText, type Facts } from "./facts.ts";

const CHUNK_BYTES = 64 * 1024;
/** Type, section id, length of the name; instance and version behind it. */
const SECTION_HEADER_BYTES = 14;

/** The groups of facts that are about one thing, by how their names begin. */
export const GROUP = {
  cpuid: "CPUID policy",
  msrs: "MSR policy",
  config: "config",
  hvmParams: "HVM parameters",
  tsc: "TSC",
  guest: "guest",
  /** The device model's; of a suspend image the guest's own. */
  xenstore: "xenstore",
  guestXenstore: "xenstore of the guest",
  device: "device ",
  emulator: "emulator",
  vcpu: "vcpu ",
} as const;

export function addStateFacts(facts: Facts, guest: GuestState, input: StoredInput): void {
  addPolicies(facts, guest);
  for (const { name, value } of guest.config?.settings ?? []) {
    facts.set(GROUP.config, name, value);
  }
  if (guest.pvWidth !== null) facts.set(GROUP.guest, "bits", String(guest.pvWidth * 8));
  if (guest.pvTableLevels !== null) {
    facts.set(GROUP.guest, "page table levels", String(guest.pvTableLevels));
  }
  if (guest.lastPfn !== null) facts.set(GROUP.guest, "last pfn", hex(guest.lastPfn));
  if (guest.tsc !== null) {
    const { mode, mode_name: name, khz, nsec, incarnation } = guest.tsc;
    facts.setAll(GROUP.tsc, { mode: `${mode} (${name})`, khz: String(khz), nsec });
    facts.set(GROUP.tsc, "incarnation", String(incarnation));
  }
  for (const { index, name, value } of guest.hvm.paramList) {
    facts.set(GROUP.hvmParams, name ?? `parameter ${index}`, value);
  }
  const xenstore = guest.suspendImage === null ? GROUP.xenstore : GROUP.guestXenstore;
  for (const { key, value } of guest.xenstore.list) facts.set(xenstore, key, value);
  addVcpus(facts, guest);
  for (const entry of guest.hvm.context?.entries ?? []) {
    if (entry.name === "CPU" || entry.name === "END") continue; // Under its vcpu.
    facts.setAll(`${entry.name} ${entry.instance}`, entry.fields);
    facts.set(`${entry.name} ${entry.instance}`, "bytes", String(entry.bytes));
  }
  addDevices(facts, guest, input);
}

function addPolicies(facts: Facts, guest: GuestState): void {
  for (const { leaf, subleaf, eax, ebx, ecx, edx } of guest.cpuid?.leaves ?? []) {
    const name = cpuidLeafName(leaf, subleaf);
    for (const [register, value] of Object.entries({ eax, ebx, ecx, edx })) {
      facts.set(GROUP.cpuid, `${name} ${register}`, hex(value));
    }
  }
  for (const { index, name, value } of guest.msrs) {
    facts.set(GROUP.msrs, msrName(index, name), value);
  }
}

export const cpuidLeafName = (leaf: number, subleaf: number | null): string =>
  `${hex(leaf)}${subleaf === null ? "" : `:${subleaf}`}`;

const msrName = (index: number, name: string | null): string => name ?? `MSR ${hex(index)}`;

function addVcpus(facts: Facts, guest: GuestState): void {
  for (const vcpu of [...guest.pvVcpus.list, ...guest.hvm.vcpuList]) {
    const group = `${GROUP.vcpu}${vcpu.id}`;
    facts.set(group, "kind", vcpu.kind);
    facts.setAll(group, vcpu.registers);
    facts.set(group, "flags", vcpu.flags.join(", "));
    if (vcpu.xsave !== null) {
      const { bytes, xcr0, xcr0_accum: accum } = vcpu.xsave;
      facts.setAll(group, { xcr0, xcr0_accum: accum, "xsave bytes": String(bytes) });
    }
    for (const { index, name, value } of vcpu.msrs) {
      facts.set(group, `MSR ${name ?? hex(index)}`, value);
    }
  }
}

/** The same names whether libxl or xenopsd put them into the stream. */
function addDevices(facts: Facts, guest: GuestState, input: StoredInput): void {
  for (const { kind, is_qemu_stream: isQemu, machine, sections, ...emulator } of guest.emulators
    .list) {
    if (!isQemu) {
      const group = `${GROUP.emulator} ${kind}`;
      const { offset, bytes } = emulator;
      facts.set(group, CONTENTS, digestAt(input, { fileOffset: offset, bytes }));
      continue;
    }
    facts.set(GROUP.emulator, "machine", machine ?? "not named");
    for (const { name, instance_id: instance, version_id: version, offset, bytes } of sections) {
      const group = `${GROUP.device}${name} ${instance}`;
      facts.setAll(group, { version: String(version), bytes: String(bytes) });
      const fileOffset = offset + SECTION_HEADER_BYTES + name.length;
      facts.set(group, CONTENTS, digestAt(input, { fileOffset, bytes }));
    }
  }
}

function digestAt(
  input: StoredInput,
  { fileOffset, bytes }: { readonly fileOffset: number; readonly bytes: number },
): string {
  using loan = borrow(CHUNK_BYTES);
  const hasher = new Bun.CryptoHasher("sha256");
  for (let done = 0; done < bytes;) {
    const want = Math.min(CHUNK_BYTES, bytes - done);
    const got = readAt(input.file, loan.region.address, want, fileOffset + done);
    if (got === 0) break; // It was cut short meanwhile: then it is another content.
    hasher.update(loan.region.bytes.subarray(0, got));
    done += got;
  }
  return digestText(bytes, hasher);
}

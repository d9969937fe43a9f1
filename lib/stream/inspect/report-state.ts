// The parts of the report of inspect that are about the guest's state: vcpus, policies, devices,
// config, and single records and pages in full.

import * as v from "valibot";
import { count, decimal64, flag, hex64, text, texts } from "./schema-values.ts";

export const MsrSchema = v.strictObject({
  index: count("number of the MSR"),
  name: v.nullable(text("such as ARCH_CAPABILITIES; null where unknown")),
  value: hex64("its value"),
  features: texts("bits that are set and have a name"),
});

export const VcpuSchema = v.strictObject({
  id: count("vcpu number"),
  kind: v.picklist(["pv32", "pv64", "hvm"]),
  offset: count("where its registers stand: the record, or the entry of the HVM context"),
  times_sent: count("checkpointed streams send it again; this is the last one"),
  registers: v.pipe(
    v.record(v.string(), v.string()),
    v.description('by name, in hex: {"rip": "0xffffffff81000000"}'),
  ),
  flags: texts("what the flags word says"),
  xsave: v.nullable(
    v.strictObject({
      bytes: count("size of the area with its header"),
      xcr0: hex64("features switched on"),
      xcr0_accum: hex64("features ever switched on"),
      features: texts("xcr0 by name"),
    }),
  ),
  extended_bytes: v.nullable(count("size of X86_PV_VCPU_EXTENDED")),
  msrs: v.array(MsrSchema),
});

export const TscSchema = v.strictObject({
  mode: count("0 to 3"),
  mode_name: text("default, always emulate, never emulate or PVRDTSCP"),
  khz: count("frequency"),
  nsec: decimal64("elapsed nanoseconds"),
  incarnation: count("how often it was restored"),
});

export const HvmParamSchema = v.strictObject({
  index: count("number of the parameter"),
  name: v.nullable(text("such as STORE_PFN; null where unknown")),
  value: hex64("its value"),
  meaning: v.nullable(text("what the value says, where it does not speak for itself")),
});

export const HvmContextSchema = v.strictObject({
  offset: count("where it begins"),
  bytes: count("its size"),
  times_sent: count("checkpointed streams send it again; this is the last one"),
  header: v.nullable(
    v.strictObject({
      version: count("1"),
      changeset: hex64("all ones where the saving Xen did not know its own"),
      cpuid: count("leaf 1 eax of the saving host"),
      tsc_khz: count("TSC frequency of the saving host"),
    }),
  ),
  entries: v.array(
    v.strictObject({
      typecode: count("number of the type"),
      name: text("such as LAPIC"),
      instance: count("vcpu or device number"),
      offset: count("absolute offset of its descriptor"),
      bytes: count("size of its body"),
      fields: v.pipe(
        v.record(v.string(), v.string()),
        v.description("what is known of the body, for people"),
      ),
    }),
  ),
  entries_left_off: count("entries that are not in the list"),
});

export const EmulatorSchema = v.strictObject({
  kind: text("Unknown, Qemu Traditional, Qemu Upstream, or the name of a suspend image's record"),
  index: count("emulator index"),
  offset: count("where the record's body begins"),
  bytes: count("size of its state"),
  times_sent: count("checkpointed streams send it again; this is the last one"),
  is_qemu_stream: flag("it begins as QEMU's migration stream does"),
  machine: v.nullable(text("machine type, where the stream names it")),
  sections: v.array(
    v.strictObject({
      name: text("the device: 0000:00:01.1/ide"),
      kind: v.picklist(["start", "part", "end", "full"]),
      section_id: count("its id in the stream"),
      instance_id: count("which one of its kind"),
      version_id: count("version of the device's state"),
      offset: count("absolute offset of its header"),
      bytes: count("device bytes, without header and footer"),
    }),
  ),
  sections_left_off: count("sections that are not in the list"),
});

export const XenstorePairSchema = v.strictObject({
  key: text("relative to the directory of the device model, or of the guest"),
  value: text("control characters as \\x escapes"),
});

export const CpuidSchema = v.strictObject({
  vendor: v.nullable(text("GenuineIntel, AuthenticAMD")),
  brand: v.nullable(text("brand string")),
  family: v.nullable(count("display family")),
  model: v.nullable(count("display model")),
  stepping: v.nullable(count("stepping")),
  features: v.array(
    v.strictObject({
      leaf: text('leaf and register: "7:0 ebx"'),
      names: texts("features that are set; bit N where it has no name"),
    }),
  ),
  leaves: v.array(
    v.strictObject({
      leaf: count("leaf"),
      subleaf: v.nullable(count("subleaf; null where the leaf has none")),
      eax: count("register"),
      ebx: count("register"),
      ecx: count("register"),
      edx: count("register"),
    }),
  ),
  leaves_left_off: count("leaves that are not in the list"),
});

export const ConfigSchema = v.strictObject({
  offset: count("where the config begins"),
  bytes: count("its size"),
  is_json: flag("it is JSON, as every xl since 4.5 writes it"),
  settings: v.array(
    v.strictObject({ name: text("path to it: b_info.max_vcpus"), value: text("as JSON") }),
  ),
  settings_left_off: count("settings that are not in the list"),
  text: text("the config as it stands in the stream"),
});

export const SuspendImageSchema = v.strictObject({
  time: v.nullable(text("when it was suspended")),
  word_size: v.nullable(text("word width of the toolstack")),
  vm: v.nullable(text("xenopsd's metadata of the VM, as it stands")),
});

const FieldSchema = v.strictObject({ name: text("its name"), value: text("in hex") });

export const RecordDetailSchema = v.strictObject({
  number: count("as --record named it"),
  layer: text("xl, xapi, libxl, libxc or legacy"),
  name: text("such as PAGE_DATA"),
  type: count("type word"),
  offset: count("where it begins"),
  body_offset: count("where its body begins"),
  body_bytes: count("size of its body"),
  fields: v.pipe(v.array(FieldSchema), v.description("its head")),
  rows: v.pipe(
    v.array(v.record(v.string(), v.string())),
    v.description("rows of a record that is a table, pfns of a batch, entries, sections"),
  ),
  rows_left_off: count("rows behind them"),
  body_hex: text("the body in hex, up to its first MiB; of a batch without page contents"),
});

export const PageVersionSchema = v.strictObject({
  pfn: count("its pfn"),
  type: text("its type"),
  iteration: count("number of the iteration that sent it"),
  record_number: count("number of the record that holds it"),
  offset: v.nullable(count("where its contents stand; null without contents")),
  zero: v.nullable(flag("all bytes are zero; null without contents")),
  contents_hex: v.nullable(text("its 4096 bytes in hex")),
});

export type InspectVcpu = v.InferOutput<typeof VcpuSchema>;
export type InspectMsr = v.InferOutput<typeof MsrSchema>;
export type InspectTsc = v.InferOutput<typeof TscSchema>;
export type InspectHvmParam = v.InferOutput<typeof HvmParamSchema>;
export type InspectHvmContext = v.InferOutput<typeof HvmContextSchema>;
export type InspectEmulator = v.InferOutput<typeof EmulatorSchema>;
export type InspectCpuid = v.InferOutput<typeof CpuidSchema>;
export type InspectConfig = v.InferOutput<typeof ConfigSchema>;
export type XenstorePair = v.InferOutput<typeof XenstorePairSchema>;
export type InspectSuspendImage = v.InferOutput<typeof SuspendImageSchema>;
export type RecordDetail = v.InferOutput<typeof RecordDetailSchema>;
export type PageVersion = v.InferOutput<typeof PageVersionSchema>;

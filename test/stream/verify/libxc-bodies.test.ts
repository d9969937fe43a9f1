// Bodies of libxc records: sizes and fields outside their rules, and the exact lines.

import type { Layout } from "../../../lib/bytes/index.ts";
import {
  HVM_PARAM,
  HVM_PARAMS_HEAD,
  MSR_ENTRY,
  P2M_FRAMES_HEAD,
  PV_INFO,
  TSC_INFO,
  VCPU_HEAD,
  VCPU_MSR,
} from "../../../lib/stream/libxc/index.ts";
import { testDamage } from "../../helpers/damage.ts";
import { goldenFile } from "../../helpers/golden.ts";
import { checkpointedPlan, HVM, libxcRecords, PV32, PV64 } from "../../helpers/stream-builder.ts";
import {
  type FieldChange,
  filled,
  insertBefore,
  recordNamed,
  resize,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import { unknownRecord } from "../../helpers/stream-records.ts";

const golden = goldenFile("verify/libxc-bodies");

const pv = () => ({ records: libxcRecords({ ...PV64, vcpus: 1 }) });
const pv32 = () => ({ records: libxcRecords({ ...PV32, vcpus: 1 }) });
const hvm = () => ({ records: libxcRecords(HVM) });

const size = (name: string, bytes: number) => (plan: StreamPlan) =>
  resize(recordNamed(plan, name), bytes);
const set = (name: string, layout: Layout, change: FieldChange) => (plan: StreamPlan) =>
  setField(recordNamed(plan, name), layout, change);
const pad = (name: string, padding: Uint8Array) => (plan: StreamPlan) => {
  recordNamed(plan, name).padding = padding;
};
const insert = (type: number) => (plan: StreamPlan) =>
  insertBefore(plan, "X86_TSC_INFO", unknownRecord(type, filled(5, 1)));

testDamage("sizes", { golden, base: pv }, [
  ["END with a body", size("END", 8)],
  ["STATIC_DATA_END with a body", size("STATIC_DATA_END", 1)],
  ["X86_PV_INFO of 4 bytes", size("X86_PV_INFO", 4)],
  ["X86_PV_INFO of 9 bytes", size("X86_PV_INFO", 9)],
  ["P2M frames without a head", size("X86_PV_P2M_FRAMES", 0)],
  ["P2M frames without a frame", size("X86_PV_P2M_FRAMES", 8)],
  ["P2M frames of half a frame", size("X86_PV_P2M_FRAMES", 20)],
  ["P2M frames, one too many", size("X86_PV_P2M_FRAMES", 24)],
  ["a vcpu without a head", size("X86_PV_VCPU_BASIC", 4)],
  ["an empty vcpu context", size("X86_PV_VCPU_BASIC", 8)],
  ["a vcpu context that is short", size("X86_PV_VCPU_BASIC", 0x1430)],
  ["an extended context that is long", size("X86_PV_VCPU_EXTENDED", 137)],
  ["an XSAVE context without its header", size("X86_PV_VCPU_XSAVE", 16)],
  ["half an MSR", size("X86_PV_VCPU_MSRS", 16)],
  ["no MSRs", size("X86_PV_VCPU_MSRS", 8)],
  ["SHARED_INFO short", size("SHARED_INFO", 4095)],
  ["SHARED_INFO long", size("SHARED_INFO", 4104)],
  ["TSC_INFO short", size("X86_TSC_INFO", 16)],
  ["TSC_INFO long", size("X86_TSC_INFO", 32)],
  ["CPUID policy empty", size("X86_CPUID_POLICY", 0)],
  ["CPUID policy of half a leaf", size("X86_CPUID_POLICY", 36)],
  ["MSR policy empty", size("X86_MSR_POLICY", 0)],
  ["MSR policy of half an entry", size("X86_MSR_POLICY", 8)],
  ["a record of over 1 MiB that never is", size("X86_TSC_INFO", 2 ** 20 + 8)],
]);
testDamage("sizes", { golden, base: pv32 }, [
  ["a 64-bit context for a 32-bit guest", size("X86_PV_VCPU_BASIC", 8 + 0x1430)],
  [
    "a P2M list as for a 64-bit guest",
    (plan) => {
      setField(recordNamed(plan, "X86_PV_P2M_FRAMES"), P2M_FRAMES_HEAD, {
        field: "end_pfn",
        value: 1024,
      });
    },
  ],
]);
testDamage("sizes", { golden, base: hvm }, [
  ["an empty HVM_CONTEXT", size("HVM_CONTEXT", 0)],
  ["HVM_PARAMS without a head", size("HVM_PARAMS", 0)],
  ["HVM_PARAMS without its last parameter", size("HVM_PARAMS", 8 + 6 * 16)],
  ["HVM_PARAMS of half a parameter", size("HVM_PARAMS", 8 + 6 * 16 + 8)],
]);
testDamage(
  "sizes",
  { golden, base: () => checkpointedPlan(PV64, { checkpoints: 1, isColo: false }) },
  [["CHECKPOINT with a body", size("CHECKPOINT", 16)]],
);

testDamage("fields", { golden, base: pv }, [
  ["guest_width", set("X86_PV_INFO", PV_INFO, { field: "guest_width", value: 2 })],
  ["pt_levels", set("X86_PV_INFO", PV_INFO, { field: "pt_levels", value: 5 })],
  ["3 levels for width 8", set("X86_PV_INFO", PV_INFO, { field: "pt_levels", value: 3 })],
  ["X86_PV_INFO reserved", set("X86_PV_INFO", PV_INFO, { field: "reserved_a", value: 1 })],
  ["X86_PV_INFO reserved too", set("X86_PV_INFO", PV_INFO, { field: "reserved_b", value: 1 })],
  [
    "start_pfn above end_pfn",
    set("X86_PV_P2M_FRAMES", P2M_FRAMES_HEAD, { field: "start_pfn", value: 24 }),
  ],
  [
    "start_pfn above 0",
    set("X86_PV_P2M_FRAMES", P2M_FRAMES_HEAD, { field: "start_pfn", value: 1 }),
  ],
  [
    "end_pfn for more frames",
    set("X86_PV_P2M_FRAMES", P2M_FRAMES_HEAD, { field: "end_pfn", value: 512 }),
  ],
  [
    "end_pfn of all ones",
    set("X86_PV_P2M_FRAMES", P2M_FRAMES_HEAD, { field: "end_pfn", value: 2 ** 32 - 1 }),
  ],
  [
    "a frame beyond the guest",
    set("X86_PV_P2M_FRAMES", P2M_FRAMES_HEAD, { field: "start_pfn", value: 24, at: 8 }),
  ],
  ["vcpu_id of nobody", set("X86_PV_VCPU_XSAVE", VCPU_HEAD, { field: "vcpu_id", value: 7 })],
  [
    "vcpu_id beyond what Xen has",
    set("X86_PV_VCPU_BASIC", VCPU_HEAD, { field: "vcpu_id", value: 8192 }),
  ],
  ["vcpu reserved", set("X86_PV_VCPU_BASIC", VCPU_HEAD, { field: "reserved", value: 1 })],
  ["MSR reserved", set("X86_PV_VCPU_MSRS", VCPU_MSR, { field: "reserved", value: 1, at: 8 })],
  ["MSR policy flags", set("X86_MSR_POLICY", MSR_ENTRY, { field: "flags", value: 1 })],
  ["TSC mode", set("X86_TSC_INFO", TSC_INFO, { field: "mode", value: 4 })],
  ["TSC reserved", set("X86_TSC_INFO", TSC_INFO, { field: "reserved", value: 1 })],
  ["a mandatory type that nobody knows", insert(0x13)],
  ["the last mandatory type", insert(0x7fff_ffff)],
  ["an optional type", insert(0x8000_0000)],
  [
    "padding that is not zero",
    (plan) => {
      resize(recordNamed(plan, "X86_PV_VCPU_EXTENDED"), 128);
      pad("X86_PV_VCPU_EXTENDED", filled(0, 0))(plan);
      size("X86_PV_VCPU_EXTENDED", 127)(plan);
      pad("X86_PV_VCPU_EXTENDED", filled(1, 0xee))(plan);
    },
  ],
]);
testDamage("fields", { golden, base: hvm }, [
  ["no parameters", set("HVM_PARAMS", HVM_PARAMS_HEAD, { field: "count", value: 0 })],
  ["one parameter too many", set("HVM_PARAMS", HVM_PARAMS_HEAD, { field: "count", value: 8 })],
  ["4 Gi parameters", set("HVM_PARAMS", HVM_PARAMS_HEAD, { field: "count", value: 2 ** 32 - 1 })],
  ["HVM_PARAMS reserved", set("HVM_PARAMS", HVM_PARAMS_HEAD, { field: "reserved", value: 1 })],
  [
    "a parameter that Xen has not",
    set("HVM_PARAMS", HVM_PARAM, { field: "index", value: 39n, at: 24 }),
  ],
  [
    "a parameter of all ones",
    set("HVM_PARAMS", HVM_PARAM, { field: "index", value: 2n ** 64n - 1n, at: 8 }),
  ],
  [
    "the magic of the HVM context",
    set("HVM_CONTEXT", TSC_INFO, { field: "mode", value: 0, at: 8 }),
  ],
]);
testDamage(
  "fields",
  { golden, base: () => checkpointedPlan(PV64, { checkpoints: 2, isColo: false }) },
  [
    [
      "an optional type behind a checkpoint",
      (plan) => {
        const at = plan.records.findIndex(({ name }) => name === "CHECKPOINT_END") + 1;
        plan.records.splice(at, 0, unknownRecord(0x8000_0001, filled(3, 1)));
      },
    ],
    [
      "an XSAVE context without its vcpu in a later round",
      (plan) => {
        const at = plan.records.findIndex(({ name }) => name === "CHECKPOINT_END") + 1;
        plan.records = plan.records.filter(
          (record, index) => index < at || record.name !== "X86_PV_VCPU_BASIC",
        );
      },
    ],
  ],
);

golden.testNothingElse();

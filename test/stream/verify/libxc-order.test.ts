// What a libxc image must contain and in which order: each rule broken once, and the exact lines.

import { LIBXC } from "../../../lib/stream/libxc/index.ts";
import { testDamage } from "../../helpers/damage.ts";
import { goldenFile } from "../../helpers/golden.ts";
import {
  checkpointedPlan,
  HVM,
  libxcRecords,
  libxlRecords,
  PV64,
} from "../../helpers/stream-builder.ts";
import {
  indexOf,
  insertAfter,
  insertBefore,
  moveBehind,
  type PlanRecord,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";
import {
  cpuidPolicy,
  dirtyPfnList,
  hvmContext,
  hvmParams,
  libxcRecord,
  msrPolicy,
  p2mFrames,
  pageData,
  pvInfo,
  sharedInfo,
  staticDataEnd,
  toolstack,
} from "../../helpers/stream-records.ts";

const golden = goldenFile("verify/libxc-order");

const without =
  (...names: readonly string[]) =>
  (plan: StreamPlan): void => {
    plan.records = plan.records.filter(({ name }) => !names.includes(name));
  };
const behind = (name: string, record: PlanRecord) => (plan: StreamPlan) =>
  insertAfter(plan, name, record);
const before = (name: string, record: PlanRecord) => (plan: StreamPlan) =>
  insertBefore(plan, name, record);
const move = (name: string, to: string) => (plan: StreamPlan) => moveBehind(plan, name, to);

const pv = () => ({ records: libxcRecords({ ...PV64, vcpus: 1 }) });
const hvm = () => ({ records: libxcRecords(HVM) });

testDamage("a PV image", { golden, base: pv }, [
  ["STATIC_DATA_END is missing", without("STATIC_DATA_END")],
  ["STATIC_DATA_END behind the P2M frames", move("STATIC_DATA_END", "X86_PV_P2M_FRAMES")],
  ["STATIC_DATA_END behind pages", move("STATIC_DATA_END", "PAGE_DATA")],
  ["X86_PV_INFO is missing", without("X86_PV_INFO")],
  ["X86_PV_INFO behind STATIC_DATA_END", move("X86_PV_INFO", "STATIC_DATA_END")],
  ["X86_PV_INFO behind the P2M frames", move("X86_PV_INFO", "X86_PV_P2M_FRAMES")],
  ["X86_PV_P2M_FRAMES is missing", without("X86_PV_P2M_FRAMES")],
  ["X86_PV_P2M_FRAMES behind the pages", move("X86_PV_P2M_FRAMES", "PAGE_DATA")],
  ["pages are missing", without("PAGE_DATA")],
  ["SHARED_INFO is missing", without("SHARED_INFO")],
  ["vcpu contexts are missing", without("X86_PV_VCPU_BASIC")],
  ["a vcpu before the pages", move("X86_PV_VCPU_BASIC", "X86_PV_P2M_FRAMES")],
  ["X86_TSC_INFO is missing", without("X86_TSC_INFO")],
  ["the CPUID policy is missing", without("X86_CPUID_POLICY")],
  ["the MSR policy is missing", without("X86_MSR_POLICY")],
  ["the CPUID policy behind STATIC_DATA_END", move("X86_CPUID_POLICY", "STATIC_DATA_END")],
  ["the MSR policy behind the pages", move("X86_MSR_POLICY", "PAGE_DATA")],
  ["two X86_PV_INFO", before("STATIC_DATA_END", pvInfo(8))],
  ["two STATIC_DATA_END", behind("STATIC_DATA_END", staticDataEnd())],
  ["two X86_PV_P2M_FRAMES", behind("X86_PV_P2M_FRAMES", p2mFrames(8, PV64.pages))],
  ["two CPUID policies", behind("X86_CPUID_POLICY", cpuidPolicy())],
  ["two MSR policies", behind("X86_MSR_POLICY", msrPolicy())],
  ["an HVM_CONTEXT", before("END", hvmContext())],
  ["HVM_PARAMS", before("END", hvmParams())],
  ["a TOOLSTACK", before("END", toolstack())],
  ["a CHECKPOINT_DIRTY_PFN_LIST", before("END", dirtyPfnList())],
  ["headers and END alone", (plan) => plan.records.splice(2, plan.records.length - 3)],
]);

testDamage("an HVM image", { golden, base: hvm }, [
  ["STATIC_DATA_END is missing", without("STATIC_DATA_END")],
  ["HVM_CONTEXT is missing", without("HVM_CONTEXT")],
  ["HVM_PARAMS is missing", without("HVM_PARAMS")],
  ["HVM_PARAMS before HVM_CONTEXT is free", move("HVM_CONTEXT", "HVM_PARAMS")],
  ["a SHARED_INFO", before("END", sharedInfo())],
  ["an X86_PV_INFO", before("STATIC_DATA_END", pvInfo(8))],
]);

testDamage(
  "an image of version 2",
  { golden, base: () => ({ records: libxcRecords({ ...PV64, version: 2 }) }) },
  [
    ["with a STATIC_DATA_END", before("X86_PV_P2M_FRAMES", staticDataEnd())],
    ["with policies", before("X86_PV_P2M_FRAMES", cpuidPolicy())],
    ["without X86_PV_INFO", without("X86_PV_INFO")],
  ],
);

const isConverted = true;
testDamage(
  "a converted image lacks policies and TSC by nature",
  { golden, base: () => ({ records: libxlRecords({ ...PV64, isConverted }) }) },
  [["but not STATIC_DATA_END", without("STATIC_DATA_END")]],
);

/** Leaves one kind of record out of the last round. */
const lastWithout = (name: string) => (plan: StreamPlan) => {
  const start = indexOf(plan, "CHECKPOINT_END", 0);
  plan.records = plan.records.filter((record, index) => index <= start || record.name !== name);
};
const spec = { checkpoints: 2, isColo: false };
testDamage("a second checkpoint", { golden, base: () => checkpointedPlan(PV64, spec) }, [
  ["without SHARED_INFO", lastWithout("SHARED_INFO")],
  ["without vcpu contexts", lastWithout("X86_PV_VCPU_BASIC")],
  ["without a TSC is free", lastWithout("X86_TSC_INFO")],
  ["without pages is free", lastWithout("PAGE_DATA")],
]);
testDamage("a second checkpoint", { golden, base: () => checkpointedPlan(HVM, spec) }, [
  ["without HVM_CONTEXT", lastWithout("HVM_CONTEXT")],
  ["without HVM_PARAMS is free", lastWithout("HVM_PARAMS")],
]);
testDamage(
  "a second checkpoint",
  { golden, base: () => checkpointedPlan(PV64, { checkpoints: 1, isColo: false }) },
  [
    ["a first one without SHARED_INFO", without("SHARED_INFO")],
    ["a CHECKPOINT before any memory", before("PAGE_DATA", libxcRecord(LIBXC.checkpoint))],
    ["pages behind the last one", (plan) => plan.records.push(pageData([{ pfn: 1, type: 0 }]))],
  ],
);

golden.testNothingElse();

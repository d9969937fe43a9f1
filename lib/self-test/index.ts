// What other rooms may use of self-test.
export { CHILD_COMMAND, execProbe, runExecChild } from "./exec-probe.ts";
export type { Self } from "./exec-probe.ts";
export { hostFacts } from "./host.ts";
export type { HostFact, HostView } from "./host.ts";
export { KERNEL_PROBES } from "./kernel-probes.ts";
export { runProbes } from "./probe.ts";
export type { Probe, ProbeResult } from "./probe.ts";
export { selfTest } from "./self-test.ts";
export type { SelfTestReport } from "./self-test.ts";

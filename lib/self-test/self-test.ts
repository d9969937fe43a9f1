// The self-test: everything relied on is tried, then the host is looked at. probesOf() is the whole
// list; a new probe is one entry in it.

import { type KernelFeature, kernelFeatures } from "../sys/index.ts";
import { execProbe, type Self } from "./exec-probe.ts";
import { type HostFact, hostFacts, type HostView } from "./host.ts";
import { KERNEL_PROBES } from "./kernel-probes.ts";
import { type Probe, type ProbeResult, runProbes } from "./probe.ts";
import { SAMPLE_PROBE } from "./sample-probe.ts";

const probesOf = (self: Self): readonly Probe[] => [
  ...KERNEL_PROBES,
  execProbe(self),
  SAMPLE_PROBE,
];

export interface SelfTestReport {
  readonly passed: boolean;
  readonly probes: readonly ProbeResult[];
  readonly features: readonly KernelFeature[];
  readonly host: readonly HostFact[];
}

export async function selfTest(self: Self, host: HostView): Promise<SelfTestReport> {
  const probes = await runProbes(probesOf(self));
  return {
    passed: probes.every(({ passed }) => passed),
    probes,
    features: kernelFeatures(),
    host: hostFacts(host),
  };
}

// The main job on a built-in sample: written, verified, damaged in several places and refused.

import { MemorySource } from "../bytes/index.ts";
import { sampleStream, verifyStream, type VerifyReport } from "../stream/index.ts";
import { expect, type Probe } from "./probe.ts";

/** Where the sample is damaged, and how. Each must be noticed. */
const DAMAGES: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array])[] = [
  ["cut short", (bytes) => bytes.subarray(0, bytes.byteLength - 1)],
  ["wrong magic", (bytes) => changed(bytes, 0)],
  ["wrong libxl version", (bytes) => changed(bytes, indexOf(bytes, "LibxlFmt") + 11)],
  ["wrong libxc id", (bytes) => changed(bytes, indexOf(bytes, "XENF"))],
];

export const SAMPLE_PROBE: Probe = {
  group: "stream",
  name: "sample_stream",
  run() {
    const sample = sampleStream();
    const report = verify(sample);
    expect("the sample's verdict", { wanted: "good", found: report.verdict });
    for (const [damage, apply] of DAMAGES) {
      const { verdict } = verify(apply(sample.slice()));
      expect(`the verdict on a sample with ${damage}`, { wanted: true, found: verdict !== "good" });
    }
    return `${report.records} records good, ${DAMAGES.length} damaged copies refused`;
  },
};

const verify = (bytes: Uint8Array): VerifyReport =>
  verifyStream(new MemorySource("the built-in sample", bytes), {
    format: undefined,
    compression: undefined,
    limit: 10,
    listener: {},
    onProgress() {},
  });

function changed(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at] = bytes[at]! ^ 0xff;
  return bytes;
}

const indexOf = (bytes: Uint8Array, ascii: string): number =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(ascii);

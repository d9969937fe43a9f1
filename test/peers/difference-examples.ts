// For each row of differences.ts a stream that shows it: a valid one, and what is done to it.

import {
  DOMAIN_HEADER,
  DOMAIN_HVM,
  IMAGE_HEADER,
  LIBXC,
  MSR_ENTRY,
  P2M_FRAMES_HEAD,
  PV_INFO,
} from "../../lib/stream/libxc/index.ts";
import { LIBXL } from "../../lib/stream/libxl/index.ts";
import { SAVE_HEADER } from "../../lib/stream/xl/index.ts";
import {
  drop,
  filled,
  indexOf,
  insertAfter,
  insertBefore,
  overwrite,
  recordNamed,
  resize,
  setField,
  type StreamPlan,
  words,
} from "../helpers/stream-plan.ts";
import { libxcRecord, libxlRecord, toolstack } from "../helpers/stream-records.ts";
import type { ReferenceFormat } from "./reference.ts";

type Example = readonly [plan: string, format: ReferenceFormat, edit: (plan: StreamPlan) => void];

const LAST = LIBXL.end.name; // libxc's END has the same name, and stands before it.
const beforeLast = (plan: StreamPlan, ...records: Parameters<typeof plan.records.push>): void =>
  void plan.records.splice(plan.records.length - 1, 0, ...records);

/** Everything of a libxl stream between its header and its END, once more. */
function secondImage(plan: StreamPlan): void {
  const from = indexOf(plan, LIBXL.libxcContext.name, 0);
  const to = indexOf(plan, LAST, 1);
  beforeLast(plan, ...plan.records.slice(from, to));
}

function oneMorePage(plan: StreamPlan): void {
  const batch = recordNamed(plan, LIBXC.pageData.name);
  overwrite(batch, 8, words(8, [0xffff])); // The guest ends before it.
}

const MIB = 2 ** 20;

export const EXAMPLES: Readonly<Record<string, Example>> = {
  order: ["xl, PV 64", "xl", (plan) => drop(plan, LIBXC.sharedInfo.name)],
  once: [
    "libxc version 3, PV 64",
    "libxc",
    (plan) => {
      const info = recordNamed(plan, LIBXC.pvInfo.name);
      insertAfter(plan, LIBXC.pvInfo.name, { ...info });
    },
  ],
  "kind of guest": [
    "libxc version 3, PV 64",
    "libxc",
    (plan) =>
      insertBefore(plan, LIBXC.tscInfo.name, libxcRecord(LIBXC.hvmParams, words(4, [0, 0]))),
  ],
  "the config's type": [
    "xl, PV 64",
    "xl",
    (plan) =>
      setField(recordNamed(plan, "domain_header"), DOMAIN_HEADER, {
        field: "type",
        value: DOMAIN_HVM,
      }),
  ],
  CHECKPOINT_STATE: [
    "libxl, PV 64",
    "libxl",
    (plan) => beforeLast(plan, libxlRecord(LIBXL.checkpointState, words(4, [0]))),
  ],
  CHECKPOINT_END: [
    "libxl, PV 64",
    "libxl",
    (plan) => beforeLast(plan, libxlRecord(LIBXL.checkpointEnd)),
  ],
  "big endian": [
    "libxc version 3, PV 64",
    "libxc",
    (plan) =>
      setField(recordNamed(plan, "image_header"), IMAGE_HEADER, { field: "options", value: 1 }),
  ],
  "xl header": [
    "xl, PV 64",
    "xl",
    (plan) =>
      setField(recordNamed(plan, "save_header"), SAVE_HEADER, { field: "byteorder", value: 1 }),
  ],
  "one image": ["libxl, PV 64", "libxl", secondImage],
  pfns: ["libxc version 3, PV 64", "libxc", oneMorePage],
  "PV info": [
    "libxc version 3, PV 64",
    "libxc",
    (plan) =>
      setField(recordNamed(plan, LIBXC.pvInfo.name), PV_INFO, { field: "pt_levels", value: 3 }),
  ],
  "P2M frames": [
    "libxc version 3, PV 64",
    "libxc",
    (plan) =>
      setField(recordNamed(plan, LIBXC.p2mFrames.name), P2M_FRAMES_HEAD, {
        field: "end_pfn",
        value: 0xffff,
      }),
  ],
  "vcpu contexts": [
    "libxc version 3, PV 64",
    "libxc",
    (plan) => resize(recordNamed(plan, LIBXC.vcpuBasic.name), 16),
  ],
  "MSR policy": [
    "libxc version 3, PV 64",
    "libxc",
    (plan) =>
      setField(recordNamed(plan, LIBXC.msrPolicy.name), MSR_ENTRY, { field: "flags", value: 1 }),
  ],
  "HVM context": [
    "libxc version 3, HVM",
    "libxc",
    (plan) => overwrite(recordNamed(plan, LIBXC.hvmContext.name), 8, filled(4, 0xff)),
  ],
  "QEMU state": [
    "libxl, HVM",
    "libxl",
    (plan) => {
      drop(plan, LIBXL.emulatorXenstoreData.name); // Or the original has its defect with that.
      overwrite(recordNamed(plan, LIBXL.emulatorContext.name), 8, filled(4, 0xff));
    },
  ],
  "record length": [
    "libxc version 3, PV 64",
    "libxc",
    (plan) => resize(recordNamed(plan, LIBXC.vcpuXsave.name), 2 * MIB),
  ],
  "emulator xenstore data": ["libxl, HVM", "libxl", () => undefined],
  "checkpointed streams": ["Remus, PV", "xl", () => undefined],
  TOOLSTACK: [
    "libxc version 3, HVM",
    "libxc",
    (plan) => insertBefore(plan, LIBXC.tscInfo.name, toolstack()),
  ],
};

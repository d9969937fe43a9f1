// Where verify-stream-v2 and our stand-in for it may differ, and why: every row is a defect of the
// original or a check that it lacks. A difference that no row explains fails the tests.

import type { VerifyReport } from "../../lib/stream/index.ts";
import type { Verdict } from "./reference.ts";

type Finding = VerifyReport["findings"][number];

/** What the original refuses and we accept, or fails on as a script where we refuse. */
export interface Defect {
  readonly name: string;
  readonly reason: string;
  explains(theirs: Verdict, report: VerifyReport): boolean;
}

export const DEFECTS: readonly Defect[] = [
  {
    name: "emulator xenstore data",
    reason: "under Python 3 it compares a byte with a string: every payload counts as unterminated",
    explains: ({ error }) => error.endsWith("Data not NUL terminated"),
  },
  {
    name: "checkpointed streams",
    reason: "behind a CHECKPOINT it goes on with libxc records, where libxl's stand",
    explains: (_, { kind }) => kind !== "plain",
  },
  {
    name: "TOOLSTACK",
    reason: "it raises a DeprecationWarning, which it takes for a bug of its own",
    explains: ({ status, error }) => status === 2 && error.startsWith("DeprecationWarning"),
  },
  {
    name: "lengths past its memory",
    reason: "it asks for as much memory as a record claims to have",
    explains: ({ status, error }) => status === 2 && error.startsWith("MemoryError"),
  },
];

/** What we refuse and the original does not look at. */
export interface AdditionalCheck {
  readonly name: string;
  readonly reason: string;
  /** "libxc PAGE_DATA.order: expected X86_PV_P2M_FRAMES before PAGE_DATA, found none so far" */
  readonly finding: RegExp;
}

export const findingText = ({ layer, record, field, expected, found }: Finding): string =>
  `${layer} ${record}.${field}: expected ${expected}, found ${found}`;

// prettier-ignore: one row a check.
export const ADDITIONAL_CHECKS: readonly AdditionalCheck[] = [
  {
    name: "order",
    reason: "libxc and libxl need some records before others",
    finding: /\.order: /,
  },
  {
    name: "once",
    reason: "libxc and libxl refuse a second one",
    finding: /\.type: expected one .*, found another one/,
  },
  {
    name: "kind of guest",
    reason: "libxc refuses records of the other kind of guest",
    finding: /\.type: expected (records of|no emulator records)/,
  },
  {
    name: "the config's type",
    reason: "xl builds the guest that the config describes",
    finding: /domain_header\.type: expected ., for the config/,
  },
  {
    name: "CHECKPOINT_STATE",
    reason: "only COLO streams have it, with four known ids",
    finding: /CHECKPOINT_STATE\./,
  },
  {
    name: "CHECKPOINT_END",
    reason: "libxl refuses one without a checkpoint",
    finding: /CHECKPOINT_END\.type/,
  },
  {
    name: "big endian",
    reason: "it looks at the number of the bit instead of the bit",
    finding: /written on a big-endian host/,
  },
  { name: "xl header", reason: "it passes over the header of a save file", finding: /^xl / },
  { name: "one image",
    reason: "libxl has one guest to restore", finding: /LIBXC_CONTEXT\.type/ },
  {
    name: "pfns",
    reason: "libxc refuses pfns beyond the guest",
    finding: /expected a pfn within the guest/,
  },
  {
    name: "PV info",
    reason: "libxc refuses other pairs of width and levels",
    finding: /X86_PV_INFO\.pt_levels: expected 3 levels for width 4/,
  },
  {
    name: "P2M frames",
    reason: "their number follows from the last pfn",
    finding: /X86_PV_P2M_FRAMES\.(body_length|start_pfn|pfn\[)/,
  },
  {
    name: "vcpu contexts",
    reason: "Xen refuses contexts of another size",
    finding: /X86_PV_VCPU_\w+\.(body_length|vcpu_id)/,
  },
  { name: "MSR policy", reason: "Xen refuses flags in it", finding: /X86_MSR_POLICY\.\[/ },
  { name: "HVM context", reason: "it looks at no byte of it", finding: /^hvm_context / },
  {
    name: "QEMU state",
    reason: "it looks at no byte of it",
    finding: /^qemu |EMULATOR_CONTEXT\.body:/,
  },
  {
    name: "record length",
    reason: "libxc refuses more than 128 MiB, and we more than 1 MiB where nothing is so long",
    finding: /\.body_length: expected at most/,
  },
];

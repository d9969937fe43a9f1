// What inspecting a stream gives. InspectReportSchema is the documented schema of `agent inspect
// --json` (`agent schema inspect` prints it) and all that text and HTML output are made from:
// fields are only ever added. Offsets are byte offsets in the input, from 0; in compressed input,
// in the expanded stream. Offsets, sizes, pfns and counts are plain numbers: none reaches 2^53.
// 64-bit values that may are strings, in hex ("0x1f") or, where a field says so, in decimal digits.
// Lists that a stream could make long are bounded; what was left off is counted beside them.

import * as v from "valibot";
import { FindingSchema } from "../verify/index.ts";
import {
  ConfigSchema,
  CpuidSchema,
  EmulatorSchema,
  HvmContextSchema,
  HvmParamSchema,
  MsrSchema,
  PageVersionSchema,
  RecordDetailSchema,
  SuspendImageSchema,
  TscSchema,
  VcpuSchema,
  XenstorePairSchema,
} from "./report-state.ts";
import { count, counts, flag, ratio, text } from "./schema-values.ts";

const StoppedSchema = v.strictObject({
  offset: count("absolute offset of what could not be read"),
  truncated: flag("the input ended there; otherwise it is damaged"),
  layer: text("the framing: input, xl, xapi, libxl, libxc or legacy"),
  record: text("name of the record or header"),
  record_number: count("records of all layers counted from 1; 0 before the first one"),
  field: text("name of the field"),
  expected: text("what a reader wants"),
  found: text("what stands there"),
});

const GuestSchema = v.strictObject({
  name: v.nullable(text("from the xl config")),
  type: v.nullable(v.picklist(["pv", "hvm"])),
  config_type: v.nullable(text('from the xl config: "pv", "hvm" or "pvh"')),
  xen: v.nullable(text('the Xen that wrote it, "4.20"; null for a converted or legacy stream')),
  libxc_version: v.nullable(count("version of the libxc image: 2 or 3")),
  converted: flag("converted from a legacy stream"),
  bits: v.nullable(count("word width of a PV guest: 32 or 64")),
  page_table_levels: v.nullable(count("page-table levels of a PV guest: 3 or 4")),
  page_bytes: v.nullable(count("size of a page")),
  last_pfn: v.nullable(count("highest pfn of a PV guest, as its p2m list says")),
  vcpus: v.nullable(count("vcpus whose state is in the stream")),
});

const HeaderSchema = v.strictObject({
  layer: text("xl, xapi, libxl or libxc"),
  name: text("save_header, header, image_header or domain_header"),
  offset: count("where it begins"),
  fields: v.array(
    v.strictObject({
      name: text("as the specification calls it"),
      value: text('in hex: "0x1f"'),
      meaning: v.nullable(text("for people")),
    }),
  ),
});

const RecordTypeSchema = v.strictObject({
  layer: text("xl, xapi, libxl, libxc or legacy"),
  name: text("such as PAGE_DATA"),
  count: count("how many"),
  bytes: count("sum of their bodies, padding not counted"),
  least_bytes: count("smallest body"),
  most_bytes: count("largest body"),
  first_offset: count("where the first one begins"),
  first_record_number: count("its number, as --record takes it"),
});

const RecordRunSchema = v.strictObject({
  layer: text("xl, xapi, libxl, libxc or legacy"),
  name: text("such as PAGE_DATA"),
  first_record_number: count("number of the first record, as --record takes it"),
  count: count("records of the same name in a row"),
  offset: count("where the first one begins"),
  bytes: count("sum of their bodies"),
});

const MemoryMapSchema = v.strictObject({
  pfns_per_bin: count("pfns in each bin, from pfn 0 on; bins that nobody sent hold zeros"),
  bins: count("bins in each of the lists: at most 1024"),
  normal: counts("pfns by the type they were sent with last: ordinary pages"),
  page_table: counts("page tables of a PV guest"),
  allocated: counts("populated on restore, contents not sent (XALLOC)"),
  hole: counts("not there, or left for later and never sent (XTAB)"),
  broken: counts("broken pages"),
  unknown: counts("types that Xen does not define"),
  sent_again: counts("pfns sent more than once, with or without contents"),
  sends: counts("entries sent, all iterations together"),
  zero: v.nullable(counts("pages of zeros, as sent last; null without --contents")),
  duplicate: v.nullable(
    counts("pages whose contents stood in the stream before; null without --contents"),
  ),
});

const MemorySchema = v.strictObject({
  sent: count("entries of all batches: a page sent twice counts twice"),
  with_contents: count("those of them that carry contents"),
  sent_again: count("those of them whose pfn had been sent before"),
  pfns: v.nullable(count("different pfns; null where they were too scattered to keep")),
  highest_pfn: v.nullable(count("highest pfn that was sent")),
  populated_pfns: v.nullable(count("pfns that a restore populates, by the type sent last")),
  types: v.array(
    v.strictObject({
      type: count("0 to 15"),
      name: text("such as NOTAB or L1TAB pinned"),
      has_contents: flag("pages of this type have their contents in the stream"),
      sent: count("entries of this type"),
      pfns: v.nullable(count("pfns whose last type it is")),
    }),
  ),
  times_sent: v.array(
    v.strictObject({
      least: count("sent at least so many times"),
      most: v.nullable(count("and at most so many; null: or more")),
      pfns: count("pfns that were"),
    }),
  ),
  map: v.nullable(MemoryMapSchema),
});

const IterationSchema = v.strictObject({
  number: count("counted from 1"),
  role: v.pipe(
    v.picklist(["all", "live", "downtime", "checkpoint", "verify"]),
    v.description(
      "all: the first pass over memory; live: pages that the running guest dirtied meanwhile; " +
        "downtime: the last pass, with the guest stopped; checkpoint: what one checkpoint sends; " +
        "verify: everything once more, to be compared",
    ),
  ),
  checkpoint: count("complete checkpoints before it"),
  offset: count("where its first batch begins"),
  end_offset: count("behind its last batch"),
  batches: count("PAGE_DATA or PAGE_BATCH records"),
  pages: count("entries"),
  with_contents: count("entries that carry contents"),
  bytes: count("size of its batches in the stream"),
  sent_before: count("entries whose pfn an earlier iteration had sent"),
  first_pfn: count("lowest pfn"),
  last_pfn: count("highest pfn"),
  ratio: v.nullable(ratio("its pages with contents over those of the iteration before")),
  zero: v.nullable(count("pages of zeros; null without --contents")),
  duplicate: v.nullable(count("contents that stood in the stream before; null without --contents")),
});

const IterationsSchema = v.strictObject({
  total: count("all iterations"),
  left_off: count("iterations in the middle that are not in the list"),
  list: v.pipe(
    v.array(IterationSchema),
    v.description(
      "A stream holds no times. An iteration begins where the pfns of a batch are not above " +
        "those of the batch before, and behind a checkpoint; two passes that happen to continue " +
        "each other count as one.",
    ),
  ),
  resent_pages: count("entries of all iterations whose pfn had been sent before"),
  convergence: v.pipe(
    v.picklist(["single", "converging", "steady", "growing"]),
    v.description(
      "live iterations before the first checkpoint or the end: single: only one; converging: the " +
        "last is at most half of the first repetition; growing: more than it",
    ),
  ),
  downtime: v.nullable(
    v.strictObject({
      number: count("number of the iteration"),
      pages: count("entries sent while the guest was stopped"),
      with_contents: count("those with contents"),
      bytes: count("their size in the stream"),
      state_bytes: count("records behind them that the guest waits for as well"),
    }),
  ),
  checkpoints: v.nullable(
    v.strictObject({
      count: count("iterations of checkpoints behind the first"),
      least_pages: count("entries in the smallest"),
      mean_pages: ratio("entries on average"),
      most_pages: count("entries in the largest"),
    }),
  ),
});

const ContentsSchema = v.strictObject({
  pages: count("pages whose contents were read"),
  zero: count("pages of zeros"),
  duplicate: count("pages whose contents stood in the stream before, zeros not counted"),
  distinct: count("different contents, by a 64-bit hash, zeros not counted"),
});

export const InspectReportSchema = v.strictObject({
  input: text('what was read: a path, "standard input", "descriptor 3"'),
  format: v.nullable(v.picklist(["xl", "libxl", "libxc", "xapi", "legacy"])),
  compression: v.nullable(v.picklist(["zstd", "gzip"])),
  kind: v.pipe(
    v.picklist(["plain", "remus", "colo"]),
    v.description("plain, or checkpointed by Remus or COLO"),
  ),
  end_offset: count("where the stream ends, or where it could not be read any further"),
  records: count("records of all layers"),
  complete: flag("the stream was read to its end"),
  stopped: v.nullable(StoppedSchema),
  errors: count("what is wrong and was met on the way; agent verify looks for more"),
  warnings: count("what is suspicious and was met on the way"),
  problems: v.pipe(v.array(FindingSchema), v.description("the first 20 of them")),
  trailing: v.nullable(
    v.strictObject({
      offset: count("offset of the first byte behind the stream"),
      bytes: count("how many bytes stand there"),
      what: text("what they are, for people"),
    }),
  ),
  checkpoints: v.strictObject({
    complete: count("complete checkpoints"),
    last_end_offset: v.nullable(count("offset behind the last complete one")),
    failover: v.nullable(
      flag("a receiver could fail over at the end; null for a stream that is plain or has an END"),
    ),
  }),
  guest: GuestSchema,
  headers: v.array(HeaderSchema),
  record_types: v.pipe(v.array(RecordTypeSchema), v.description("in the order they first stand")),
  record_types_left_off: count("records of further unknown types"),
  record_runs: v.pipe(v.array(RecordRunSchema), v.description("the first 1024, in order")),
  record_runs_left_off: count("runs behind them"),
  memory: MemorySchema,
  iterations: IterationsSchema,
  contents: v.nullable(ContentsSchema),
  tsc: v.nullable(TscSchema),
  vcpus: v.array(VcpuSchema),
  vcpus_left_off: count("vcpus that are not in the list"),
  hvm_params: v.array(HvmParamSchema),
  hvm_context: v.nullable(HvmContextSchema),
  emulators: v.array(EmulatorSchema),
  xenstore: v.array(XenstorePairSchema),
  xenstore_left_off: count("pairs that are not in the list"),
  cpuid: v.nullable(CpuidSchema),
  msrs: v.pipe(v.array(MsrSchema), v.description("the MSR policy")),
  config: v.nullable(ConfigSchema),
  suspend_image: v.nullable(SuspendImageSchema),
  record: v.nullable(RecordDetailSchema),
  pages: v.nullable(
    v.strictObject({
      first_pfn: count("as --pages named it"),
      last_pfn: count("as --pages named it"),
      versions: v.pipe(v.array(PageVersionSchema), v.description("the first 256, in order")),
      left_off: count("versions behind them"),
    }),
  ),
});
export type InspectReport = v.InferOutput<typeof InspectReportSchema>;
export type InspectStopped = v.InferOutput<typeof StoppedSchema>;
export type InspectHeader = v.InferOutput<typeof HeaderSchema>;
export type InspectMemory = v.InferOutput<typeof MemorySchema>;
export type InspectMemoryMap = v.InferOutput<typeof MemoryMapSchema>;
export type InspectIteration = v.InferOutput<typeof IterationSchema>;
export type InspectIterations = v.InferOutput<typeof IterationsSchema>;
export type InspectContents = v.InferOutput<typeof ContentsSchema>;

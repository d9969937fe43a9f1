// What comparing two streams gives. DiffReportSchema is the documented schema of `agent diff
// --json` (`agent schema diff` prints it): fields are only ever added.

import * as v from "valibot";

const count = (text: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(text));
const text = (what: string) => v.pipe(v.string(), v.description(what));
const texts = (what: string) => v.pipe(v.array(v.string()), v.description(what));

const SideSchema = v.strictObject({
  input: text('what was read: a path, "standard input", "descriptor 3"'),
  format: v.picklist(["xl", "libxl", "libxc", "xapi"]),
  compression: v.nullable(v.picklist(["zstd", "gzip"])),
  kind: v.picklist(["plain", "remus", "colo"]),
  checkpoint: v.nullable(count("the checkpoint that is compared; null for a plain stream")),
  checkpoints: count("complete checkpoints"),
  guest_type: v.picklist(["pv", "hvm"]),
  xen: v.nullable(text('the Xen that wrote it, "4.20"; null for a converted stream')),
  libxc_version: count("version of the libxc image: 2 or 3"),
});

const counts = {
  a: count("pages of A; a hole is no page"),
  b: count("pages of B"),
  same: count("pages with the same type and contents in both"),
  changed: count("pages with the same type and other contents"),
  retyped: count("pages with another type"),
  added: count("pages that only B has"),
  gone: count("pages that only A has"),
};

const PagesSchema = v.strictObject({
  ...counts,
  by_type: v.pipe(
    v.array(v.strictObject({ type: text("such as NOTAB"), ...counts })),
    v.description("the same for each type; retyped pages count for the type they have in B"),
  ),
  retypes: v.array(
    v.strictObject({
      from: text("type in A"),
      to: text("type in B"),
      count: count("pages"),
    }),
  ),
  runs: v.pipe(
    v.array(
      v.strictObject({
        change: v.picklist(["changed", "retyped", "added", "gone"]),
        first_pfn: count("first pfn of the run"),
        last_pfn: count("last pfn of the run"),
      }),
    ),
    v.description("runs of pfns that differ, as they were met"),
  ),
  runs_left_off: count("further runs"),
});

const DifferenceSchema = v.strictObject({
  group: text('what it is about: "CPUID policy", "vcpu 0", "device 0000:00:02.0/vga 0", "config"'),
  name: text('"rip", "version", "b_info.max_vcpus"; "contents" for bytes that have no names'),
  a: v.nullable(text("value in A; null where A has none")),
  b: v.nullable(text("value in B; null where B has none")),
  only_a: texts("of a set of CPU features: those that only A has"),
  only_b: texts("of a set of CPU features: those that only B has"),
});

export const DiffReportSchema = v.strictObject({
  a: SideSchema,
  b: SideSchema,
  same: v.pipe(v.boolean(), v.description("no page and nothing of the state differs")),
  pages: PagesSchema,
  state: v.pipe(v.array(DifferenceSchema), v.description("differences of everything else")),
  state_left_off: count("further differences"),
  not_compared: v.pipe(
    v.array(v.strictObject({ what: text("such as config"), why: text("which of them has none") })),
    v.description("what only one of the two formats carries"),
  ),
  hints: texts("reasons why one of them may not restore where the other does, for people"),
});
export type DiffReport = v.InferOutput<typeof DiffReportSchema>;
export type StateDifference = DiffReport["state"][number];

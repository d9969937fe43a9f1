// Where the conversion of a legacy stream differs from Xen's convert-legacy-stream (4.17 and later,
// under Python 3). For every other stream both write the same bytes; test/peers holds each row
// against the original.

export interface ConvertDifference {
  readonly id: string;
  readonly input: string;
  readonly original: string;
  readonly ours: string;
}

const row = (id: string, input: string, original: string, ours: string): ConvertDifference => ({
  id,
  input,
  original,
  ours,
});

export const CONVERT_DIFFERENCES: readonly ConvertDifference[] = [
  // Done right where the original fails.
  row(
    "xl header",
    "an xl header before the stream (-x)",
    'always fails: "No xl header" (text compared with bytes)',
    "the header is passed on, with the flag of the newer stream for libxl",
  ),
  row(
    "empty batch",
    "a batch of unmapped entries only",
    "a PAGE_DATA without pages, which no reader takes",
    "no record",
  ),
  row(
    "qemu to the end",
    "QEMU record QemuDeviceModelRecord (to the end of the input)",
    '"Unrecognised Qemu sig", exit 2',
    "converted",
  ),
  row(
    "remus qemu",
    "QEMU record RemusDeviceModelState",
    '"Unrecognised Qemu sig", exit 2',
    "converted",
  ),
  row(
    "no qemu",
    "no QEMU record behind an HVM stream, to libxc",
    '"Stream truncated"',
    "the stream ends with libxc's END",
  ),
  row(
    "tmem",
    "transcendent memory without pages that must be kept",
    '"todo", exit 2',
    "passed over: the guest can do without",
  ),
  // Refused, with a reason, where the original writes a stream that no reader takes, or fails
  // without one.
  row(
    "tmem pages",
    "transcendent memory with pages that must be kept",
    '"todo", exit 2',
    "refused: no newer stream can carry them",
  ),
  row(
    "compressed",
    "a compressed Remus stream",
    '"todo", exit 2',
    "refused: its pages need the receiver's memory",
  ),
  row(
    "wrong width",
    "-w that is not the stream's width",
    "garbage, or an error about something else",
    "refused: the first bytes tell the width",
  ),
  row(
    "wrong guest",
    "-g that is not the stream's guest",
    "an error about something else",
    "refused: the first bytes tell the guest",
  ),
  row(
    "page type",
    "a page type that Xen does not define (5 to 8)",
    "passed on",
    "refused: every reader refuses it",
  ),
  row("pfn range", "a pfn at or above p2m_size", "passed on", "refused"),
  row("p2m frame", "a P2M frame at or above p2m_size", "passed on", "refused: every reader does"),
  row("pfn bits", "bits 32 and up set in an entry", "silently cut off", "refused"),
  row(
    "no vcpus",
    "a PV stream without VCPU_INFO, or with two",
    "no vcpus, or some twice",
    "refused",
  ),
  row(
    "empty context",
    "an HVM context of 0 bytes",
    "passed on",
    "refused: every reader refuses it",
  ),
  row(
    "no vcpu block",
    "extended info without a vcpu block",
    "ZeroDivisionError",
    "refused: nothing tells the guest's width",
  ),
  row("xsave size", "an XSAVE record of another size", "AssertionError", "refused"),
  row("nul in name", "a NUL inside a physmap name", "shifted keys and values", "refused"),
  row("half a file", "any failure, to a file", "the output so far is left", "no file is left"),
];

/** As Markdown. */
export const convertDifferenceDocs = (): string[] => [
  "### Conversion: where it differs from Xen's convert-legacy-stream",
  "",
  "| input | convert-legacy-stream | agent |",
  "|---|---|---|",
  ...CONVERT_DIFFERENCES.map(({ input, original, ours }) => `| ${input} | ${original} | ${ours} |`),
  "",
];

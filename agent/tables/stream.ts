// Commands on one stream: rows of the one table in commands.ts.

import {
  type CommandSpec,
  FORMAT_OPTION,
  GUEST_OPTIONS,
  HELP_OPTION,
  JSON_OPTION,
} from "../command-spec.ts";

/** Parts of what `agent inspect` prints, in its order. */
export const INSPECT_SECTIONS = [
  "guest",
  "headers",
  "records",
  "memory",
  "contents",
  "iterations",
  "vcpus",
  "hvm",
  "emulators",
  "xenstore",
  "policy",
  "config",
] as const;

export const STREAM_COMMANDS: readonly CommandSpec[] = [
  {
    name: "verify",
    operands: "[STREAM]",
    summary: "check a saved guest or migration stream",
    description: [
      "Reads STREAM (a file, - for standard input, or the number of an inherited descriptor) and " +
        "reports everything that is wrong with it, each with its absolute offset, record, field, " +
        "the expected and the found value. Takes xl save files, libxl and libxc v2/v3 streams, " +
        "checkpointed (Remus, COLO) streams, xenopsd suspend images and legacy streams, also " +
        "compressed by zstd or gzip.",
      "From a pipe or socket it never reads beyond the end of the stream.",
    ],
    options: [
      FORMAT_OPTION,
      { name: "strict", summary: "also fail on what the specification forbids but readers accept" },
      { name: "limit", value: "COUNT", summary: "report at most so many problems (default 100)" },
      JSON_OPTION,
      { name: "quiet", short: "q", summary: "print nothing; only the exit status tells" },
      { name: "verbose", short: "v", summary: "also list every header and record" },
      { name: "syslog", summary: "also send the verdict and problems to the system log" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/verify.ts"),
  },
  {
    name: "inspect",
    operands: "[STREAM]",
    summary: "show what is in a saved guest or migration stream",
    description: [
      "Shows what STREAM holds: guest, headers, records, memory by page type and as a map, pages " +
        "for each live iteration and checkpoint, vcpus with their registers, HVM parameters and " +
        "context, emulator sections, xenstore keys, CPUID and MSR policy by feature name, and " +
        "the guest's config. A damaged stream is shown as far as it can be read.",
      "Page contents are not read, which makes it fast, unless an option asks for them.",
      "--html writes a page that needs nothing but a browser: charts of memory, passes and " +
        "bytes, and tables that sort and search. It asks for contents as well. FILE appears " +
        "whole or not at all; a file that stands there is replaced then. - is standard output.",
    ],
    options: [
      {
        name: "contents",
        short: "c",
        summary: "read page contents: count zero and duplicate pages",
      },
      {
        name: "section",
        short: "s",
        value: "NAME",
        choices: INSPECT_SECTIONS,
        summary: "show one section, and nothing of it shortened",
      },
      { name: "record", short: "r", value: "N", summary: "show record N in full" },
      {
        name: "pages",
        short: "p",
        value: "PFN[-PFN]",
        summary: "show all versions of these pages, with contents",
      },
      { name: "html", value: "FILE", summary: "write a page for browsers, with charts, to FILE" },
      FORMAT_OPTION,
      JSON_OPTION,
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/inspect.ts"),
  },
  {
    name: "squash",
    operands: "[STREAM] --to FILE",
    summary: "fold a live or checkpointed stream into one plain image",
    description: [
      "Writes what a restore of STREAM would end up with as one plain stream of the same format: " +
        "the last version of every page, the last state of vcpus and devices, and END records. " +
        "Of a checkpointed (Remus, COLO) stream that is the last complete checkpoint, which is " +
        "what failover would give, or the one named by --at. Page data behind a VERIFY record is " +
        "left out, as a restore only compares it.",
      "FILE appears whole or not at all; a file that stands there is replaced then. - is " +
        "standard output. A STREAM that is no file (a pipe, compressed data) is kept in a file " +
        "without a name meanwhile, beside FILE or in --spool.",
    ],
    options: [
      { name: "to", short: "o", value: "FILE", summary: "write the image to FILE" },
      { name: "at", value: "N", summary: "take checkpoint N, counted from 1, not the last one" },
      FORMAT_OPTION,
      { name: "spool", value: "DIR", summary: "keep a stream that is no file there meanwhile" },
      JSON_OPTION,
      { name: "quiet", short: "q", summary: "print nothing; only the exit status tells" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/squash.ts"),
  },
  {
    name: "extract",
    operands: "[STREAM] --to DIR | --memory FILE --as raw|elf",
    summary: "take a stream apart into files, or make a debugger's view of its memory",
    description: [
      "Takes STREAM apart into the new folder DIR: manifest.json, records.jsonl with every " +
        "header and record in order, config.json, emulator.bin, xenstore.json and the other " +
        "bodies, pages.log with all page contents as they were sent, and trailing.bin with what " +
        "stood behind the end. agent assemble makes a stream of it again, the same bytes where " +
        "nothing was edited. DIR appears whole or not at all.",
      "Lengths and padding are made anew when it is put together, so that a part may be edited " +
        "in place: another name or disk in config.json, another emulator.bin.",
      "With --memory the guest's memory at the end of STREAM (of the last complete checkpoint) " +
        "becomes FILE: raw, a sparse image where the offset is the physical address, or elf, a " +
        "core file for gdb, crash and drgn with the registers of every vcpu, all memory by " +
        "physical address and the kernel's addresses. STREAM may be a folder made by --to.",
    ],
    options: [
      { name: "to", short: "o", value: "DIR", summary: "make the folder DIR" },
      { name: "memory", short: "m", value: "FILE", summary: "write the guest's memory to FILE" },
      { name: "as", value: "KIND", choices: ["raw", "elf"], summary: "what FILE is: raw or elf" },
      { name: "at", value: "N", summary: "memory at checkpoint N, counted from 1, not the last" },
      { name: "spool", value: "DIR", summary: "keep a stream that is no file there meanwhile" },
      {
        name: "damaged",
        summary: "take apart also what is cut short or damaged, as far as it goes",
      },
      FORMAT_OPTION,
      { name: "quiet", short: "q", summary: "print nothing; only the exit status tells" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/extract.ts"),
  },
  {
    name: "assemble",
    operands: "DIR --to FILE",
    summary: "put a stream together from what agent extract made",
    description: [
      "Writes the stream that the folder DIR holds to FILE, which appears whole or not at all; " +
        "a file that stands there is replaced then. - is standard output. The stream is verified " +
        "first: one with errors is not written, unless --damaged is given. A stream that goes to " +
        "a pipe cannot be verified before.",
    ],
    options: [
      { name: "to", short: "o", value: "FILE", summary: "write the stream to FILE" },
      { name: "damaged", summary: "write the stream also if it is not valid" },
      { name: "quiet", short: "q", summary: "print nothing; only the exit status tells" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/assemble.ts"),
  },
  {
    name: "convert",
    operands: "[STREAM] --to FILE",
    summary: "make a current stream of one from before Xen 4.6, or one for an older Xen",
    description: [
      "Writes a legacy STREAM (before Xen 4.6: PV or HVM, of a 32-bit or 64-bit toolstack, bare " +
        "or in an xl save file) as a stream that a current Xen restores. An xl save file stays " +
        "one. " +
        "Width, guest type and format are found by the first bytes; where an option says " +
        "something else, that is an error.",
      "With --libxc-version 2 a version 3 stream is written for a receiver before Xen 4.14, if " +
        "nothing is lost: one with CPUID or MSR policies is refused.",
      "FILE appears whole or not at all; a file that stands there is replaced then. - is " +
        "standard output. From a pipe or socket nothing beyond the end of the stream is read.",
      "The output is byte for byte what Xen's convert-legacy-stream writes where that is right. " +
        "What it gets wrong or refuses is done right here: xl headers, batches of unmapped " +
        "entries only, the QEMU records QemuDeviceModelRecord and RemusDeviceModelState, " +
        "transcendent memory without pages to keep. What no reader would take is refused with a " +
        "reason. agent formats legacy lists every difference.",
    ],
    options: [
      { name: "to", short: "o", value: "FILE", summary: "write the stream to FILE" },
      {
        name: "format",
        short: "f",
        value: "FORMAT",
        choices: ["libxl", "libxc"],
        summary: "write a libxl (default) or libxc stream",
      },
      {
        name: "libxc-version",
        value: "VERSION",
        choices: ["2", "3"],
        summary: "version of the libxc image that is written: 2 or 3 (default)",
      },
      {
        name: "width",
        short: "w",
        value: "BITS",
        choices: ["32", "64"],
        summary: "the legacy toolstack was 32-bit or 64-bit",
      },
      {
        name: "guest",
        short: "g",
        value: "GUEST",
        choices: ["pv", "hvm"],
        summary: "the legacy stream holds a pv or hvm guest",
      },
      JSON_OPTION,
      { name: "quiet", short: "q", summary: "print nothing; only the exit status tells" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/convert.ts"),
  },
  {
    name: "pack",
    operands: "[STREAM] --to FILE",
    summary: "store a saved guest or stream small",
    description: [
      "Stores STREAM in FILE: pages of zeros cost nothing, pages that stood before are stored " +
        "once, the rest is compressed by zstd in independent frames with checksums. Every byte " +
        "is kept, those behind the stream's end and those of a damaged stream too (exit status " +
        "3 then).",
      "agent unpack FILE --to - gives the same bytes back, for example to xl restore /dev/stdin.",
    ],
    options: [
      { name: "to", short: "o", value: "FILE", summary: "write the packed image to FILE" },
      { name: "level", value: "N", summary: "zstd's level, 1 (fast) to 19 (small); default 3" },
      FORMAT_OPTION,
      { name: "spool", value: "DIR", summary: "keep a stream that is no file there meanwhile" },
      JSON_OPTION,
      { name: "quiet", short: "q", summary: "print nothing; only the exit status tells" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/pack.ts"),
  },
  {
    name: "unpack",
    operands: "PACKED --to FILE",
    summary: "give back the bytes that agent pack stored",
    description: [
      "Writes the original bytes of PACKED to FILE (- is standard output), all of them or a " +
        "part. Every frame is checked against its hash before a byte of it goes out.",
    ],
    options: [
      { name: "to", short: "o", value: "FILE", summary: "write the original to FILE" },
      { name: "from", value: "OFFSET", summary: "begin at that offset of the original" },
      { name: "bytes", value: "SIZE", summary: "give back so many bytes (K, M, G allowed)" },
      JSON_OPTION,
      { name: "quiet", short: "q", summary: "print nothing; only the exit status tells" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/unpack.ts"),
  },
  {
    name: "diff",
    operands: "STREAM STREAM",
    summary: "compare the states that two streams end in",
    description: [
      "Compares two saved guests or streams, also of different formats, live or checkpointed, " +
        "by what a restore would end up with: pages changed, added and gone by type, and by " +
        "name the vcpus, the HVM context and parameters, versions of QEMU's devices, the CPUID " +
        "and MSR policies and the config. Begins with why one of them may not restore where the " +
        "other does.",
      "Page contents are compared byte by byte. Of a checkpointed stream its last complete " +
        "checkpoint counts, unless --at names another. A STREAM that is no file (a pipe, " +
        "compressed data) is kept in a file without a name meanwhile, in --spool, $TMPDIR or " +
        "/var/tmp.",
      "--html writes a page that needs nothing but a browser. FILE appears whole or not at all; " +
        "a file that stands there is replaced then. - is standard output.",
    ],
    options: [
      JSON_OPTION,
      { name: "html", value: "FILE", summary: "write a page for browsers to FILE" },
      {
        name: "at",
        value: "N[,N]",
        summary: "take checkpoint N, of both or of the first and the second, not the last one",
      },
      FORMAT_OPTION,
      { name: "limit", value: "COUNT", summary: "list at most so many values (default 40)" },
      { name: "spool", value: "DIR", summary: "keep a stream that is no file there meanwhile" },
      ...GUEST_OPTIONS,
      HELP_OPTION,
    ],
    load: () => import("../commands/stream/diff.ts"),
  },
  {
    name: "sample",
    operands: "FILE",
    summary: "write a small valid xl save file to try the other commands on",
    description: [
      "Writes an xl save file of a made-up PV guest with 64 pages. FILE must not exist; - is " +
        "standard output.",
    ],
    options: [HELP_OPTION],
    load: () => import("../commands/stream/sample.ts"),
  },
  {
    name: "formats",
    operands: "[FORMAT]",
    summary: "print the byte layout of every record, as the code has it",
    description: [
      "The tables that the reader, the writer and the verifier work from, as Markdown: offset, " +
        "width, field and the values a reader accepts.",
    ],
    options: [HELP_OPTION],
    load: () => import("../commands/stream/formats.ts"),
  },
  {
    name: "expand",
    operands: "KIND",
    summary: "uncompress standard input to standard output (used by agent itself)",
    description: ["KIND is zstd or gzip."],
    options: [
      { name: "prefix", value: "HEX", summary: "bytes that were read from the input already" },
    ],
    hidden: true,
    load: () => import("../commands/stream/expand.ts"),
  },
];

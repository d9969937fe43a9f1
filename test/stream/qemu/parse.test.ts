// The QEMU stream parser on built streams: what it reads, and what it says of mistakes.

import { describe, expect, test } from "bun:test";
import { QEMU_FINDINGS_MAX, SECTIONS_MAX } from "../../../lib/stream/qemu/index.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { bare, bytesOf, command, configuration, description, EOF, header } from "./build.ts";
import { join, MAGIC, part, section, u32 } from "./build.ts";
import { collect, collectWhole } from "./collect.ts";

const TIMER = { id: 0, name: "timer", version: 2, data: new Uint8Array(24) };
const CPU = { id: 4, name: "cpu", version: 12, data: bytesOf("01 7e 04 00 00 00 00") };
const IDE = { id: 9, name: "0000:00:01.1/ide", version: 3 };

const WITH_FOOTERS = join(MAGIC, section(TIMER), section(CPU), section(IDE), EOF);
const WITHOUT = join(MAGIC, bare(TIMER), bare(CPU), bare(IDE), EOF);

const CUT = "found the end of the stream";
const FILE_HEADER_AT = "error qemu file_header.magic at offset 0x1000 (record 7)";
const NO_EOF = `expected 0x0 (EOF), ${CUT}`;

const BAD: [string, Uint8Array, string[]][] = [
  [
    "nothing",
    join(),
    ["error qemu file_header.magic at offset 0x1000 (record 7): " + "expected the stream, " + CUT],
  ],
  [
    "a cut header",
    MAGIC.subarray(0, 7),
    [`${FILE_HEADER_AT}: expected 0x8 bytes, found 0x7 bytes`],
  ],
  [
    "a wrong magic",
    join("QEVN", u32(3)),
    [`${FILE_HEADER_AT}: expected 0x5145564d, found 0x5145564e`],
  ],
  [
    "version 2",
    join("QEVM", u32(2)),
    [
      "error qemu file_header.version at offset 0x1004 (record 7): " +
        "expected 0x3 (0x2 is too old: no QEMU loads it any more), found 0x2",
    ],
  ],
  [
    "version 4",
    join("QEVM", u32(4)),
    [
      "error qemu file_header.version at offset 0x1004 (record 7): " +
        "expected 0x3 (0x2 is too old: no QEMU loads it any more), found 0x4",
    ],
  ],
  [
    "no section",
    MAGIC,
    [
      "error qemu section.type at offset 0x1008 (record 7): " +
        "expected at least one section, " +
        CUT,
    ],
  ],
  [
    "EOF and no section",
    join(MAGIC, EOF),
    [
      "error qemu section.type at offset 0x1009 (record 7): " +
        "expected at least one section, " +
        CUT,
    ],
  ],
  [
    "an unknown section type",
    join(MAGIC, bytesOf("09 00")),
    [
      "error qemu section.type at offset 0x1008 (record 7): " +
        "expected a section, a command or EOF, found 0x9",
    ],
  ],
  [
    "a name that is none",
    join(MAGIC, header({ id: 1, name: "a\x01" }), EOF),
    [
      "error qemu section.idstr at offset 0x100d (record 7): " +
        "expected a name of visible characters, found 0x2 bytes that are none",
    ],
  ],
  [
    "a cut section header",
    join(MAGIC, header(CPU)).subarray(0, 20),
    [
      "error qemu section.idstr at offset 0x100d (record 7): " +
        "expected a whole section header, " +
        CUT,
    ],
  ],
  [
    "PART of nothing",
    join(MAGIC, part(2, 5, EOF)),
    [
      "error qemu section.section_id at offset 0x1009 (record 7): " +
        "expected the id of a section that has started, found 0x5",
    ],
  ],
  [
    "no EOF, without footers",
    join(MAGIC, bare({ ...CPU, data: bytesOf("01 02") })),
    [
      "error qemu eof.type at offset 0x101a (record 7): " +
        "expected 0x0 (EOF), found 0x2 in the last byte",
    ],
  ],
  [
    "one section and no footer",
    join(MAGIC, bare(CPU), EOF),
    [
      "warning qemu section.type at offset 0x1021 (record 7): " +
        "expected more than one section, " +
        CUT,
    ],
  ],
  [
    "no device bytes and no EOF",
    join(MAGIC, header(CPU)),
    [`error qemu eof.type at offset 0x1019 (record 7): ${NO_EOF}`],
  ],
  [
    "no EOF behind the last footer",
    join(MAGIC, section(TIMER), section(CPU)),
    [`error qemu eof.type at offset 0x1055 (record 7): ${NO_EOF}`],
  ],
  [
    "no EOF behind a command",
    join(MAGIC, section(CPU), command(1, u32(0))),
    [`error qemu eof.type at offset 0x102e (record 7): ${NO_EOF}`],
  ],
  [
    "no last footer",
    join(MAGIC, section(TIMER), bare(CPU), EOF),
    [
      "error qemu footer.type at offset 0x1051 (record 7): " +
        'expected 0x7e, the footer of 0x4 ("cpu" 0), found the end of the stream',
    ],
  ],
  [
    "no footer between",
    join(MAGIC, section(TIMER), bare(CPU), section(IDE), EOF),
    [
      "error qemu footer.type at offset 0x1050 (record 7): " +
        'expected 0x7e, the footer of 0x4 ("cpu" 0), found section 0x9 ("0000:00:01.1/ide" 0)',
    ],
  ],
  [
    "the footer of another section",
    join(MAGIC, section(TIMER), section({ ...CPU, footer: 5 }), section(IDE), EOF),
    [
      "error qemu footer.section_id at offset 0x1051 (record 7): " +
        'expected 0x4 ("cpu" 0), found 0x5',
    ],
  ],
  [
    "the first footer of another section",
    join(MAGIC, section({ ...TIMER, footer: 1 }), section(CPU), EOF),
    [
      "error qemu footer.section_id at offset 0x1034 (record 7): " +
        'expected 0x0 ("timer" 0), found 0x1',
    ],
  ],
  [
    "the same device twice",
    join(MAGIC, section(CPU), section({ ...CPU, id: 5 }), EOF),
    [
      "error qemu section.idstr at offset 0x102b (record 7): " +
        'expected each device and instance once, found another section of 0x5 ("cpu" 0)',
    ],
  ],
  [
    "the same device twice, without footers",
    join(MAGIC, bare(CPU), bare({ ...CPU, id: 5 }), EOF),
    [
      "error qemu section.idstr at offset 0x1026 (record 7): " +
        'expected each device and instance once, found another section of 0x5 ("cpu" 0)',
    ],
  ],
  [
    "the same id twice",
    join(MAGIC, section(CPU), section({ ...IDE, id: 4 }), EOF),
    [
      "warning qemu section.section_id at offset 0x1026 (record 7): " +
        'expected an id of its own, found 0x4 ("0000:00:01.1/ide" 0)',
    ],
  ],
  [
    "guest memory",
    join(MAGIC, section({ type: 1, id: 2, name: "ram" }), EOF),
    [
      "error qemu section.idstr at offset 0x100e (record 7): " +
        'expected no guest memory: QEMU does not load it under Xen, found 0x2 ("ram" 0)',
    ],
  ],
  [
    "a section before the configuration",
    join(MAGIC, section(CPU), configuration("pc"), section(IDE), EOF),
    [
      "error qemu configuration.type at offset 0x1025 (record 7): " +
        "expected the configuration before everything else, found it behind a section or command",
    ],
  ],
  [
    "a machine of a name too long",
    join(MAGIC, configuration("x".repeat(129)), section(CPU), EOF),
    [
      "error qemu configuration.length at offset 0x1009 (record 7): " +
        "expected 0x1 to 0x80, found 0x81",
    ],
  ],
  [
    "a machine without a name",
    join(MAGIC, configuration("p\0"), section(CPU), EOF),
    [
      "error qemu configuration.name at offset 0x100d (record 7): " +
        "expected 0x2 visible characters, found other bytes",
    ],
  ],
  [
    "a cut command",
    join(MAGIC, command(1, new Uint8Array(300)).subarray(0, 100)),
    [
      "error qemu command.data at offset 0x106c (record 7): " +
        "expected 0xcd more bytes of the command, " +
        CUT,
    ],
  ],
  [
    "bytes behind EOF",
    join(WITH_FOOTERS, bytesOf("00 00 05 00")),
    [
      "warning qemu eof.tail at offset 0x107f (record 7): " +
        "expected nothing but zero bytes behind EOF, found 0x2 other bytes",
    ],
  ],
  [
    "bytes behind the description",
    join(WITH_FOOTERS, description("{}"), "x"),
    [
      "warning qemu eof.tail at offset 0x1084 (record 7): " +
        "expected nothing but zero bytes behind EOF, found 0x1 other bytes",
    ],
  ],
  [
    "a cut description",
    join(WITH_FOOTERS, description("{}").subarray(0, 6)),
    [
      "warning qemu vmdescription.json at offset 0x1083 (record 7): " +
        "expected 0x1 more bytes of description, " +
        CUT,
    ],
  ],
];

describe("a QEMU stream is reported for", () => {
  test.each(BAD)("%s", (_, bytes, messages) => {
    expect(collectWhole(bytes).findings).toEqual(messages);
  });

  test("every cut, where it has footers", () => {
    for (let length = 0; length < WITH_FOOTERS.length; length++) {
      const { findings } = collectWhole(WITH_FOOTERS.subarray(0, length));
      expect([length, findings]).toEqual([length, [expect.stringMatching(/^(error|warning) /)]]);
    }
  });

  test("every cut behind a byte that is not zero, where it has none", () => {
    // A header is no device bytes as long as it is not whole.
    const firstSectionEnd = MAGIC.length + bare(TIMER).length + header(CPU).length;
    for (let length = 0; length < WITHOUT.length; length++) {
      const { findings } = collectWhole(WITHOUT.subarray(0, length));
      const canSeem = length > firstSectionEnd && WITHOUT[length - 1] === 0;
      expect([length, findings]).toEqual([
        length,
        canSeem ? [] : [expect.stringMatching(/^(error|warning) /)],
      ]);
    }
  });

  test("more sections than a guest can have", () => {
    const many = Array.from({ length: SECTIONS_MAX + 9 }, (_, id) =>
      bare({ id, name: `dev${id}` }),
    );
    const { sections, findings } = collectWhole(join(MAGIC, ...many, EOF));
    expect(sections).toHaveLength(SECTIONS_MAX);
    expect(findings).toEqual([expect.stringContaining("expected at most 0x400 sections")]);
  });

  test("at most a bounded number of mistakes", () => {
    const many = Array.from({ length: 900 }, (_, id) => section({ id, name: "fdc" }));
    expect(collectWhole(join(MAGIC, ...many, EOF)).findings).toHaveLength(QEMU_FINDINGS_MAX);
  });
});

test("pieces of any size give the same sections and findings", () => {
  const long = bare({ ...IDE, data: new Uint8Array(200_000).fill(4) });
  const more: typeof BAD = [
    ["with footers", WITH_FOOTERS, []],
    ["without", WITHOUT, []],
    [
      "longer than the window",
      join(MAGIC, bare(CPU), long, bare({ id: 99, name: "fdc" }), EOF),
      [],
    ],
  ];
  for (const [title, bytes] of [...BAD, ...more]) {
    const whole = collectWhole(bytes);
    for (const size of [1, 3, 7]) {
      expect([title, size, collect(bytes, size)]).toEqual([title, size, whole]);
    }
  }
});

test("no input makes the parser throw, hang or talk without end", () => {
  withSeed(51_45, (random) => {
    for (let round = 0; round < 3000; round++) {
      const valid = [WITH_FOOTERS, WITHOUT, join(MAGIC, configuration("pc"), section(CPU), EOF)];
      let bytes: Uint8Array = new Uint8Array(valid[random(valid.length)]!);
      for (let hits = random(6); hits > 0; hits--) bytes[random(bytes.length)] = random(256);
      if (random(4) === 0) bytes = bytes.subarray(0, random(bytes.length));
      // Bytes that the parser looks for, close together.
      if (random(4) === 0) {
        const tokens = [0, 0, 0, 1, 2, 3, 4, 7, 8, 0x7e, 0x61];
        const soup = Uint8Array.from({ length: 2000 }, () => tokens[random(tokens.length)]!);
        bytes = join(bytes.subarray(0, random(bytes.length)), soup);
      }
      const { findings, sections } = collect(bytes, 1 + random(500));
      expect(findings.length).toBeLessThanOrEqual(QEMU_FINDINGS_MAX);
      expect(sections.length).toBeLessThanOrEqual(bytes.length / 5);
    }
  });
});

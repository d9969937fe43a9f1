// A stream that was taken apart, edited, and put together: valid, with the changes and no others.
// And folders that nobody should believe: refused, each with what is wrong with it and where.

import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SystemError } from "../../../lib/base/index.ts";
import { editLines, putTogether, takeApart } from "../../helpers/image-folder.ts";
import { withSeed } from "../../helpers/pieces.ts";
import { HVM, VALID_PLANS, xlPlan } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { qemuState } from "../../helpers/stream-records.ts";
import { messageOf } from "../../helpers/system-error.ts";
import { bare, EOF, join as joinQemu, MAGIC } from "../qemu/build.ts";
import { type TemporaryFolder, temporaryFolder } from "../../helpers/temporary.ts";
import { findingLines, verifyBytes } from "../../helpers/verify-bytes.ts";

/** An HVM guest in an xl save file, taken apart. */
function apart(folder: TemporaryFolder, plan = "xl, HVM"): string {
  const path = join(folder.path, "apart");
  takeApart(encode(VALID_PLANS[plan]!()).bytes, path, {});
  return path;
}

const changeText = (path: string, from: string, to: string): void => {
  const text = readFileSync(path, "utf8");
  expect(text).toContain(from);
  writeFileSync(path, text.replaceAll(from, to));
};

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const LONG = new Uint8Array(99);

const ORIGINAL = encode(xlPlan(HVM)).bytes;

describe("an edited part is in the stream, which is valid", () => {
  /** What is edited, how much longer the stream becomes, and what must stand in it. */
  const EDITS: readonly (readonly [string, (path: string) => void, number, string])[] = [
    [
      "a longer name in the config",
      (path) => changeText(join(path, "config.json"), '"built"', '"another name"'),
      7,
      '"name":"another name"',
    ],
    [
      "a shorter name in the config",
      (path) => changeText(join(path, "config.json"), '"built"', '"b"'),
      -4,
      '"name":"b"',
    ],
    [
      "a disk in the config",
      (path) => changeText(join(path, "config.json"), '"b_info"', '"disks":["/dev/x"],"b_info"'),
      19,
      '"disks":["/dev/x"]',
    ],
    [
      "another emulator state",
      (path) =>
        writeFileSync(join(path, "emulator.bin"), Buffer.from(qemuState()).fill(0x7e, 40, 41)),
      0,
      "0000:00:01.1/ide",
    ],
    [
      "another key for the emulator",
      (path) => changeText(join(path, "xenstore.json"), '"vga.vram"', '"vga.vram"], ["new", "one"'),
      8,
      "vga.vram\0new\0one\0",
    ],
    [
      "one HVM parameter less",
      (path) => {
        const table = JSON.parse(readFileSync(join(path, "hvm-params.json"), "utf8"));
        table.rows.pop();
        writeFileSync(join(path, "hvm-params.json"), JSON.stringify(table));
      },
      -16,
      "built",
    ],
    [
      "a field of a record",
      (path) => changeText(join(path, "records.jsonl"), '"khz":2000000', '"khz":"0x3ade68b1"'),
      0,
      "\xb1\x68\xde\x3a",
    ],
    [
      "a page of the log",
      (path) => {
        const pages = readFileSync(join(path, "pages.log"));
        pages.write("was here", 100);
        writeFileSync(join(path, "pages.log"), pages);
      },
      0,
      "was here",
    ],
    [
      "pages of another type",
      (path) => changeText(join(path, "records.jsonl"), "0x1 XALLOC", "0x1 BROKEN"),
      0,
      "built",
    ],
    [
      "page contents twice",
      (path) => changeText(join(path, "records.jsonl"), "0x1 XALLOC", "0x1 NOTAB"),
      4096,
      "built",
    ],
  ];

  test.each(EDITS)("%s", (name, edit, longer, wanted) => {
    using folder = temporaryFolder();
    const path = apart(folder);
    if (name === "page contents twice") {
      const pages = readFileSync(join(path, "pages.log"));
      writeFileSync(join(path, "pages.log"), Buffer.concat([pages, pages]));
    }
    edit(path);
    const bytes = putTogether(path);
    // The config's length decides where everything stands, but nothing else is aligned by it.
    const difference = bytes.byteLength - ORIGINAL.byteLength;
    expect(Math.abs(difference - longer)).toBeLessThan(8); // Padding.
    expect(findingLines(verifyBytes(bytes, {}))).toEqual([]);
    expect(Buffer.from(bytes).includes(wanted, 0, "latin1")).toBeTrue();
  });

  test("a record left out, and one moved", () => {
    using folder = temporaryFolder();
    const path = apart(folder);
    editLines(path, (lines) => {
      const isTsc = (line: Record<string, unknown>) => line["record"] === "X86_TSC_INFO";
      const params = lines.findIndex((line) => line["record"] === "HVM_PARAMS");
      const moved = lines.find(isTsc)!;
      lines.splice(params + 1, 0, moved);
      lines.splice(lines.findIndex(isTsc), 1);
      return lines.filter((line) => line["record"] !== "EMULATOR_XENSTORE_DATA");
    });
    const report = verifyBytes(putTogether(path), {});
    expect(findingLines(report)).toEqual([]);
    expect(report.records).toBe(verifyBytes(ORIGINAL, {}).records - 1);
  });

  test("the QEMU record of suspend images, newer and older", () => {
    for (const plan of ["suspend image, HVM", "old suspend image, HVM"]) {
      using folder = temporaryFolder();
      const path = apart(folder, plan);
      const more = ["timer", "fdc"].map((name, id) => bare({ id, name, version: 2, data: LONG }));
      const longer = joinQemu(MAGIC, ...more, EOF);
      changeText(join(path, "records.jsonl"), hexOf(qemuState()), hexOf(longer));
      const bytes = putTogether(path);
      expect(findingLines(verifyBytes(bytes, {}))).toEqual([]);
      expect(Buffer.from(bytes).includes(longer)).toBeTrue();
    }
  });
});

describe("a folder that nobody should believe is refused", () => {
  const line = (path: string, edit: (line: Record<string, unknown>) => object, record: string) =>
    editLines(path, (lines) =>
      lines.map((one) => (one["record"] === record ? { ...edit(one) } : one) as typeof one),
    );
  const inPages = (path: string, pages: object) =>
    line(
      path,
      (one) => ({ ...one, pages: { ...(one["pages"] as object), ...pages } }),
      "PAGE_DATA",
    );
  const emulator = (path: string, data: object) =>
    line(path, (one) => ({ ...one, data }), "EMULATOR_CONTEXT");

  /** What is wrong, how it came, and what must be said. */
  const WRONG: readonly (readonly [string, (path: string) => void, string])[] = [
    [
      "a file outside of the folder",
      (path) => emulator(path, { file: "../secret" }),
      'records.jsonl.data.file at OFFSET (LINE): expected a plain file name, found "../secret"',
    ],
    [
      "an absolute path",
      (path) => emulator(path, { file: "/etc/passwd" }),
      'expected a plain file name, found "/etc/passwd"',
    ],
    [
      "a link instead of a file",
      (path) => {
        rmSync(join(path, "pages.log"));
        symlinkSync("/etc/passwd", join(path, "pages.log"));
      },
      "failed with ELOOP",
    ],
    [
      "a folder instead of a file",
      (path) => {
        rmSync(join(path, "pages.log"));
        mkdirSync(join(path, "pages.log"));
      },
      "wanted a regular file, found a directory",
    ],
    [
      "a pipe instead of a file",
      (path) => {
        rmSync(join(path, "pages.log"));
        Bun.spawnSync(["mkfifo", join(path, "pages.log")]);
      },
      "wanted a regular file, found a pipe",
    ],
    ["no page log", (path) => rmSync(join(path, "pages.log")), "failed with ENOENT"],
    ["no config", (path) => rmSync(join(path, "config.json")), "failed with ENOENT"],
    ["no manifest", (path) => rmSync(join(path, "manifest.json")), "failed with ENOENT"],
    ["no records", (path) => rmSync(join(path, "records.jsonl")), "failed with ENOENT"],
    [
      "a page log that is too short",
      (path) => truncateSync(join(path, "pages.log"), 100),
      "pages.log at OFFSET (LINE): expected bytes 0 to 4096 of pages.log, found 100 bytes in all",
    ],
    [
      "pages behind the end of the log",
      (path) => inPages(path, { first: 2 ** 40 }),
      "found 4096 bytes in all",
    ],
    [
      "more pages than 2^53 bytes",
      (path) => inPages(path, { first: Number.MAX_SAFE_INTEGER }),
      "found 4096 bytes in all",
    ],
    [
      "too many pfns",
      (path) => inPages(path, { pfns: ["0x0-0xfffffffff NOTAB"] }),
      'pages.pfns at OFFSET (LINE): expected at most 16384 pfns in a batch',
    ],
    [
      "pfns backwards",
      (path) => inPages(path, { pfns: ["0x9-0x1 NOTAB"] }),
      "expected pfns and a type",
    ],
    [
      "a pfn of 53 bits",
      (path) => inPages(path, { pfns: ["0x10000000000000 XTAB"] }),
      "expected pfns",
    ],
    [
      "a type that is none",
      (path) => inPages(path, { pfns: ["0x1 type 5"] }),
      "expected pfns and a type",
    ],
    ["a page number below 0", (path) => inPages(path, { first: -1 }), "expected >=0"],
    [
      "a record that does not exist",
      (path) => line(path, (one) => ({ ...one, record: "NOTHING" }), "PAGE_DATA"),
      "expected a record of libxc, found NOTHING",
    ],
    [
      "two bodies",
      (path) => line(path, (one) => ({ ...one, body: { hex: "00" } }), "PAGE_DATA"),
      "expected one kind of body, found two",
    ],
    [
      "a key that is none",
      (path) => line(path, (one) => ({ ...one, extra: 1 }), "PAGE_DATA"),
      "records.jsonl.extra",
    ],
    [
      "a field too wide",
      (path) => changeText(join(path, "records.jsonl"), '"khz":2000000', '"khz":"0x100000000"'),
      "fields.khz at OFFSET (LINE): expected at most 32 bits, found 0x100000000",
    ],
    [
      "a field missing",
      (path) => changeText(join(path, "records.jsonl"), '"khz":2000000,', ""),
      "fields.khz at OFFSET (LINE): expected a value, found none",
    ],
    [
      "a field too many",
      (path) => changeText(join(path, "records.jsonl"), '"khz"', '"hertz":1,"khz"'),
      "fields.hertz at OFFSET (LINE): expected mode, khz, nsec, incarnation, reserved",
    ],
    ["hex that is none", (path) => emulator(path, { hex: "0g" }), "records.jsonl.data"],
    [
      "a line that is not JSON",
      (path) => changeText(join(path, "records.jsonl"), '{"layer":"libxl"', '{"layer":'),
      "records.jsonl.text at OFFSET (LINE): expected JSON",
    ],
    [
      "a line without an end",
      (path) => writeFileSync(join(path, "records.jsonl"), "x".repeat(5 * 2 ** 20)),
      "expected at most 4194304 bytes, found a longer one",
    ],
    [
      "another version",
      (path) => changeText(join(path, "manifest.json"), '"agent_image": 1', '"agent_image": 2'),
      "manifest.json.agent_image at offset 0x0: expected version 1, found 2",
    ],
    [
      "a huge table",
      (path) => truncateSync(join(path, "hvm-params.json"), 2 ** 40),
      "hvm-params.json.size at offset 0x0: expected at most 16777216 bytes",
    ],
    [
      "a huge emulator state",
      (path) => truncateSync(join(path, "emulator.bin"), 2 ** 40),
      "records.jsonl.body at OFFSET (LINE): expected at most 0x8000000, found 0x10000000008",
    ],
    [
      "a key with a NUL in it",
      (path) => changeText(join(path, "xenstore.json"), '"vga.vram"', '"vga\\u0000vram"'),
      "xenstore.json.pair at offset 0x0: expected keys and values without a NUL",
    ],
    [
      "a row with a field too many",
      (path) => changeText(join(path, "hvm-params.json"), '"index"', '"more": 1, "index"'),
      "hvm-params.json.rows.0.more at offset 0x0: expected index, value, found another field",
    ],
  ];

  test.each(WRONG)("%s", (_, spoil, wanted) => {
    using folder = temporaryFolder();
    const path = apart(folder);
    spoil(path);
    const message = messageOf(() => putTogether(path));
    const plain = message.replace(/at offset 0x[0-9a-f]+ \(record [0-9]+\)/, "at OFFSET (LINE)");
    expect(plain).toContain(wanted);
  });

  test("a legacy part of another size: only its head tells how long it is", () => {
    using folder = temporaryFolder();
    const path = apart(folder, "xl, legacy HVM");
    editLines(path, (lines) =>
      lines.map((one) => (one["record"] === "HVM_CONTEXT" ? { ...one, body: { hex: "00" } } : one)),
    );
    expect(messageOf(() => putTogether(path))).toMatch(
      /expected [0-9]+ bytes, for its head tells so, found 1$/,
    );
  });

  test("whatever is changed, it is a stream, or it is told what is wrong", () => {
    withSeed(99, (random) => {
      using folder = temporaryFolder();
      const path = apart(folder);
      const names = ["records.jsonl", "manifest.json", "hvm-params.json", "xenstore.json"];
      for (let round = 0; round < 400; round++) {
        const name = join(path, names[random(8)] ?? "records.jsonl");
        const saved = readFileSync(name);
        const bytes = Buffer.from(saved);
        for (let hit = random(3); hit >= 0; hit--) {
          const other = '{}[]":,0129afx-\n\\'.charCodeAt(random(16));
          bytes[random(bytes.length)] = random(2) === 0 ? other : random(256);
        }
        writeFileSync(name, bytes);
        try {
          putTogether(path);
        } catch (error) {
          const isTold =
            error instanceof SystemError ||
            ["StreamError", "RefusedError"].includes((error as Error).name);
          expect({ text: bytes.toString("latin1"), error: String(error), isTold }).toMatchObject({
            isTold: true,
          });
        }
        writeFileSync(name, saved);
      }
    });
  }, 30_000);
});

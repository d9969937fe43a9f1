// What an input is, by its first bytes, and what is said of one that is none of ours.

import { describe, expect, test } from "bun:test";
import {
  DETECT_BYTES,
  describeStranger,
  detectCompression,
  detectFormat,
} from "../../lib/stream/detect.ts";
import { VALID_PLANS } from "../helpers/stream-builder.ts";
import { ascii, encode, filled, join } from "../helpers/stream-plan.ts";
import { verifyBytes } from "../helpers/verify-bytes.ts";

/** The format a plan's name begins with. */
const formatOf = (name: string): string =>
  name.includes("suspend") ? "xapi" : /^(Remus|COLO)/.test(name) ? "xl" : /^\w+/.exec(name)![0];

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));

describe("a format is known by its first bytes", () => {
  test.each(Object.entries(VALID_PLANS))("%s", (name, build) => {
    const { bytes } = encode(build());
    expect(detectFormat(bytes.subarray(0, DETECT_BYTES))).toBe(formatOf(name) as "xl");
  });
});

describe("what is none of ours is described", () => {
  test.each([
    // first bytes                                        what is said
    ["", "no bytes at all: the input is empty"],
    ["Xen saved domain, xl fo", "only the first 23 bytes of an xl save file"],
    ["X", "only the first 1 byte of an xl save file"],
    ["XenSavedDomv2", "only the first 13 bytes of a suspend image"],
    ["Libxl", "only the first 5 bytes of a libxl stream"],
    ["LibxlFmt\0\0\0\x02", "only the first 12 bytes of a libxl stream"],
    ["\xff\xff\xff", "only the first 3 bytes of a libxc stream"],
    ["QFI\xfb\0\0\0\x03", "a qcow2 disk image, not a saved guest"],
    ["\x7fELF\x02\x01\x01", "an ELF file (a program or a core dump)"],
    ["QEVM\0\0\0\x03", "a bare QEMU state, without the guest's memory around it"],
    ["LibvirtQemudSave", "a libvirt QEMU save image: it holds a QEMU stream, not a Xen one"],
    ["LinuxGuestRecord", "a save file of xend, which no current toolstack reads"],
    [
      "xl migration receiver ready, send binary domain data.\n",
      "the receiver's side of an xl migrate: verify the sender's side",
    ],
    ["KDMV\x01", "a VMDK disk image"],
    ["conectix\0\0", "a VHD disk image"],
    ["\xfd7zXZ\0", "xz-compressed: uncompress it first (xz -dc)"],
    ["\x04\x22\x4d\x18", "lz4-compressed: uncompress it first (lz4 -dc)"],
    ["BZh91AY", "bzip2-compressed: uncompress it first (bzip2 -dc)"],
    ["PK\x03\x04", "a zip archive"],
    ["\0\0\0\0\0\0\0\0\0\0", "nothing but zero bytes at the start"],
    ["name = 'guest'\nmemory = 512\n", "bytes 6e616d65203d20276775657374270a6d"],
  ])("%j", (text, found) => {
    const first = bytesOf(text).subarray(0, DETECT_BYTES);
    expect(detectFormat(first)).toBeUndefined();
    expect(describeStranger(first)).toBe(found);
    const report = verifyBytes(bytesOf(text), {});
    expect(report).toMatchObject({ verdict: "unrecognised", format: null, errors: 1, records: 0 });
    expect(report.findings[0]).toMatchObject({ layer: "input", field: "format", offset: 0, found });
  });

  test("a libxc marker without its id is not a libxc stream", () => {
    const first = join(filled(8, 0xff), ascii("XENG"), filled(20, 0));
    expect(detectFormat(first)).toBeUndefined();
    expect(describeStranger(first)).toBe(`bytes ${first.subarray(0, 16).toHex()}`);
  });
});

test.each([
  ["(\xb5/\xfd", "zstd"],
  ["\x1f\x8b\x08", "gzip"],
  ["\x1f\x8b\x07", undefined],
  ["(\xb5/", undefined],
  ["", undefined],
] as const)("compression of %j is %p", (text, compression) => {
  expect(detectCompression(bytesOf(text))).toBe(compression);
});

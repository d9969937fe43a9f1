// Damaged headers of every framing: each field outside its rule, and the exact line.

import { describe } from "bun:test";
import type { Layout } from "../../../lib/bytes/index.ts";
import { DOMAIN_HEADER, DOMAIN_HVM, IMAGE_HEADER } from "../../../lib/stream/libxc/index.ts";
import { LIBXL_HEADER } from "../../../lib/stream/libxl/index.ts";
import { SAVE_HEADER } from "../../../lib/stream/xl/index.ts";
import { testDamage } from "../../helpers/damage.ts";
import { HVM, libxcRecords, libxlRecords, PV64, xlPlan } from "../../helpers/stream-builder.ts";
import {
  filled,
  overwrite,
  recordNamed,
  setField,
  type StreamPlan,
} from "../../helpers/stream-plan.ts";

const set =
  (record: string, layout: Layout) =>
  (field: string, value: number | bigint) =>
  (plan: StreamPlan): void =>
    setField(recordNamed(plan, record), layout, { field, value });

const xl = set("save_header", SAVE_HEADER);
const libxl = set("header", LIBXL_HEADER);
const image = set("image_header", IMAGE_HEADER);
const domain = set("domain_header", DOMAIN_HEADER);

describe("the xl save header", () => {
  testDamage({ base: () => xlPlan(PV64), format: "xl" }, [
    [
      "magic",
      (plan) => overwrite(recordNamed(plan, "magic"), 31, filled(1, 0x0a)),
      [
        'error xl save_header.magic at magic+0x0: expected "Xen saved domain, xl format", found bytes 58656e20736176656420646f6d61696e2c20786c20666f726d61740a2000200a',
      ],
    ],
    [
      "byteorder of nobody",
      xl("byteorder", 0x01020305),
      ["error xl save_header.byteorder at save_header+0x0: expected 0x1020304, found 0x1020305"],
    ],
    [
      "byteorder of a big-endian host",
      xl("byteorder", 0x04030201),
      [
        "error xl save_header.byteorder at save_header+0x0: expected 0x1020304 in little-endian order, found 0x4030201: written on a big-endian host",
      ],
    ],
    [
      "mandatory_flags",
      xl("mandatory_flags", 7),
      [
        "error xl save_header.mandatory_flags at save_header+0x4: expected no bits but 0x1 (JSON config) and 0x2 (v2 stream), found 0x7",
      ],
    ],
    [
      "optional_flags",
      xl("optional_flags", 1),
      [
        "warning! xl save_header.optional_flags at save_header+0x8: expected 0 (reserved), found 0x1",
      ],
    ],
    [
      "optional_data_len over 1 MiB",
      xl("optional_data_len", 2 ** 31),
      [
        "error xl CONFIG.optional_data_len at save_header+0xc: expected at most 1048576 bytes of optional data, found 2147483648",
      ],
    ],
    [
      "optional_data_len 0",
      xl("optional_data_len", 0),
      [
        "error libxl header.ident at CONFIG+0x0: expected 0x4c6962786c466d74, found 0x7b0000007b22635f",
      ],
    ],
    [
      "a libxl stream that is said to be legacy",
      xl("mandatory_flags", 1),
      [
        "error legacy header.p2m_size at header+0x0: expected p2m_size, then zeros (64 bit), all ones or a chunk (32 bit), found bytes 4c6962786c466d740000000200000000",
      ],
    ],
  ]);
});

describe("the libxl header", () => {
  testDamage({ base: () => ({ records: libxlRecords(PV64) }), format: "libxl" }, [
    [
      "ident",
      libxl("ident", 0x4c6962786c466d75n),
      [
        "error libxl header.ident at header+0x0: expected 0x4c6962786c466d74, found 0x4c6962786c466d75",
      ],
    ],
    [
      "version below",
      libxl("version", 1),
      ["error libxl header.version at header+0x8: expected 0x2, found 0x1"],
    ],
    [
      "version above",
      libxl("version", 3),
      ["error libxl header.version at header+0x8: expected 0x2, found 0x3"],
    ],
    [
      "options: big-endian",
      libxl("options", 1),
      [
        "error libxl header.options at header+0xc: expected bit 0 clear (little-endian), found 0x1: written on a big-endian host",
      ],
    ],
    [
      "options: reserved bits",
      libxl("options", 0x8000_0004),
      [
        "warning! libxl header.options at header+0xc: expected no bits but 0x1 (big-endian) and 0x2 (converted from legacy), found 0x80000004",
      ],
    ],
  ]);
});

describe("the libxc image and domain headers", () => {
  testDamage({ base: () => ({ records: libxcRecords(PV64) }), format: "libxc" }, [
    [
      "marker",
      image("marker", 0xffff_ffff_ffff_fffen),
      [
        "error libxc image_header.marker at image_header+0x0: expected 0xffffffffffffffff, found 0xfffffffffffffffe",
      ],
    ],
    [
      "id",
      image("id", 0x58454e47),
      ["error libxc image_header.id at image_header+0x8: expected 0x58454e46, found 0x58454e47"],
    ],
    [
      "version below",
      image("version", 1),
      ["error libxc image_header.version at image_header+0xc: expected 0x2 or 0x3, found 0x1"],
    ],
    [
      "version above",
      image("version", 4),
      ["error libxc image_header.version at image_header+0xc: expected 0x2 or 0x3, found 0x4"],
    ],
    [
      "options: big-endian",
      image("options", 1),
      [
        "error libxc image_header.options at image_header+0x10: expected bit 0 clear (little-endian), found 0x1: written on a big-endian host",
      ],
    ],
    [
      "options: reserved bits",
      image("options", 0x8000),
      [
        "warning! libxc image_header.options at image_header+0x10: expected no bits but 0x1 (big-endian), found 0x8000",
      ],
    ],
    [
      "reserved_a",
      image("reserved_a", 1),
      [
        "warning! libxc image_header.reserved_a at image_header+0x12: expected 0 (reserved), found 0x1",
      ],
    ],
    [
      "reserved_b",
      image("reserved_b", 0x8000_0000),
      [
        "warning! libxc image_header.reserved_b at image_header+0x14: expected 0 (reserved), found 0x80000000",
      ],
    ],
    [
      "type below",
      domain("type", 0),
      [
        "error libxc domain_header.type at domain_header+0x0: expected 0x1 (x86 PV) or 0x2 (x86 HVM), found 0x0",
      ],
    ],
    [
      "type above",
      domain("type", 3),
      [
        "error libxc domain_header.type at domain_header+0x0: expected 0x1 (x86 PV) or 0x2 (x86 HVM), found 0x3",
      ],
    ],
    [
      "page_shift",
      domain("page_shift", 21),
      [
        "error libxc domain_header.page_shift at domain_header+0x4: expected 0xc (4096-byte pages), found 0x15",
      ],
    ],
    [
      "reserved",
      domain("reserved", 1),
      [
        "warning! libxc domain_header.reserved at domain_header+0x6: expected 0 (reserved), found 0x1",
      ],
    ],
  ]);
});

describe("the guest's type in the config and in the image", () => {
  testDamage({ base: () => xlPlan(HVM) }, [
    [
      "a PV image for an HVM config",
      (plan) => {
        const pv = xlPlan(PV64).records;
        const start = pv.findIndex(({ name }) => name === "domain_header");
        const mine = plan.records.findIndex(({ name }) => name === "domain_header");
        plan.records.splice(mine, plan.records.length, ...pv.slice(start));
      },
      [
        'error libxc domain_header.type at domain_header+0x0: expected 2, for the config says "hvm", found 1',
        "error libxl END.order at END#1+0x0: expected EMULATOR_CONTEXT before this record, found none, for an HVM guest",
      ],
    ],
  ]);
  testDamage({ base: () => xlPlan(PV64) }, [
    [
      "an HVM image for a PV config",
      domain("type", DOMAIN_HVM),
      [
        'error libxc domain_header.type at domain_header+0x0: expected 1, for the config says "pv", found 2',
        "error libxc X86_PV_INFO.type at X86_PV_INFO+0x0: expected records of an HVM guest, found X86_PV_INFO, which libxc refuses there",
        "error libxc X86_PV_P2M_FRAMES.type at X86_PV_P2M_FRAMES+0x0: expected records of an HVM guest, found X86_PV_P2M_FRAMES, which libxc refuses there",
        "error libxc SHARED_INFO.type at SHARED_INFO+0x0: expected records of an HVM guest, found SHARED_INFO, which libxc refuses there",
        "error libxc X86_PV_VCPU_BASIC.type at X86_PV_VCPU_BASIC+0x0: expected records of an HVM guest, found X86_PV_VCPU_BASIC, which libxc refuses there",
        "error libxc X86_PV_VCPU_EXTENDED.type at X86_PV_VCPU_EXTENDED+0x0: expected records of an HVM guest, found X86_PV_VCPU_EXTENDED, which libxc refuses there",
        "error libxc X86_PV_VCPU_XSAVE.type at X86_PV_VCPU_XSAVE+0x0: expected records of an HVM guest, found X86_PV_VCPU_XSAVE, which libxc refuses there",
        "error libxc X86_PV_VCPU_MSRS.type at X86_PV_VCPU_MSRS+0x0: expected records of an HVM guest, found X86_PV_VCPU_MSRS, which libxc refuses there",
        "error libxc X86_PV_VCPU_BASIC.type at X86_PV_VCPU_BASIC#1+0x0: expected records of an HVM guest, found X86_PV_VCPU_BASIC, which libxc refuses there",
        "error libxc X86_PV_VCPU_EXTENDED.type at X86_PV_VCPU_EXTENDED#1+0x0: expected records of an HVM guest, found X86_PV_VCPU_EXTENDED, which libxc refuses there",
        "error libxc X86_PV_VCPU_XSAVE.type at X86_PV_VCPU_XSAVE#1+0x0: expected records of an HVM guest, found X86_PV_VCPU_XSAVE, which libxc refuses there",
        "error libxc X86_PV_VCPU_MSRS.type at X86_PV_VCPU_MSRS#1+0x0: expected records of an HVM guest, found X86_PV_VCPU_MSRS, which libxc refuses there",
        "error libxc END.order at END+0x0: expected HVM_CONTEXT before this record, found none",
        "error libxc END.order at END+0x0: expected HVM_PARAMS before this record, found none",
      ],
    ],
  ]);
});

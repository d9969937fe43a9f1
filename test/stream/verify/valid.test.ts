// Every kind of valid stream is good, without an error and without a warning, and the report says
// what is in it.

import { describe, expect, test } from "bun:test";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";
import { encode } from "../../helpers/stream-plan.ts";
import { findingLines, verifyBytes } from "../../helpers/verify-bytes.ts";

/** Format, kind, guest, Xen, libxc version, pages sent / with data / distinct, checkpoints. */
const SUMMARIES: Readonly<Record<string, string>> = {
  "xl, PV 64": "xl plain pv 4.20 v3 24/3/24 0",
  "xl, PV 32": "xl plain pv 4.20 v3 24/3/24 0",
  "xl, HVM": "xl plain hvm 4.20 v3 24/1/24 0",
  "xl, PVH": "xl plain hvm 4.20 v3 24/1/24 0",
  "xl, PV 64 with VERIFY": "xl plain pv 4.20 v3 48/6/24 0",
  "libxl, PV 64": "libxl plain pv 4.20 v3 24/3/24 0",
  "libxl, HVM": "libxl plain hvm 4.20 v3 24/1/24 0",
  "libxl, converted PV": "libxl plain pv null v3 24/3/24 0",
  "libxl, converted HVM": "libxl plain hvm null v3 24/1/24 0",
  "libxc version 2, PV 64": "libxc plain pv 4.20 v2 24/3/24 0",
  "libxc version 2, PV 32": "libxc plain pv 4.20 v2 24/3/24 0",
  "libxc version 2, HVM": "libxc plain hvm 4.20 v2 24/1/24 0",
  "libxc version 3, PV 64": "libxc plain pv 4.20 v3 24/3/24 0",
  "libxc version 3, HVM": "libxc plain hvm 4.20 v3 24/1/24 0",
  "Remus, PV": "xl remus pv 4.20 v3 26/5/24 3 failover",
  "Remus, HVM": "xl remus hvm 4.20 v3 25/2/24 2 failover",
  "Remus, PV, with an END": "xl remus pv 4.20 v3 24/3/24 1",
  "COLO, PV": "xl colo pv 4.20 v3 25/4/24 2 failover",
  "COLO, HVM": "xl colo hvm 4.20 v3 26/3/24 3 failover",
  "suspend image, PV": "xapi plain pv 4.20 v3 24/3/24 0",
  "suspend image, HVM": "xapi plain hvm 4.20 v3 24/1/24 0",
  "suspend image, libxl": "xapi plain pv 4.20 v3 24/3/24 0",
  "suspend image, legacy": "xapi plain null null vnull 2/1/2 0",
  "old suspend image, PV": "xapi plain pv 4.20 v3 24/3/24 0",
  "old suspend image, HVM": "xapi plain hvm 4.20 v3 24/1/24 0",
  "old suspend image, legacy": "xapi plain null null vnull 2/1/2 0",
  "legacy PV, tool 64, guest 64": "legacy plain null null vnull 6/2/6 0",
  "legacy PV, tool 64, guest 32": "legacy plain null null vnull 6/2/6 0",
  "legacy PV, tool 32, guest 64": "legacy plain null null vnull 6/2/6 0",
  "legacy PV, tool 32, guest 32": "legacy plain null null vnull 6/2/6 0",
  "legacy HVM, tool 64": "legacy plain null null vnull 2/1/2 0",
  "legacy HVM, tool 32": "legacy plain null null vnull 2/1/2 0",
  "legacy HVM without QEMU": "legacy plain null null vnull 2/1/2 0",
  "legacy HVM, QEMU to the end": "legacy plain null null vnull 2/1/2 0",
  "legacy HVM, Remus QEMU": "legacy plain null null vnull 2/1/2 0",
  "xl, legacy PV": "xl plain null null vnull 6/2/6 0",
  "xl, legacy HVM": "xl plain null null vnull 2/1/2 0",
};

describe("a valid stream is good", () => {
  test.each(Object.entries(VALID_PLANS))("%s", (name, build) => {
    const { bytes } = encode(build());
    const report = verifyBytes(bytes, {});
    expect(findingLines(report)).toEqual([]);
    const { verdict, errors, warnings, end_offset, trailing } = report;
    expect({ verdict, errors, warnings }).toEqual({ verdict: "good", errors: 0, warnings: 0 });
    expect({ end_offset, trailing }).toEqual({ end_offset: bytes.byteLength, trailing: null });

    const { format, kind, guest, pages, checkpoints } = report;
    const failover =
      checkpoints.failover === null ? "" : checkpoints.failover ? " failover" : " no";
    const counts = `${pages.sent}/${pages.with_data}/${pages.distinct}`;
    const what = `${format} ${kind} ${guest.type} ${guest.xen} v${guest.libxc_version}`;
    const summary = `${what} ${counts} ${checkpoints.complete}${failover}`;
    expect(summary).toBe(SUMMARIES[name] ?? "a row in SUMMARIES");
    const isLast = checkpoints.last_end_offset === bytes.byteLength;
    expect(isLast).toBe(failover !== "");
  });
});

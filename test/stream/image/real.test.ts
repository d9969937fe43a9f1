// Streams that Xen's toolstack wrote: taken apart and put together again they are the same bytes.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { assembleFolder } from "../../../lib/stream/image/assemble.ts";
import { extractStream } from "../../../lib/stream/image/extract.ts";
import { FileSource } from "../../../lib/stream/input/index.ts";
import { openForReading } from "../../../lib/sys/index.ts";
import { capturePath, captureTitle } from "../../helpers/captures.ts";
import { firstDifference } from "../../helpers/image-folder.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

/** Capture, records, page contents, and files that must be there. */
const CAPTURES = [
  ["pv32.xl-save", 22, 8192, "config.json vcpu-0-basic.bin shared-info.bin"],
  ["pv48-2.xl-save", 29, 12288, "vcpu-1-xsave.bin p2m-frames.json"],
  ["pvh48.xl-save", 1030, 12238, "hvm-context.bin hvm-params.json"],
  ["hvm40-physmap.xl-save", 1032, 10235, "emulator.bin xenstore.json cpuid-policy.json"],
  ["pv32.migrate.to-receiver", 24, 9020, "trailing.bin"],
  ["pv32.remus.to-receiver", 80, 14748, "vcpu-0-basic-8.bin shared-info-8.bin"],
] as const;

describe("a real stream comes out as it went in", () => {
  for (const [name, records, pages, files] of CAPTURES) {
    const path = capturePath(name);
    test.skipIf(path === undefined)(
      captureTitle(name, path),
      async () => {
        using folder = temporaryFolder();
        const [apart, again] = [join(folder.path, "apart"), join(folder.path, "again")];
        const bytes = readFileSync(path!);
        using source = new FileSource(openForReading(path!), {
          bytesTotal: bytes.byteLength,
          start: 0,
        });
        const extracted = await extractStream(source, apart, {
          format: undefined,
          allowsDamage: false,
          takesRest: true,
          onProgress: () => undefined,
          close: () => Promise.resolve(undefined),
        });
        expect([extracted.end.records, extracted.pages]).toEqual([records, pages]);
        const missing = files.split(" ").filter((file) => !existsSync(join(apart, file)));
        expect({ missing, in: readdirSync(apart).length }).toMatchObject({ missing: [] });

        const assembled = assembleFolder(apart, again, {
          allowsDamage: false,
          onProgress: () => undefined,
        });
        expect(assembled.report?.verdict).toBe("good");
        expect(firstDifference(bytes, readFileSync(again))).toBe("equal");
      },
      30_000,
    );
  }
});

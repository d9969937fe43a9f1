// The worker beside a save helper is replaced while libxl and the helper talk: same processes, the
// same stream, the same messages.

import { expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MESSAGE } from "../helpers/control-protocol.ts";
import { libxcPartsOf } from "../helpers/libxc-parts.ts";
import { runHelper } from "../helpers/libxl.ts";
import { replaceBy, until } from "../helpers/seam-update.ts";
import { checkpointedPlan, HVM, PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const STREAMS: readonly (readonly [string, Uint8Array])[] = [
  ["PV", encode(xlPlan(PV64)).bytes],
  ["Remus, HVM", encode(checkpointedPlan(HVM, { checkpoints: 2, isColo: false })).bytes],
];

/** Its control socket, in a folder where it is the only one; the helper may be quicker than it. */
async function controlIn(folder: string): Promise<string> {
  await until("the worker listens", () => readdirSync(folder).length > 0);
  return join(folder, readdirSync(folder)[0]!); // There is one now.
}

test.each(STREAMS)(
  "a save goes on in another program: %s",
  async (_, bytes) => {
    using folder = temporaryFolder();
    using control = temporaryFolder();
    const { start, libxc, libxl } = libxcPartsOf(bytes);
    let at = start;
    const parts = libxc.map((size, index) => {
      const part = bytes.subarray(at, at + size);
      at += size + libxl[index]!;
      return part;
    });
    const file = join(folder.path, "libxc");
    writeFileSync(file, Buffer.concat(parts));
    const saved = join(folder.path, "saved");
    const io = openSync(saved, "w");
    const isRemus = libxc.length > 1;
    let updates = 0;
    const asked: number[] = [];
    const ran = await runHelper({
      direction: "save",
      io,
      orders: { parts: libxc, isRemus, file },
      folder: folder.path,
      streamType: isRemus ? 1 : 0,
      environment: { AGENT_HELPER_CONTROL: control.path },
      async onMessage({ number }) {
        asked.push(number);
        const isTime = number === MESSAGE.suspend || number === MESSAGE.checkpoint;
        if (!isTime || updates === 3) return 1;
        updates++;
        expect(await replaceBy(await controlIn(control.path))).toMatchObject({
          kind: "updated",
          generation: updates,
        });
        return 1;
      },
    });
    closeSync(io);
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
    expect(updates).toBeGreaterThan(0);
    expect(Buffer.compare(readFileSync(saved), Buffer.concat(parts))).toBe(0);
  },
  60_000,
);

// New programs that are bad, each in its own way: the clients notice nothing, and the old program
// serves on. Where one is bad only after it has served, what it had touched is closed and no more.

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { badEcho, echoBinary } from "../helpers/echo-binary.ts";
import { EchoLoad } from "../helpers/echo-load.ts";
import { countAtRest, descriptorsOf, EchoProcess } from "../helpers/echo-process.ts";

const CLIENTS = 6;
const TIMEOUT_MS = 60_000;
const ENDS_MS = { prepareMs: 30_000, pauseMs: 10_000 } as const;
/** Nobody waits for what hangs any longer than that; all else has the time that it takes. */
const HANGS_MS: Readonly<Record<string, { readonly prepareMs: number; readonly pauseMs: number }>> =
  {
    "hangs-at-start": { ...ENDS_MS, prepareMs: 2000 },
    "hangs-at-probe": { ...ENDS_MS, prepareMs: 3000 },
    "hangs-adopting": { ...ENDS_MS, pauseMs: 400 },
    "hangs-serving": { ...ENDS_MS, pauseMs: 400 },
  };

type Row = readonly [
  behaviour: string,
  reason: RegExp,
  /** In place: who serves afterwards. */
  inPlace: "same pid" | "keeper",
  inPlaceReason?: RegExp,
];

/** Found out before anything stops. */
const BEFORE: readonly Row[] = [
  ["knows-no-probe", /wanted an answer to live-update-probe, found exit status 2$/, "same pid"],
  [
    "hangs-at-probe",
    /wanted an answer to live-update-probe, found none within \d+ ms$/,
    "same pid",
  ],
  ["of-another-version", /does not fit: it reads echo state 99, found version 1$/, "same pid"],
  ["crashes-at-start", /^the new program (ended|closed the line)/, "same pid"],
  ["exits-at-start", /^the new program (ended|closed the line)/, "same pid"],
  ["hangs-at-start", /^the new program took longer than 2000 ms \(prepare\)$/, "same pid"],
  ["exits-loading", /^the new program (ended|closed the line)/, "same pid"],
  ["refuses", /^Cannot read the copy: it is not mine$/, "same pid"],
];

/** Found out in the pause. */
const IN_PAUSE: readonly Row[] = [
  [
    "crashes-adopting",
    /^the new program (ended|closed)/,
    "keeper",
    /^the new program .*; the keeper serves as pid/,
  ],
  [
    "hangs-adopting",
    /longer than 400 ms/,
    "keeper",
    /longer than 400 ms; the keeper serves as pid/,
  ],
  ["refuses-adopting", /^Cannot adopt: not mine$/, "same pid"],
  ["wrong-digest", /digest of the state differs/, "keeper", /the digest differs/],
  ["wrong-probe", /answered a probe wrongly: found/, "same pid"],
];

/** Found out after it has served: connections that it had touched are closed. */
const AFTER: readonly Row[] = [
  [
    "crashes-serving",
    /^the new program ended/,
    "keeper",
    /^the new program .*; the keeper serves as pid/,
  ],
  ["hangs-serving", /longer than 400 ms/, "keeper", /longer than 400 ms; the keeper serves as pid/],
];

const rows = [...BEFORE, ...IN_PAUSE, ...AFTER].flatMap(
  ([behaviour, reason, inPlace, inPlaceReason]) =>
    [
      ["promote", behaviour, reason, "same pid"],
      ["in_place", behaviour, inPlaceReason ?? reason, inPlace],
    ] as const,
);

test.each(rows)(
  "%s to a program that %s: the old one serves on",
  async (way, behaviour, reason, survivor) => {
    await using server = await new EchoProcess().start({}, undefined);
    const [pid = 0] = server.pids();
    const before = await countAtRest(pid);
    const load = await EchoLoad.start(server.socket, CLIENTS, 1);
    const end = await server.update({
      ...(HANGS_MS[behaviour] ?? ENDS_MS),
      way,
      binary: badEcho(server.folder, behaviour),
    });
    expect(["failed", "kept"]).toContain(end.kind);
    expect(end.reason).toMatch(reason);
    const [now = 0, ...others] = await server.settledPids(1);
    expect(others).toEqual([]);
    if (survivor === "same pid") expect(now).toBe(pid);
    else expect(now).not.toBe(pid);
    // It can be updated still, and to a good program.
    expect(await server.update({ way: "promote" })).toMatchObject({ kind: "updated" });
    const [last = 0] = await server.settledPids(1);
    await load.stop(5000);
    expect(load.mistakes({ mayClose: false })).toEqual([]);
    const untilMs = performance.now() + 5000;
    while (performance.now() < untilMs && descriptorsOf(last).length !== before)
      await Bun.sleep(10);
    expect(descriptorsOf(last).length).toBe(before);
  },
  TIMEOUT_MS,
);

test.each([
  ["is missing", () => undefined, /^SystemError: Cannot open ".*ENOENT/],
  [
    "is not executable",
    (path: string) => writeFileSync(path, "#!/bin/sh\n", { mode: 0o644 }),
    /^RefusedError: Cannot use ".*": it is not executable$/,
  ],
  [
    "is a folder",
    undefined,
    /^(RefusedError: Cannot use ".*": it is no regular file|SystemError: .*EISDIR)/,
  ],
  [
    "is no program",
    (path: string) => {
      writeFileSync(path, "neither a script nor an ELF file");
      chmodSync(path, 0o755);
    },
    /^Cannot use ".*": .*ENOEXEC/,
  ],
  [
    "is another program",
    (path: string) => Bun.spawnSync(["cp", "/bin/true", path]),
    /wanted an answer to live-update-probe, found ""$/,
  ],
] as const)(
  "a file that %s is refused",
  async (_, make, reason) => {
    await using server = await new EchoProcess().start({}, undefined);
    const path = make === undefined ? server.folder : join(server.folder, "binary");
    make?.(path);
    for (const way of ["promote", "in_place"] as const) {
      const end = await server.update({ ...ENDS_MS, way, binary: path });
      expect(end.kind).toBe("failed");
      expect(end.reason).toMatch(reason);
    }
    expect(server.first.exitCode).toBeNull();
    expect((await server.update({ way: "promote", binary: echoBinary() })).kind).toBe("updated");
  },
  TIMEOUT_MS,
);

// Disks of a Xen guest that QEMU does not serve: libxl tells in xenstore which backend each has.
// (libxl's own tree, /libxl/DOMID/device/vbd/DEVID/backend: /local/domain/0/backend/KIND/...)

export interface ForeignDisk {
  /** The guest's name of it, such as "xvda". */
  readonly name: string;
  /** "blkback", "tapdisk". */
  readonly backend: string;
}

const TIMEOUT_MS = 5_000;
const BACKENDS: Readonly<Record<string, string>> = {
  vbd: "blkback",
  vbd3: "tapdisk",
  tap: "tapdisk",
};

/** Nothing where there is no xenstore to ask: then QEMU's own list counts. */
export function disksBehindBackends(domid: number): ForeignDisk[] {
  if (Bun.which("xenstore-ls") === null) return [];
  const listed = xenstore("xenstore-ls", "-f", `/libxl/${domid}/device/vbd`);
  return parseBackends(listed).flatMap(({ path, backend }) => {
    const name = xenstore("xenstore-read", `${path}/dev`).trim();
    return [{ name: name === "" ? path : name, backend }];
  });
}

/** Backend paths that are not QEMU's own, from the lines of xenstore-ls -f. */
export function parseBackends(text: string): { readonly path: string; readonly backend: string }[] {
  return text.split("\n").flatMap((line) => {
    const found = /\/backend = "(\/local\/domain\/\d+\/backend\/([a-z0-9]+)\/[^"]*)"$/.exec(line);
    const [, path, kind] = found ?? [];
    const backend = kind === undefined ? undefined : BACKENDS[kind];
    return path === undefined || backend === undefined ? [] : [{ path, backend }];
  });
}

function xenstore(...words: readonly string[]): string {
  const ran = Bun.spawnSync([...words], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: TIMEOUT_MS,
  });
  return ran.exitCode === 0 ? ran.stdout.toString() : "";
}

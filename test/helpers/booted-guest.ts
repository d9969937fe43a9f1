// A guest that boots, under TCG: a kernel of Debian 13, a RAM disk with busybox, two disks. For
// each line that it is sent it writes the line to both disks, one after the other and past its
// caches, and answers.

import { existsSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { cpio } from "./cpio.ts";
import { devicePartFile, devicePartNames } from "./device-parts.ts";
import { until } from "./device-guest.ts";
import { type DiskGuest, type GuestDisk, startGuest } from "./disk-guest.ts";

const BOOT_MS = 120_000;
/** cmpxchg16b under TCG, of QEMU 7.2 at least, damages what the kernel allocates: it panics. */
const CPU = "qemu64,-cx16";
/**
 * The emulated serial port loses an interrupt now and then when its machine is stopped and goes on:
 * what came then is only read with the next byte. So the line is sent again; a number that is
 * written twice changes nothing.
 */
const AGAIN_MS = 2000;

/** The port stays open: opening it anew throws away what has come. `12=12` is a whole line. */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox insmod /virtio_blk.ko
exec < /dev/ttyS1 > /dev/ttyS1
/bin/busybox stty raw -echo
echo ready
while read -r line; do
  number=\${line#*=}
  [ -n "$number" ] && [ "$line" = "$number=$number" ] || continue
  for disk in vda vdb; do
    printf '%-511s\\n' "$number" |
      /bin/busybox dd of=/dev/$disk bs=512 oflag=direct conv=notrunc,fsync 2>/dev/null
  done
  echo "wrote $number"
done
`;

function ramDisk(): string {
  const path = join(tmpdir(), `agent-disk-guest-${process.getuid?.() ?? 0}-${Bun.hash(INIT)}.cpio`);
  if (existsSync(path)) return path;
  const [release = ""] = devicePartNames("usr/lib/modules");
  const file = `usr/lib/modules/${release}/kernel/drivers/block/virtio_blk.ko.xz`;
  const { stdout, exitCode } = Bun.spawnSync(["xz", "-dc", devicePartFile(file)]);
  if (exitCode !== 0) throw new Error(`Cannot unpack ${file}`);
  const folder = (name: string) => ({ name, mode: 0o040755, data: Buffer.alloc(0) });
  const busybox = readFileSync(devicePartFile("usr/bin/busybox"));
  const archive = cpio([
    ...["bin", "proc", "dev"].map(folder),
    { name: "bin/busybox", mode: 0o100755, data: busybox },
    { name: "init", mode: 0o100755, data: Buffer.from(INIT) },
    { name: "virtio_blk.ko", mode: 0o100644, data: stdout },
  ]);
  const fresh = mkdtempSync(`${path}-`);
  writeFileSync(join(fresh, "disk"), archive);
  renameSync(join(fresh, "disk"), path);
  return path;
}

export interface BootedGuest extends AsyncDisposable {
  readonly guest: DiskGuest;
  /** Has it written to both disks; when it returns, it is done. */
  write(number: number): Promise<void>;
}

export async function bootGuest(options: {
  readonly folder: string;
  readonly name: string;
  readonly disks: readonly GuestDisk[];
}): Promise<BootedGuest> {
  const { folder, name, disks } = options;
  const path = join(folder, `${name}.own.serial`);
  const log = join(folder, `${name}.own.log`);
  const [kernel = ""] = devicePartNames("boot").filter((file) => file.startsWith("vmlinuz"));
  const guest = await startGuest({
    ...options,
    isRunning: true,
    machine: "q35",
    arguments: [
      ...["-accel", "tcg", "-cpu", CPU, "-m", "128", "-no-user-config", "-no-reboot"],
      ...["-kernel", devicePartFile(`boot/${kernel}`), "-initrd", ramDisk()],
      ...["-append", "console=ttyS0 quiet panic=-1", "-serial", `file:${log}`],
      ...["-serial", `unix:${path},server=on,wait=off`],
      ...disks.flatMap(({ id }) => ["-device", `virtio-blk-pci,drive=${id}`]),
    ],
  });
  let heard = "";
  const socket: Socket = await Bun.connect({
    unix: path,
    socket: { data: (_, bytes) => void (heard += bytes.toString()) },
  });
  const hear = async (what: string, wanted: string): Promise<void> => {
    const isOver = (): boolean =>
      heard.includes(wanted) || readFileSync(log).includes("Kernel panic");
    await until(what, isOver, BOOT_MS);
    if (!heard.includes(wanted)) throw new Error(`The guest ended:\n${readFileSync(log)}`);
  };
  await hear("the guest's disks", "ready\n");
  return {
    guest,
    async write(number) {
      const send = () => void socket.write(`\n${number}=${number}\n`);
      send();
      const again = setInterval(send, AGAIN_MS);
      try {
        await hear(`write ${number}`, `wrote ${number}\n`);
      } finally {
        clearInterval(again);
      }
    },
    async [Symbol.asyncDispose]() {
      socket.end();
      await guest[Symbol.asyncDispose]();
    },
  };
}

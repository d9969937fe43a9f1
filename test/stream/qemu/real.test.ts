// The QEMU stream parser on streams that real QEMUs wrote: one captured under Xen, and what the
// QEMU of this machine writes now. The latter come twice: with footers, where the form of the
// stream says where a section ends, and without, as under Xen, where the parser has to find it.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { captureTitle, capturePath } from "../../helpers/captures.ts";
import { collect, collectWhole } from "./collect.ts";

// ---- Captured ---------------------------------------------------------------------------------

const CAPTURE = capturePath("hvm40-physmap.xl-save");
/** Where QEVM stands in it, behind the 8-byte sub-header of EMULATOR_CONTEXT, and how much. */
const QEVM_AT = 0x2ff8ca7;
const QEVM_BYTES = 6183;

test.skipIf(CAPTURE === undefined)(
  captureTitle("a device model's state under Xen", CAPTURE),
  () => {
    const bytes = readFileSync(CAPTURE!).subarray(QEVM_AT, QEVM_AT + QEVM_BYTES);
    const said = collectWhole(bytes);
    expect(said).toEqual({
      machines: [],
      findings: [],
      sections: [
        "full 0 timer 0 v2 at 0x8: 24 bytes",
        "full 3 cpu_common 0 v1 at 0x33: 8 bytes",
        "full 4 cpu 0 v12 at 0x53: 1347 bytes",
        "full 5 apic 0 v3 at 0x5a7: 181 bytes",
        "full 6 0000:00:00.0/I440FX 0 v3 at 0x66e: 277 bytes",
        "full 8 PCIBUS 0 v1 at 0x7a4: 516 bytes",
        "full 9 fw_cfg 0 v2 at 0x9bc: 30 bytes",
        "full 10 dma 0 v1 at 0x9ee: 75 bytes",
        "full 11 dma 1 v1 at 0xa4a: 75 bytes",
        "full 12 mc146818rtc 0 v3 at 0xaa6: 245 bytes",
        "full 13 0000:00:01.1/ide 0 v3 at 0xbb4: 430 bytes",
        "full 14 i2c_bus 0 v1 at 0xd80: 1 bytes",
        "full 15 0000:00:01.3/piix4_pm 0 v3 at 0xd96: 336 bytes",
        "full 16 0000:00:01.0/PIIX3 0 v3 at 0xf09: 292 bytes",
        "full 17 ioapic 0 v3 at 0x104d: 206 bytes",
        "full 18 hpet 0 v2 at 0x112f: 151 bytes",
        "full 19 serial 0 v3 at 0x11d8: 11 bytes",
        "full 20 fdc 0 v2 at 0x11f7: 593 bytes",
        "full 21 ps2kbd 0 v3 at 0x1459: 284 bytes",
        "full 22 ps2mouse 0 v2 at 0x1589: 291 bytes",
        "full 23 pckbd 0 v3 at 0x16c2: 4 bytes",
        "full 24 port92 0 v1 at 0x16d9: 1 bytes",
        "full 33 0000:00:02.0/platform 0 v4 at 0x16ee: 277 bytes",
      ],
    });
    for (const size of [1, 3, 7, 4096]) expect(collect(bytes, size)).toEqual(said);
  },
);

// ---- Written now --------------------------------------------------------------------------------

const QEMU = Bun.which("qemu-system-x86_64");
const FOLDER = mkdtempSync(join(tmpdir(), "agent-qemu-"));
afterAll(() => rmSync(FOLDER, { recursive: true }));

const GUESTS = {
  plain: "-machine pc",
  "many vcpus and cards":
    "-machine pc -smp 8 -device VGA -device e1000 -device rtl8139 " +
    "-device virtio-net-pci -device piix3-usb-uhci -device usb-tablet -device lsi53c895a",
  "old cards, versions that are dates":
    "-machine pc -device ne2k_pci -device i82550 " +
    "-device tulip -device i6300esb -device am53c974 -device virtio-serial-pci -parallel null",
  "bridges, which are saved first":
    "-machine q35 -device pci-bridge,chassis_nr=1 -device e1000e " +
    "-device pcie-root-port,id=rp -device i82801b11-bridge -device qemu-xhci -device usb-kbd",
};
/** What QEMU sets for itself under Xen. */
const AS_UNDER_XEN = ["send-section-footer", "store-global-state", "send-configuration"].flatMap(
  (name) => ["-global", `migration.${name}=off`],
);

/** The devices' state as QEMU saves it for Xen's toolstack; it needs no Xen for that. */
function savedState(options: readonly string[]): Uint8Array {
  const filename = join(FOLDER, "state");
  const commands = [
    { execute: "qmp_capabilities" },
    { execute: "xen-save-devices-state", arguments: { filename } },
    { execute: "quit" },
  ];
  const fixed = ["-nodefaults", "-display", "none", "-S", "-m", "16", "-qmp", "stdio"];
  const stdin = Buffer.from(commands.map((command) => JSON.stringify(command)).join("\n"));
  const { success, stderr } = Bun.spawnSync([QEMU!, ...fixed, ...options], {
    stdin,
    timeout: 20_000,
  });
  if (!success) throw new Error(`QEMU failed: ${stderr}`);
  return readFileSync(filename);
}

/** Without what differs by the form of the stream: the offset, and whether there is a footer. */
const withoutForm = (sections: readonly string[]) =>
  sections.map((text) => text.replace(/ at 0x[0-9a-f]+/, "").replace(", footer", ""));

for (const [title, options] of Object.entries(GUESTS)) {
  const reason = QEMU === null ? " (skipped: no qemu-system-x86_64 on this machine)" : "";
  test.skipIf(QEMU === null)(`QEMU's own stream, ${title}${reason}`, () => {
    const withFooters = collectWhole(savedState(options.split(" ")));
    expect(withFooters.findings).toEqual([]);
    expect(withFooters.sections.every((text) => text.endsWith(", footer"))).toBe(true);
    const bytes = savedState([...options.split(" "), ...AS_UNDER_XEN]);
    const asUnderXen = collectWhole(bytes);
    expect(asUnderXen.findings).toEqual([]);
    // The global state is the last section, and not sent under Xen.
    expect(withFooters.sections.at(-1)).toContain(" globalstate ");
    expect(withoutForm(asUnderXen.sections)).toEqual(
      withoutForm(withFooters.sections.slice(0, -1)),
    );
    expect(collect(bytes, 1000)).toEqual(asUnderXen);
  });
}

// The registers of emulated hardware that people ask for, by typecode: name, place in the body and
// width (Xen's public arch-x86/hvm/save.h). Little-endian.

export type DeviceField = readonly [name: string, at: number, bytes: 1 | 2 | 4 | 8];

const LAPIC_REGISTERS: readonly DeviceField[] = [
  ["id", 0x20, 4],
  ["version", 0x30, 4],
  ["tpr", 0x80, 4],
  ["ldr", 0xd0, 4],
  ["dfr", 0xe0, 4],
  ["svr", 0xf0, 4],
  ["esr", 0x280, 4],
  ["lvt_timer", 0x320, 4],
  ["lvt_lint0", 0x350, 4],
  ["lvt_lint1", 0x360, 4],
  ["timer_initial", 0x380, 4],
  ["timer_current", 0x390, 4],
];
const PIT_CHANNELS: readonly DeviceField[] = [0, 1, 2].flatMap((channel): DeviceField[] => [
  [`count${channel}`, channel * 16, 4],
  [`mode${channel}`, channel * 16 + 13, 1],
  [`gate${channel}`, channel * 16 + 15, 1],
]);

export const DEVICE_FIELDS: Readonly<Record<string, readonly DeviceField[]>> = {
  PIC: [
    ["irr", 0, 1],
    ["imr", 1, 1],
    ["isr", 2, 1],
    ["irq_base", 3, 1],
    ["elcr", 6, 1],
    ["int_output", 7, 1],
  ],
  IOAPIC: [
    ["base_address", 0, 8],
    ["ioregsel", 8, 4],
    ["id", 12, 4],
  ],
  LAPIC: [
    ["apic_base_msr", 0, 8],
    ["disabled", 8, 4],
    ["timer_divisor", 12, 4],
    ["tdt_msr", 16, 8],
  ],
  LAPIC_REGS: LAPIC_REGISTERS,
  PCI_IRQ: [
    ["wires_0", 0, 8],
    ["wires_1", 8, 8],
  ],
  ISA_IRQ: [["wires", 0, 8]],
  PCI_LINK: [
    ["route0", 0, 1],
    ["route1", 1, 1],
    ["route2", 2, 1],
    ["route3", 3, 1],
  ],
  PIT: [...PIT_CHANNELS, ["speaker_data_on", 48, 4]],
  HPET: [
    ["capability", 0, 8],
    ["config", 16, 8],
    ["isr", 32, 8],
    ["main_counter", 240, 8],
  ],
  PMTIMER: [
    ["tmr_val", 0, 4],
    ["pm1a_sts", 4, 2],
    ["pm1a_en", 6, 2],
  ],
  MTRR: [
    ["pat", 0, 8],
    ["cap", 224, 8],
    ["def_type", 232, 8],
  ],
  VIRIDIAN_DOMAIN: [
    ["hypercall_gpa", 0, 8],
    ["guest_os_id", 8, 8],
  ],
  VMCE_VCPU: [
    ["caps", 0, 8],
    ["mci_ctl2_bank0", 8, 8],
    ["mci_ctl2_bank1", 16, 8],
    ["mcg_ext_ctl", 24, 8],
  ],
  TSC_ADJUST: [["tsc_adjust", 0, 8]],
};
/** CMOS bytes of the RTC body: the clock as the guest set it. */
export const RTC_CMOS_BYTES = 14;
/** Redirection entries of IOAPIC: 48 of 8 bytes, bit 16 masks one. */
export const IOAPIC_ENTRIES_AT = 16;
export const IOAPIC_MASKED_BIT = 16;

// The guest's state in the report: every value from where the specification puts it.

import { describe, expect, test } from "bun:test";
import { FEATURE_REGISTERS } from "../../../lib/stream/inspect/features.ts";
import { describeMsr } from "../../../lib/stream/inspect/msrs.ts";
import { parseSexp } from "../../../lib/stream/inspect/suspend-image.ts";
import { CPUID_LEAF, LIBXC } from "../../../lib/stream/libxc/index.ts";
import { inspectPlan } from "../../helpers/inspect-bytes.ts";
import { HVM, PV32, PV64, VALID_PLANS, xlPlan } from "../../helpers/stream-builder.ts";
import { ascii, recordNamed, row, words } from "../../helpers/stream-plan.ts";
import { suspendRecord } from "../../helpers/suspend-builder.ts";

const HEAD_BYTES = 8;

/** Offsets in the vcpu context, from Xen's public headers by way of a compiler. */
const PLACES_64 = [
  ["r15", 520, 8],
  ["rax", 600, 8],
  ["rdi", 632, 8],
  ["error_code", 640, 4],
  ["entry_vector", 644, 4],
  ["rip", 648, 8],
  ["cs", 656, 2],
  ["rflags", 664, 8],
  ["rsp", 672, 8],
  ["ss", 680, 2],
  ["gs", 712, 2],
  ["ldt_base", 4816, 8],
  ["gdt_frame0", 4832, 8],
  ["gdt_ents", 4960, 8],
  ["kernel_sp", 4976, 8],
  ["cr0", 4984, 8],
  ["cr3", 5008, 8],
  ["dr7", 5104, 8],
  ["event_callback_eip", 5112, 8],
  ["vm_assist", 5136, 8],
  ["gs_base_user", 5160, 8],
] as const;
const PLACES_32 = [
  ["ebx", 516, 4],
  ["eax", 540, 4],
  ["error_code", 544, 2],
  ["eip", 548, 4],
  ["cs", 552, 2],
  ["eflags", 556, 4],
  ["esp", 560, 4],
  ["ss", 564, 2],
  ["gs", 580, 2],
  ["ldt_base", 2632, 4],
  ["gdt_ents", 2704, 4],
  ["cr3", 2728, 4],
  ["event_callback_cs", 2780, 4],
  ["vm_assist", 2796, 4],
] as const;

describe("registers of a PV vcpu", () => {
  test.each([
    ["pv64", PV64, PLACES_64],
    ["pv32", PV32, PLACES_32],
  ] as const)("stand where Xen puts them: %s", (kind, spec, places) => {
    const plan = xlPlan(spec);
    const basic = recordNamed(plan, LIBXC.vcpuBasic.name);
    basic.body = basic.body.slice().fill(0, HEAD_BYTES);
    for (const [index, [, at, bytes]] of places.entries()) {
      const value = words(8, [0x71 + index]).subarray(0, bytes);
      basic.body.set(value, HEAD_BYTES + at);
    }
    const [vcpu] = inspectPlan(plan, {}).vcpus;
    expect(vcpu).toMatchObject({ id: 0, kind, times_sent: 1 });
    const wanted = places.map(([name], index) => [name, `0x${(0x71 + index).toString(16)}`]);
    expect(vcpu?.registers).toMatchObject(Object.fromEntries(wanted));
    const others = Object.values(vcpu?.registers ?? {}).filter((value) => value !== "0x0");
    expect(others).toHaveLength(places.length);
  });

  test("come with XSAVE, extended state, MSRs and flags", () => {
    const plan = xlPlan(PV64);
    const xsave = recordNamed(plan, LIBXC.vcpuXsave.name);
    xsave.body.set(words(8, [7, 0x207]), HEAD_BYTES);
    const basic = recordNamed(plan, LIBXC.vcpuBasic.name);
    basic.body.set(words(8, [0b10_0101]), HEAD_BYTES + 512);
    const { vcpus, guest } = inspectPlan(plan, {});
    expect(guest).toMatchObject({ vcpus: 2, bits: 64, page_table_levels: 4, last_pfn: 23 });
    expect(vcpus[0]).toMatchObject({
      flags: ["i387 valid", "in kernel", "online"],
      xsave: { bytes: 592, xcr0: "0x7", xcr0_accum: "0x207", features: ["x87", "sse", "avx"] },
      extended_bytes: 128,
      msrs: [{ index: 0xc000_0103, name: "TSC_AUX", value: "0x1", features: [] }],
    });
  });

  test("are those of the last checkpoint", () => {
    const plan = VALID_PLANS["Remus, PV"]!();
    const last = plan.records.findLast(({ name }) => name === LIBXC.vcpuBasic.name)!;
    last.body = last.body.slice();
    last.body.set(words(8, [0xabc]), HEAD_BYTES + 648);
    const { vcpus } = inspectPlan(plan, {});
    expect(vcpus[1]?.registers.rip).toBe("0xabc");
    expect(vcpus.map(({ times_sent: times }) => times)).toEqual([3, 3]);
  });
});

describe("an HVM guest", () => {
  test("has the registers of its context's CPU entries", () => {
    const plan = xlPlan(HVM);
    const context = recordNamed(plan, LIBXC.hvmContext.name);
    context.body = context.body.slice();
    const cpuAt = 8 + 24 + 8; // HEADER, and the descriptor.
    for (const [index, at] of [512, 560, 568, 640, 672, 736, 840, 992, 1008].entries()) {
      context.body.set(words(8, [0x51 + index]).subarray(0, at === 736 ? 4 : 8), cpuAt + at);
    }
    const { vcpus, hvm_context: found } = inspectPlan(plan, {});
    expect(vcpus[0]).toMatchObject({ id: 0, kind: "hvm" });
    expect(vcpus[0]?.registers).toMatchObject({
      rax: "0x51",
      rdi: "0x52",
      rsp: "0x53",
      rip: "0x54",
      cr3: "0x55",
      cs_sel: "0x56",
      gs_base: "0x57",
      msr_efer: "0x58",
      tsc: "0x59",
    });
    expect(found?.entries.map(({ name }) => name)).toContain("VIRIDIAN_VCPU");
    expect(found?.entries[1]).toMatchObject({
      name: "CPU",
      bytes: 1032,
      fields: { rip: "0x54", rsp: "0x53", cr3: "0x55", msr_efer: "0x58" },
    });
  });

  test("has its parameters by name, TSC and xenstore pairs", () => {
    const { hvm_params: params, tsc, xenstore } = inspectPlan(xlPlan(HVM), {});
    expect(params.map(({ index, name, value }) => `${index} ${name} ${value}`)).toEqual([
      "1 STORE_PFN 0xfeff8",
      "5 IOREQ_PFN 0xfeffe",
      "6 BUFIOREQ_PFN 0xfeffd",
      "12 IDENT_PT 0xfeffc",
      "15 VM86_TSS 0xfeffb",
      "17 CONSOLE_PFN 0xfefff",
      "34 VM_GENERATION_ID_ADDR 0xfc000000",
    ]);
    expect(tsc).toEqual({
      mode: 1,
      mode_name: "always emulate",
      khz: 2_000_000,
      nsec: "1000000000000",
      incarnation: 1,
    });
    expect(xenstore.length).toBeGreaterThan(0);
    expect(xenstore[0]?.key).toStartWith("physmap/");
  });

  test("has its emulator's sections with their versions", () => {
    const { emulators } = inspectPlan(xlPlan(HVM), {});
    expect(emulators).toHaveLength(1);
    expect(emulators[0]).toMatchObject({ kind: "Qemu Upstream", index: 0, is_qemu_stream: true });
    expect(emulators[0]?.sections.length).toBeGreaterThan(0);
  });
});

describe("policies", () => {
  const leaf = (number: number, sub: number, registers: readonly number[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = registers;
    return row(CPUID_LEAF, { leaf: number, subleaf: sub, a, b, c, d });
  };

  test("name vendor, brand, family and features", () => {
    const plan = xlPlan(PV64);
    const text = (at: number) => {
      const bytes = ascii("Example CPU @ 2.00GHz".padEnd(48, "\0")).subarray(at, at + 16);
      return [...new Uint32Array(bytes.slice().buffer)];
    };
    recordNamed(plan, LIBXC.cpuidPolicy.name).body = Uint8Array.from([
      ...leaf(0, 0xffff_ffff, [0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
      ...leaf(1, 0xffff_ffff, [0x0005_06e3, 0, 0x8000_0001, 0x0200_0001]),
      ...leaf(7, 0, [2, 1 << 5, 1 << 2, 1 << 29]),
      ...leaf(7, 1, [1 << 4, 0, 0, 0]),
      ...leaf(0x8000_0002, 0xffff_ffff, text(0)),
      ...leaf(0x8000_0003, 0xffff_ffff, text(16)),
      ...leaf(0x8000_0004, 0xffff_ffff, text(32)),
      ...leaf(0x8000_0008, 0xffff_ffff, [0, 1 << 12, 0, 0]),
    ]);
    const { cpuid } = inspectPlan(plan, {});
    expect(cpuid).toMatchObject({
      vendor: "GenuineIntel",
      brand: "Example CPU @ 2.00GHz",
      family: 6,
      model: 0x5e,
      stepping: 3,
      features: [
        { leaf: "1 edx", names: ["fpu", "sse"] },
        { leaf: "1 ecx", names: ["sse3", "hypervisor"] },
        { leaf: "7:0 ebx", names: ["avx2"] },
        { leaf: "7:0 ecx", names: ["umip"] },
        { leaf: "7:0 edx", names: ["arch_caps"] },
        { leaf: "7:1 eax", names: ["avx_vnni"] },
        { leaf: "80000008 ebx", names: ["ibpb"] },
      ],
    });
    expect(cpuid?.leaves).toHaveLength(8);
    expect(cpuid?.leaves[2]).toMatchObject({ leaf: 7, subleaf: 0 });
    expect(cpuid?.leaves[0]).toMatchObject({ leaf: 0, subleaf: null });
  });

  test("know the bits that are easily miscounted", () => {
    const bitOf = (leafNumber: number, subleaf: number, register: string, name: string) => {
      const found = FEATURE_REGISTERS.find(
        (word) =>
          word.leaf === leafNumber && word.subleaf === subleaf && word.register === register,
      );
      return [...(found?.names ?? [])].find(([, known]) => known === name)?.[0];
    };
    expect(bitOf(1, 0, "edx", "htt")).toBe(28);
    expect(bitOf(1, 0, "ecx", "rdrand")).toBe(30);
    expect(bitOf(7, 0, "ebx", "avx512vl")).toBe(31);
    expect(bitOf(7, 0, "ecx", "rdpid")).toBe(22);
    expect(bitOf(7, 0, "ecx", "enqcmd")).toBe(29);
    expect(bitOf(7, 0, "edx", "ssbd")).toBe(31);
    expect(bitOf(7, 0, "edx", "cet_ibt")).toBe(20);
    expect(bitOf(0x8000_0001, 0, "edx", "3dnow")).toBe(31);
    expect(bitOf(0x8000_0001, 0, "edx", "nx")).toBe(20);
    expect(bitOf(0x8000_0001, 0, "ecx", "monitorx")).toBe(29);
    expect(bitOf(0x8000_0001, 0, "ecx", "dbext")).toBe(26);
    expect(bitOf(0x8000_0007, 0, "edx", "efro")).toBe(10);
    expect(bitOf(0x8000_0008, 0, "ebx", "ibpb_ret")).toBe(30);
    expect(bitOf(0x8000_0008, 0, "ebx", "btc_no")).toBe(29);
    expect(bitOf(0x8000_0021, 0, "eax", "srso_no")).toBe(29);
  });

  test("name MSRs and their bits", () => {
    expect(describeMsr(0xce, 1n << 31n).features).toEqual(["cpuid_faulting"]);
    const caps = (1n << 0n) | (1n << 24n) | (1n << 27n) | (1n << 62n) | (1n << 40n);
    expect(describeMsr(0x10a, caps)).toEqual({
      index: 0x10a,
      name: "ARCH_CAPABILITIES",
      value: "0x4000010009000001",
      features: ["rdcl_no", "pbrsb_no", "rfds_no", "bit 40", "its_no"],
    });
  });
});

describe("the config", () => {
  test("is settings by path", () => {
    const { config, guest } = inspectPlan(xlPlan(HVM), {});
    expect(config?.settings).toContainEqual({ name: "c_info.type", value: '"hvm"' });
    expect(guest.config_type).toBe("hvm");
    expect(() => JSON.parse(config?.text ?? "")).not.toThrow();
  });

  test("may be nested without end, or none at all", () => {
    const plan = xlPlan(PV64);
    const config = recordNamed(plan, "CONFIG");
    for (const text of [
      "[".repeat(60),
      `${'{"a":'.repeat(60)}1${"}".repeat(60)}`,
      "\0",
      "\u00ff",
    ]) {
      const bytes = ascii(text);
      config.body = Uint8Array.from([...words(4, [bytes.byteLength]), ...bytes]);
      const header = recordNamed(plan, "save_header");
      new DataView(header.body.buffer, header.body.byteOffset).setUint32(
        12,
        config.body.byteLength,
        true,
      );
      expect(inspectPlan(plan, {})).toMatchObject({ complete: true, guest: { name: null } });
    }
  });
});

describe("a suspend image", () => {
  test("has its metadata and xenstore subtree", () => {
    const plan = VALID_PLANS["suspend image, HVM"]!();
    const at = plan.records.findIndex(({ name }) => name === "XENOPS");
    const text = String.raw`((time 20260801T00:00:00Z)(word_size 64)(vm_str("a \"b\"\n"))
      (xs_subtree((data/x "1 2")(empty ""))))`;
    plan.records[at] = suspendRecord("XENOPS", ascii(text));
    const { suspend_image: image, xenstore, emulators } = inspectPlan(plan, {});
    expect(image).toEqual({ time: "20260801T00:00:00Z", word_size: "64", vm: 'a "b"\n' });
    expect(xenstore).toEqual([
      { key: "data/x", value: "1 2" },
      { key: "empty", value: "" },
    ]);
    expect(emulators.map(({ kind }) => kind)).toEqual([
      "QEMU_TRAD",
      "QEMU_XEN",
      "DEMU",
      "VARSTORED",
      "SWTPM0",
      "SWTPM",
    ]);
  });

  test.each([
    ["(a b)", ["a", "b"]],
    ['(a "b c" ())', ["a", "b c", []]],
    [String.raw`("\065\x42\\")`, [String.raw`AB` + "\\"]],
    ["(a (b", ["a", ["b"]]],
    [")", undefined],
    ["", undefined],
    ["(".repeat(100), undefined],
  ])("%s", (text, wanted) => {
    expect(parseSexp(text)).toEqual(wanted as never);
  });
});

describe("a legacy stream", () => {
  test("has its vcpus, TSC and guest", () => {
    const { guest, vcpus, tsc, memory } = inspectPlan(
      VALID_PLANS["legacy PV, tool 64, guest 32"]!(),
      {},
    );
    expect(guest).toMatchObject({ type: "pv", bits: 32 });
    expect(vcpus).toHaveLength(2);
    expect(vcpus[1]).toMatchObject({
      id: 1,
      kind: "pv32",
      extended_bytes: 128,
      registers: { eip: "0x20202020" },
      xsave: { xcr0: "0x4040404040404040" },
    });
    expect(tsc).not.toBeNull();
    expect(memory).toMatchObject({ sent: 6, with_contents: 2 });
  });

  test("has its HVM parameters and emulator", () => {
    const {
      guest,
      hvm_params: params,
      emulators,
      xenstore,
    } = inspectPlan(VALID_PLANS["legacy HVM, tool 64"]!(), {});
    expect(guest.type).toBe("hvm");
    const names = params.map(({ name }) => name);
    for (const name of ["STORE_PFN", "IOREQ_PFN", "BUFIOREQ_PFN"]) expect(names).toContain(name);
    expect(emulators.map(({ kind }) => kind)).toEqual(["QEMU"]);
    expect(xenstore.length % 3).toBe(0);
  });
});

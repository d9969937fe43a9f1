// What stands behind the memory of a legacy stream: the vcpus of a PV guest, or an HVM guest's
// context and its QEMU record. Bodies move; a QEMU record that goes on to the end of a pipe is held
// until then, because its record begins with its size.

import { hex } from "../../base/index.ts";
import { read, type Sink, sizeOf, u32, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import { LEGACY_QEMU_SIGNATURES, LEGACY_XSAVE_HEAD } from "../legacy/index.ts";
import { LIBXC } from "../libxc/index.ts";
import { EMULATOR_HEAD_BYTES, LIBXL, LIBXL_RECORD_BYTES_MAX } from "../libxl/index.ts";
import type { Piece, StreamRecord, Want } from "../walk/index.ts";
import { beginRecord, endRecord, NO_TAIL, writeRecord } from "../write/index.ts";
import { refuse } from "./refuse.ts";
import { MemorySink } from "../output/index.ts";

const XSAVE_HEAD_BYTES = sizeOf(LEGACY_XSAVE_HEAD);
const VCPU_HEAD_BYTES = 8;
const QEMU_BYTES_MAX = LIBXL_RECORD_BYTES_MAX - EMULATOR_HEAD_BYTES;
/** Nobody can tell which QEMU a legacy stream is from. */
const UNKNOWN_EMULATOR = { emulator_id: 0, index: 0 } as const;

export class LegacyTail {
  /** Ids of the vcpus that are online, in the order of their records. */
  vcpus: readonly number[] = [];
  /** The QEMU record's signature, once it was met. */
  qemu: string | undefined;
  private readonly sink: Sink;
  private readonly isLibxl: boolean;
  private vcpuIndex = -1;
  /** Strings of the device model's directory, keys and values in turn. */
  private readonly xenstore = new MemorySink();
  /** Size of the body of the output's record at hand; undefined where none is open. */
  private openBytes: number | undefined;
  private spool: MemorySink | undefined;

  constructor(sink: Sink, isLibxl: boolean) {
    this.sink = sink;
    this.isLibxl = isLibxl;
  }

  vcpuInfo(record: StreamRecord, { bytes, at, length }: Piece): void {
    if (this.vcpus.length > 0) {
      throw refuse(record, { field: "marker", expected: "one VCPU_INFO", found: "another one" });
    }
    const isOnline = (id: number) => ((bytes[at + (id >>> 3)]! >>> (id & 7)) & 1) === 1;
    this.vcpus = Array.from({ length: length * 8 }, (_, id) => id).filter(isOnline);
  }

  addXenstore(record: StreamRecord, strings: Uint8Array): void {
    const bytes = this.xenstore.position + strings.byteLength;
    if (bytes > WHOLE_BODY_BYTES) {
      const expected = `at most ${hex(WHOLE_BODY_BYTES)} bytes of strings in all`;
      throw refuse(record, { field: "size", expected, found: hex(bytes) });
    }
    this.xenstore.write(strings);
  }

  record(record: StreamRecord): Want {
    const { bodyBytes } = record;
    switch (record.record) {
      case "VCPU_BASIC":
        this.vcpuIndex++;
        return this.vcpu(LIBXC.vcpuBasic, bodyBytes);
      case "VCPU_EXTENDED":
        return this.vcpu(LIBXC.vcpuExtended, bodyBytes);
      case "VCPU_XSAVE":
        if (bodyBytes < XSAVE_HEAD_BYTES) {
          const expected = `at least ${XSAVE_HEAD_BYTES}`;
          throw refuse(record, { field: "xcnt", expected, found: String(bodyBytes) });
        }
        return this.vcpu(LIBXC.vcpuXsave, bodyBytes - XSAVE_HEAD_BYTES);
      case "SHARED_INFO":
        beginRecord(this.sink, LIBXC.sharedInfo, {}, bodyBytes);
        this.openBytes = bodyBytes;
        return "move";
      case "HVM_CONTEXT":
        if (bodyBytes === 0) {
          throw refuse(record, { field: "size", expected: "at least 1", found: "0" });
        }
        beginRecord(this.sink, LIBXC.hvmContext, {}, bodyBytes);
        this.openBytes = bodyBytes;
        return "move";
      default:
        return this.qemuRecord(record);
    }
  }

  private vcpu(
    layout: typeof LIBXC.vcpuBasic | typeof LIBXC.vcpuExtended | typeof LIBXC.vcpuXsave,
    bytes: number,
  ): Want {
    const vcpu_id = this.vcpus[this.vcpuIndex]!; // The walk counted the same bits.
    beginRecord(this.sink, layout, { vcpu_id, reserved: 0 }, bytes);
    this.openBytes = VCPU_HEAD_BYTES + bytes;
    return "move";
  }

  private qemuRecord(record: StreamRecord): Want {
    const { signature, sized } = LEGACY_QEMU_SIGNATURES[record.type]!;
    const { bodyBytes, isToTheEnd } = record;
    this.qemu = signature;
    if (bodyBytes > QEMU_BYTES_MAX) {
      const expected = `at most ${hex(QEMU_BYTES_MAX)}`;
      throw refuse(record, { field: "size", expected, found: hex(bodyBytes) });
    }
    if (!this.isLibxl) {
      // libxc has no record for it: whoever asked for libxc reads it behind the stream, as it was.
      this.sink.write(new TextEncoder().encode(signature));
      if (sized) u32.set(this.sink.view, this.sink.build(u32.bytes), bodyBytes);
    } else if (isToTheEnd === true) {
      this.spool = new MemorySink();
    } else {
      beginRecord(this.sink, LIBXL.emulatorContext, UNKNOWN_EMULATOR, bodyBytes);
      this.openBytes = EMULATOR_HEAD_BYTES + bodyBytes;
    }
    return isToTheEnd === true ? "body" : "move";
  }

  body(record: StreamRecord, { view, bytes, at, length }: Piece): void {
    const piece = bytes.subarray(at, at + length);
    if (record.record === "QEMU") return this.qemuPiece(record, piece);
    const { size } = read(LEGACY_XSAVE_HEAD, view, at); // Of VCPU_XSAVE: nothing else has a head.
    const areaBytes = record.bodyBytes - XSAVE_HEAD_BYTES;
    if (size === BigInt(areaBytes)) return;
    const place = { ...record, fileOffset: record.bodyOffset + 8 };
    throw refuse(place, { field: "size", expected: hex(areaBytes), found: hex(size) });
  }

  private qemuPiece(record: StreamRecord, piece: Uint8Array): void {
    const { spool } = this;
    if (spool === undefined) return this.sink.write(piece);
    if (spool.position + piece.byteLength > QEMU_BYTES_MAX) {
      const expected = `at most ${hex(QEMU_BYTES_MAX)} bytes up to the end`;
      throw refuse(record, { field: "size", expected, found: "more" });
    }
    spool.write(piece);
  }

  recordEnd(record: StreamRecord): void {
    if (this.openBytes !== undefined) endRecord(this.sink, this.openBytes);
    this.openBytes = undefined;
    if (this.spool !== undefined) {
      writeRecord(this.sink, LIBXL.emulatorContext, UNKNOWN_EMULATOR, this.spool.contents);
      this.spool = undefined;
    }
    if (record.record === "SHARED_INFO" || record.record === "HVM_CONTEXT") this.endLibxc();
  }

  private endLibxc(): void {
    writeRecord(this.sink, LIBXC.end, {}, NO_TAIL);
    const { contents } = this.xenstore;
    if (!this.isLibxl || contents.byteLength === 0) return;
    writeRecord(this.sink, LIBXL.emulatorXenstoreData, UNKNOWN_EMULATOR, contents);
  }
}

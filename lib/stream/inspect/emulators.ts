// Emulator states: where they stand, and QEMU's sections with their versions.

import { type Finding, read } from "../../bytes/index.ts";
import { EMULATOR_HEAD, EMULATOR_HEAD_BYTES, EMULATORS } from "../libxl/index.ts";
import { FILE_HEADER, parseQemuStream, type QemuParser, type QemuSection } from "../qemu/index.ts";
import type { Piece, StreamRecord } from "../walk/index.ts";
import type { InspectEmulator } from "./report-state.ts";

/** One guest has one emulator, and up to two states that are not QEMU's. */
const EMULATORS_KEPT = 16;
const SECTIONS_KEPT = 1024;

type Emulator = { -readonly [K in keyof InspectEmulator]: InspectEmulator[K] };

export class Emulators {
  private readonly emulators = new Map<string, Emulator>();
  private current: Emulator | undefined;
  private parser: QemuParser | undefined;
  private headBytes = 0;
  private readonly onFinding: (finding: Finding) => void;

  constructor(onFinding: (finding: Finding) => void) {
    this.onFinding = onFinding;
  }

  /** `headBytes`: libxl's sub-header stands in front of the state; 0: nothing does. */
  begin(record: StreamRecord, headBytes: number): void {
    this.headBytes = headBytes;
    this.current = undefined;
    this.parser = undefined;
    if (headBytes === 0) this.start(record, { kind: record.record, index: 0 });
  }

  private start(
    record: StreamRecord,
    { kind, index }: { readonly kind: string; readonly index: number },
  ): void {
    const key = `${kind} ${index}`;
    const known = this.emulators.get(key);
    if (known === undefined && this.emulators.size >= EMULATORS_KEPT) return;
    this.current = {
      kind,
      index,
      offset: record.bodyOffset + this.headBytes,
      bytes: record.bodyBytes - this.headBytes,
      times_sent: (known?.times_sent ?? 0) + 1,
      is_qemu_stream: false,
      machine: null,
      sections: [],
      sections_left_off: 0,
    };
    this.emulators.set(key, this.current);
  }

  feed(record: StreamRecord, piece: Piece): void {
    let at = piece.at;
    if (piece.bodyAt === 0 && this.headBytes > 0) {
      if (piece.length < EMULATOR_HEAD_BYTES) return;
      const { emulator_id: id, index } = read(EMULATOR_HEAD, piece.view, piece.at);
      this.start(record, { kind: EMULATORS[id] ?? `emulator ${id}`, index });
      at += EMULATOR_HEAD_BYTES;
    }
    const end = piece.at + piece.length;
    if (piece.bodyAt === 0) this.beginQemu(record, piece, at);
    this.parser?.feed(piece.bytes.subarray(at, end));
    if (record.isToTheEnd === true && this.current !== undefined) {
      this.current.bytes = piece.bodyAt + piece.length;
    }
  }

  /** States that are not QEMU's (qemu-traditional, vTPM) are only measured. */
  private beginQemu(record: StreamRecord, { view, at: start, length }: Piece, at: number): void {
    const { current } = this;
    const isQemu =
      start + length - at >= 4 && FILE_HEADER.magic.accepts(FILE_HEADER.magic.get(view, at));
    if (current === undefined || !isQemu) return;
    current.is_qemu_stream = true;
    const place = { fileOffset: current.offset, recordNumber: record.recordNumber };
    this.parser = parseQemuStream(place, {
      configuration(machine) {
        current.machine = machine;
      },
      section: (section) => this.section(current, section),
      finding: this.onFinding,
    });
  }

  private section(emulator: Emulator, section: QemuSection): void {
    if (emulator.sections.length >= SECTIONS_KEPT) {
      emulator.sections_left_off++;
      return;
    }
    emulator.sections.push({
      name: section.idstr,
      kind: section.kind,
      section_id: section.sectionId,
      instance_id: section.instanceId,
      version_id: section.versionId,
      offset: emulator.offset + section.offset,
      bytes: section.deviceBytes,
    });
  }

  end(): void {
    this.parser?.finish();
    this.parser = undefined;
    this.current = undefined;
  }

  get list(): InspectEmulator[] {
    return [...this.emulators.values()];
  }
}

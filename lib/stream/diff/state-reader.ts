// Reads the state that counts at a stream's end: the records that were chosen go to the readers of
// inspect, and what these give no names to is hashed.

import { type Finding, read, StreamError, WHOLE_BODY_BYTES } from "../../bytes/index.ts";
import { type Chooser, fateOf } from "../final/index.ts";
import {
  CPU_TYPECODE,
  FPU_REGS_BYTES,
  type HvmContextParser,
  parseHvmContext,
} from "../hvm-context/index.ts";
import { GuestState } from "../inspect/index.ts";
import { LIBXC } from "../libxc/index.ts";
import type { HeaderEvent, Piece, StreamRecord, Visitor, Want } from "../walk/index.ts";
import { CONFIG_JSON_MASK, SAVE_HEADER } from "../xl/index.ts";
import { CONTENTS, digestOf, digestText, type Facts } from "./facts.ts";

/** In a vcpu's BASIC, behind the head: what stands before the registers, and the trap table. */
const VCPU_HEAD_BYTES = 8;
const FPU_BYTES = 512;
/** xcr0 and xcr0_accum, which have names. */
const XSAVE_HEAD_BYTES = 16;

/** Of a suspend image: xenopsd's metadata of the guest, and its xenstore. */
export const METADATA_RECORD = "XENOPS";

export class StateReader implements Visitor {
  readonly guest = new GuestState(() => undefined);
  private readonly facts: Facts;
  private readonly chooser: Chooser;
  private rounds = 0;
  private isWanted = false;
  private context: HvmContextParser | undefined;
  private hasher: Bun.CryptoHasher | undefined;

  constructor(chooser: Chooser, facts: Facts) {
    this.chooser = chooser;
    this.facts = facts;
  }

  header({ record }: HeaderEvent, { view, at }: Piece): void {
    if (record !== "save_header") return;
    const { mandatory_flags: flags } = read(SAVE_HEADER, view, at);
    this.guest.configIsJson = (flags & CONFIG_JSON_MASK) !== 0;
  }

  record(record: StreamRecord): Want {
    const fate = fateOf(record);
    const isLast = this.chooser.isLastRound(this.rounds);
    const isChosen = fate !== "latest" || this.chooser.isChosen(record);
    this.isWanted = isChosen && !["pages", "drop"].includes(fate) && (fate !== "tail" || isLast);
    if (!this.isWanted) return "nothing";
    if (record.layer === "libxc" && record.type === LIBXC.hvmContext.type) {
      this.context = parseHvmContext(record, {
        entry: (entry) => this.entry(entry),
        finding: () => undefined, // Two guests are compared, whatever Xen says of them.
      });
    }
    const want = this.guest.record(record);
    if (!this.isHashed(record)) return want;
    this.hasher = new Bun.CryptoHasher("sha256");
    return "body";
  }

  /** What no reader of inspect looks into; the device model's sections are hashed elsewhere. */
  private isHashed({ layer, type, record }: StreamRecord): boolean {
    if (layer === "xapi") return record === METADATA_RECORD;
    const types: readonly number[] = [LIBXC.sharedInfo.type, LIBXC.p2mFrames.type];
    return layer === "libxc" && types.includes(type);
  }

  body(record: StreamRecord, piece: Piece): void {
    const bytes = piece.bytes.subarray(piece.at, piece.at + piece.length);
    this.context?.feed(bytes);
    this.hasher?.update(bytes);
    this.guest.body(record, piece);
    if (record.layer === "libxc" && piece.length === record.bodyBytes) this.vcpu(record, bytes);
  }

  private vcpu({ type, bodyBytes }: StreamRecord, bytes: Uint8Array): void {
    if (bodyBytes < VCPU_HEAD_BYTES || bodyBytes > WHOLE_BODY_BYTES) return;
    const group = `vcpu ${new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)}`;
    const rest = bytes.subarray(VCPU_HEAD_BYTES);
    if (type === LIBXC.vcpuBasic.type) {
      this.facts.set(group, "fpu_ctxt", digestOf(rest.subarray(0, FPU_BYTES)));
      this.facts.set(group, CONTENTS, digestOf(rest)); // The trap table is in it.
    } else if (type === LIBXC.vcpuExtended.type) {
      this.facts.set(group, "extended state", digestOf(rest));
    } else if (type === LIBXC.vcpuXsave.type) {
      this.facts.set(group, "xsave area", digestOf(rest.subarray(XSAVE_HEAD_BYTES)));
    }
  }

  private entry(entry: {
    readonly typecode: number;
    readonly name: string;
    readonly instance: number;
    readonly body: Uint8Array | undefined;
  }): void {
    const { typecode, name, instance, body } = entry;
    if (body === undefined) return;
    const isCpu = typecode === CPU_TYPECODE;
    const group = isCpu ? `vcpu ${instance}` : `${name} ${instance}`;
    if (isCpu) this.facts.set(group, "fpu_regs", digestOf(body.subarray(0, FPU_REGS_BYTES)));
    else this.facts.set(group, CONTENTS, digestOf(body));
  }

  pfns(): void {}
  pages(): void {}

  recordEnd(record: StreamRecord): void {
    this.context?.finish();
    this.context = undefined;
    if (this.hasher !== undefined) {
      this.facts.set(record.record, CONTENTS, digestText(record.bodyBytes, this.hasher));
    }
    this.hasher = undefined;
    if (this.isWanted) this.guest.recordEnd();
  }

  checkpoint(): void {
    this.rounds++;
  }

  problem(finding: Finding): void {
    if (finding.severity === "error") throw new StreamError(finding);
  }
}

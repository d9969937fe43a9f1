// One record while it is being taken apart: what was taken of its body, where the rest went, and
// the line that it becomes.
//
//   body   taken bytes (fields, a pfn list), then moved ones (contents that nobody looked at)

import { assert } from "../../base/index.ts";
import { read, type Sink, sizeOf, u32 } from "../../bytes/index.ts";
import { HVM_PARAMS_HEAD, LIBXC, PAGE_DATA_HEAD, VCPU_HEAD } from "../libxc/index.ts";
import type { StreamRecord } from "../walk/index.ts";
import { baseName, type BodyPlan, pairsBytes, pairsOf, type RecordLayer } from "./bodies.ts";
import { fieldsOf } from "./fields.ts";
import type { FolderWriter, OpenFile } from "./folder-writer.ts";
import { type BytesPlace, type Pages, PAGES_NAME, type RecordLine } from "./manifest.ts";
import { joined, oldQemuHead, paddingBytes, plainHead, sameBytes } from "./record-head.ts";

type Body = Omit<RecordLine, "layer" | "record">;

export class OpenRecord {
  readonly record: StreamRecord;
  private readonly plan: BodyPlan;
  private readonly head: Uint8Array;
  private readonly writer: FolderWriter;
  private taken: Uint8Array[] = [];
  private pages: Pages | undefined;
  private file: OpenFile | undefined;
  /** Where in `file` the moved bytes begin, and how many there are. */
  private movedAt = 0;
  private movedBytes = 0;

  constructor(options: {
    readonly record: StreamRecord;
    readonly plan: BodyPlan;
    readonly head: Uint8Array;
    readonly writer: FolderWriter;
  }) {
    this.record = options.record;
    this.plan = options.plan;
    this.head = options.head;
    this.writer = options.writer;
  }

  private get layer(): RecordLayer {
    return this.record.layer as RecordLayer; // xl has no records but its config.
  }

  took(bytes: Uint8Array): void {
    if (bytes.byteLength > 0) this.taken.push(bytes);
  }

  /** All that was taken of the body so far. */
  get body(): Uint8Array {
    return joined(this.taken);
  }

  /** The pfn list can be said in words: the contents go to the page log. */
  hasPages(pages: Pages): void {
    this.pages = pages;
  }

  /** The bytes about to be passed over go there. */
  sink(): Sink {
    if (this.file === undefined) {
      if (this.pages !== undefined) this.file = this.writer.file(PAGES_NAME);
      else {
        this.file = this.writer.fresh(this.baseName(), "bin");
        if (!this.splitsHead) this.file.sink.write(this.body);
      }
      this.movedAt = this.file.sink.position;
    }
    return this.file.sink;
  }

  /** Fields stand in the line, and only what is behind them in the file. */
  private get splitsHead(): boolean {
    return this.plan.kind === "fields" || this.plan.kind === "xenstore";
  }

  moved(bytes: number): void {
    this.movedBytes += bytes;
  }

  private baseName(): string {
    const { record } = this.record;
    const isVcpu =
      this.plan.kind !== "opaque" && "head" in this.plan && this.plan.head === VCPU_HEAD;
    const first = this.taken[0];
    const hasId = isVcpu && first !== undefined && first.byteLength >= sizeOf(VCPU_HEAD);
    return baseName(record, hasId ? u32.get(viewOf(first), 0) : undefined);
  }

  // ---- At its end ----------------------------------------------------------------------------

  /** `padding` is what stood behind the body. */
  line(padding: Uint8Array): RecordLine {
    const { layer, record } = { layer: this.layer, record: this.record.record };
    const bodyBytes = this.body.byteLength + this.movedBytes;
    const facts = { layer, type: this.record.type, bodyBytes };
    const body = this.bodyOf();
    if (this.file !== undefined && this.pages === undefined) this.writer.finish(this.file);
    const hasZeros = padding.every((byte) => byte === 0);
    const isPlain = padding.byteLength === paddingBytes(facts) && hasZeros;
    return {
      layer,
      record,
      ...body,
      ...this.headOf(bodyBytes, plainHead(facts)),
      ...(isPlain ? {} : { padding: padding.toHex() }),
    };
  }

  private headOf(bodyBytes: number, plain: Uint8Array | undefined): Body {
    if (sameBytes(this.head, plain)) return {};
    if (this.layer === "legacy" && this.pages !== undefined) return {};
    if (this.layer === "xapi" && sameBytes(this.head, oldQemuHead(bodyBytes))) {
      return { framing: "old" };
    }
    return { head: this.head.toHex(), bytes: bodyBytes };
  }

  private bodyOf(): Body {
    const { plan } = this;
    if (this.pages !== undefined) return { pages: this.pages };
    if (plan.kind === "fields") return this.fieldsBody(sizeOf(plan.head));
    if (plan.kind === "xenstore" && this.file === undefined) return this.xenstoreBody(plan);
    if (plan.kind === "table" && this.file === undefined) {
      const table = this.tableBody(plan);
      if (table !== undefined) return table;
    }
    return this.opaqueBody();
  }

  private opaqueBody(): Body {
    if (this.file !== undefined) return { body: { file: this.file.name } };
    const { body } = this;
    return body.byteLength === 0 ? {} : { body: this.writer.keep(body, this.baseName()) };
  }

  private fieldsBody(headBytes: number): Body {
    const { body, plan } = this;
    assert(plan.kind === "fields", "the plan has fields");
    const fields = headBytes === 0 ? {} : { fields: fieldsOf(plan.head, viewOf(body), 0) };
    if (this.file !== undefined) return { ...fields, data: { file: this.file.name } };
    if (body.byteLength === headBytes) return fields;
    return { ...fields, data: this.writer.keep(body.subarray(headBytes), this.baseName()) };
  }

  private xenstoreBody(plan: BodyPlan & { readonly kind: "xenstore" }): Body {
    const { body } = this;
    const headBytes = sizeOf(plan.head);
    const fields = fieldsOf(plan.head, viewOf(body), 0);
    const rest = body.subarray(headBytes);
    const pairs = pairsOf(rest);
    if (pairs !== undefined && sameBytes(rest, pairsBytes(pairs))) {
      return { fields, xenstore: this.writer.json(pairs, this.baseName()) };
    }
    return { fields, data: this.writer.keep(rest, this.baseName()) };
  }

  /** undefined for rows that do not fit what the head tells of them. */
  private tableBody({
    head,
    row,
    counted,
  }: BodyPlan & { readonly kind: "table" }): Body | undefined {
    const view = viewOf(this.body);
    const [headBytes, rowBytes] = [sizeOf(head), sizeOf(row)];
    const count = (view.byteLength - headBytes) / rowBytes;
    if (counted && read(HVM_PARAMS_HEAD, view, 0).count !== count) return undefined;
    const fields = fieldsOf(head, view, 0);
    if (counted) delete fields["count"];
    const rows = Array.from({ length: count }, (_, index) =>
      fieldsOf(row, view, headBytes + index * rowBytes),
    );
    return { table: this.writer.json({ fields, rows }, this.baseName()) };
  }

  // ---- Cut short -----------------------------------------------------------------------------

  /** Everything there is of it, as it stood. */
  pieces(): BytesPlace[] {
    const { file, movedAt, movedBytes } = this;
    const taken = [this.head, ...this.taken];
    const pieces: BytesPlace[] = [this.writer.keep(joined(taken), "cut")];
    if (file !== undefined && movedBytes > 0) {
      pieces.push({ file: file.name, at: movedAt, bytes: movedBytes });
    }
    return pieces;
  }

  /** The head of a batch's body is what a writer makes: its reserved word is 0. */
  get hasPlainPageHead(): boolean {
    if (this.record.type !== LIBXC.pageData.type) return true;
    return read(PAGE_DATA_HEAD, viewOf(this.body), 0).reserved === 0;
  }
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

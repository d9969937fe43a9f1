// A stream from its first byte to its last as one strip: what stands where. Spans of one fill that
// are closer than can be seen become one, so that there are never more than SLOTS of them.

import { formatBytes } from "../numbers.ts";
import { type Html, html } from "./escape.ts";
import { drawing } from "./figure.ts";
import { type Fill, fillClass } from "./fills.ts";

export interface Span {
  readonly offset: number;
  readonly endOffset: number;
  readonly fill: Fill;
  /** Of two in one slot the higher one is drawn: a checkpoint's end is not lost among pages. */
  readonly rank: number;
}

export interface StreamStrip {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly spans: readonly Span[];
  readonly endOffset: number;
}

const SLOTS = 480;

export function streamStrip({ id, title, description, spans, endOffset }: StreamStrip): Html {
  const slots = slotsOf(spans, endOffset);
  const runs: { fill: Fill; from: number; to: number }[] = [];
  for (const [slot, fill] of slots.entries()) {
    const last = runs.at(-1);
    if (fill === undefined) continue;
    if (last?.fill === fill && last.to === slot) last.to = slot + 1;
    else runs.push({ fill, from: slot, to: slot + 1 });
  }
  const size = html`width="100%" height="34"`;
  return html`<div class="strip">
    ${drawing(
      { id, title, description, size },
      runs.map(
        ({ fill, from, to }) =>
          html`<rect
            class="${fillClass(fill)}"
            x="${percent(from)}%"
            width="${percent(to - from)}%"
            height="100%"
          />`,
      ),
    )}
    <div class="ends" aria-hidden="true"><span>0</span><span>${formatBytes(endOffset)}</span></div>
  </div>`;
}

export function slotsOf(spans: readonly Span[], endOffset: number): (Fill | undefined)[] {
  const slots: (Span | undefined)[] = Array.from({ length: SLOTS });
  const slotOf = (offset: number): number => (offset / Math.max(1, endOffset)) * SLOTS;
  for (const span of spans) {
    const first = Math.min(SLOTS - 1, Math.floor(slotOf(span.offset)));
    const last = Math.min(SLOTS, Math.max(first + 1, Math.round(slotOf(span.endOffset))));
    for (let slot = first; slot < last; slot++) {
      if (span.rank >= (slots[slot]?.rank ?? -1)) slots[slot] = span;
    }
  }
  return slots.map((span) => span?.fill);
}

const percent = (slots: number): number => Math.round((slots / SLOTS) * 100_000) / 1000;

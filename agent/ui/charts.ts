// Small charts in text: a bar for one number, a strip for a list of shares.

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;
const LEVELS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
const ASCII_LEVELS = [" ", ".", ":", "-", "=", "+", "*", "#", "@"] as const;

export interface BarScale {
  readonly most: number;
  readonly width: number;
  readonly unicode: boolean;
}

/** A bar of at most `width` columns; anything above zero is seen. */
export function bar(value: number, { most, width, unicode }: BarScale): string {
  if (value <= 0 || most <= 0) return "";
  const length = Math.min(1, value / most) * width;
  if (!unicode) return "#".repeat(Math.max(1, Math.round(length)));
  const eighths = Math.max(1, Math.round(length * 8));
  return "█".repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]!;
}

/** A character for each share from 0 to 1; anything above zero is seen, and only all is full. */
export function strip(shares: readonly number[], { unicode }: { readonly unicode: boolean }) {
  const levels = unicode ? LEVELS : ASCII_LEVELS;
  const top = levels.length - 1;
  return shares
    .map((share) => {
      if (share <= 0) return levels[0];
      if (share >= 1) return levels[top];
      return levels[Math.min(top - 1, Math.max(1, Math.ceil(share * (top - 1))))];
    })
    .join("");
}

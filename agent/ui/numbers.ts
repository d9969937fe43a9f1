// Numbers for people.

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** "512 B", "1.5 GiB" */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let value = bytes;
  let unit = "B";
  for (const next of UNITS) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** "3 s", "2 min 5 s", "1 h 4 min" */
export function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** "1,044,480": groups of three, for counts that people compare. */
export const formatCount = (count: number): string =>
  String(count).replace(/\B(?=(\d{3})+$)/g, ",");

/** "12.3%", for a share from 0 to 1; what is there at all is not 0. */
export const formatShare = (share: number): string =>
  share > 0 && share < 0.001 ? "<0.1%" : `${(share * 100).toFixed(share < 1 ? 1 : 0)}%`;

/** "0.4 ms", "27 ms", "3.1 s" */
export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds >= 10_000) return formatDuration(milliseconds / 1000);
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

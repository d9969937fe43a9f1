export function checkStore(_core: import("./core.ts").Core): string[] {
  return [];
}

// The arguments of a xapi VM hook (xenopsd's xenops_hooks): -vmuuid UUID -reason REASON, and more
// pairs for some hooks.

export interface VmEvent {
  readonly hook: string;
  readonly uuid: string;
  readonly reason: string;
  /** The other pairs, by name without the dash. */
  readonly extra: Readonly<Record<string, string>>;
}

/** undefined for arguments of another shape. */
export function parseVmEvent(argv: readonly string[]): VmEvent | undefined {
  const [hook, ...words] = argv;
  if (hook === undefined || words.length % 2 !== 0) return undefined;
  const pairs: Record<string, string> = {};
  for (let index = 0; index < words.length; index += 2) {
    const name = words[index]!; // The count is even.
    if (!name.startsWith("-")) return undefined;
    pairs[name.slice(1)] = words[index + 1]!;
  }
  const { vmuuid: uuid, reason, ...extra } = pairs;
  return uuid === undefined || reason === undefined ? undefined : { hook, uuid, reason, extra };
}

/** "vm-pre-suspend 1234-...: suspend (vmdomid 7)" */
export function describeVmEvent({ hook, uuid, reason, extra }: VmEvent): string {
  const rest = Object.entries(extra).map(([name, value]) => `${name} ${value}`);
  return `${hook} ${uuid}: ${reason}${rest.length === 0 ? "" : ` (${rest.join(", ")})`}`;
}

// Disks in an xl domain config: where an image's path stands, and the same text with another path
// and format there. (xl.cfg(5), xl-disk-configuration(5))
//
//     disk = [ 'format=qcow2, vdev=xvda, access=rw, target=/srv/web.qcow2',
//              '/srv/data.raw,raw,xvdb,w', 'tap:qcow2:/srv/old.qcow2,xvdc,w' ]
//
// Everything else of the text stays byte for byte.

export interface ConfigChange {
  readonly from: { readonly path: string; readonly format: string };
  readonly to: { readonly path: string; readonly format: string };
}

interface Quoted {
  readonly start: number;
  readonly text: string;
}

/** The config with every change made, and the paths that do not stand there exactly once. */
export function changeDisks(
  config: string,
  changes: readonly ConfigChange[],
): { readonly text: string; readonly missing: readonly string[] } {
  let text = config;
  const missing: string[] = [];
  for (const { from, to } of changes) {
    const specs = diskSpecs(text).filter((spec) => targetOf(spec.text)?.path === from.path);
    const [spec] = specs;
    if (spec === undefined || specs.length > 1) {
      missing.push(from.path);
      continue;
    }
    const end = spec.start + spec.text.length;
    text = text.slice(0, spec.start) + changedSpec(spec.text, from, to) + text.slice(end);
  }
  return { text, missing };
}

/** The strings of the config's disk list. */
function diskSpecs(config: string): Quoted[] {
  const head = /^[ \t]*disk[ \t]*=[ \t]*\[/m.exec(config);
  if (head === null) return [];
  const specs: Quoted[] = [];
  for (let at = head.index + head[0].length; at < config.length; at++) {
    const character = config[at]!; // The index is below the length.
    if (character === "]") break;
    if (character === "#") {
      const end = config.indexOf("\n", at);
      at = end === -1 ? config.length : end;
    } else if (character === "'" || character === '"') {
      const end = config.indexOf(character, at + 1);
      if (end === -1) break;
      specs.push({ start: at + 1, text: config.slice(at + 1, end) });
      at = end;
    }
  }
  return specs;
}

interface Target {
  /** Where the path begins in the spec. */
  readonly start: number;
  readonly path: string;
}

const PREFIX = /^\s*((?:file|phy|tap2?|aio|raw|qcow2?|vhd|qed):)*/;

function targetOf(spec: string): Target | undefined {
  const named = /(^|,)\s*target\s*=/.exec(spec); // Takes all of the rest.
  if (named !== null) {
    const start = named.index + named[0].length;
    return trimmed(spec, start, spec.length);
  }
  const end = spec.indexOf(",");
  const first = spec.slice(0, end === -1 ? spec.length : end);
  if (first.includes("=")) return undefined;
  return trimmed(spec, PREFIX.exec(first)?.[0].length ?? 0, first.length);
}

function trimmed(spec: string, from: number, to: number): Target {
  const rest = spec.slice(from, to);
  return { start: from + rest.length - rest.trimStart().length, path: rest.trim() };
}

function changedSpec(spec: string, from: ConfigChange["from"], to: ConfigChange["to"]): string {
  const { start, path } = targetOf(spec)!; // The caller found the path there.
  let [before, after] = [spec.slice(0, start), spec.slice(start + path.length)];
  if (from.format === to.format) return before + to.path + after;
  const named = /((?:^|,)\s*format\s*=\s*)([a-z0-9]+)/;
  const prefixed = new RegExp(`(^|:)${from.format}:$`);
  if (named.test(before)) before = before.replace(named, `$1${to.format}`);
  else if (prefixed.test(before)) before = before.replace(prefixed, `$1${to.format}:`);
  else if (/^\s*,\s*[a-z0-9]*\s*(,|$)/.test(after)) {
    after = after.replace(/^(\s*,\s*)[a-z0-9]*/, `$1${to.format}`);
  } else before = before.trim() === "" ? before : `format=${to.format},${before}`;
  return before + to.path + after;
}

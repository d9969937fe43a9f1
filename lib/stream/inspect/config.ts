// The guest's config in an xl save file, as settings by path: b_info.max_vcpus = 2.

import { sizeOf } from "../../bytes/index.ts";
import { CONFIG_HEAD } from "../xl/index.ts";
import type { InspectConfig } from "./report-state.ts";
import { readWithin, type WholeBody } from "./whole-body.ts";

const SETTINGS_KEPT = 4096;
/** Deeper than any config of xl; a hostile one may nest without end. */
const DEPTH_MAX = 32;
/** A long name above many settings would be repeated in the path of each. */
const NAME_LENGTH_MAX = 256;
const HEAD_BYTES = sizeOf(CONFIG_HEAD);

export function readConfig(body: WholeBody, isJson: boolean): InspectConfig | null {
  const head = readWithin(body, CONFIG_HEAD, 0);
  if (head === undefined) return null;
  const end = Math.min(HEAD_BYTES + head.config_len, body.bytes.byteLength);
  const hasNul = end > HEAD_BYTES && body.bytes[end - 1] === 0;
  const text = new TextDecoder().decode(body.bytes.subarray(HEAD_BYTES, hasNul ? end - 1 : end));
  const { settings, leftOff } = isJson ? settingsOf(text) : { settings: [], leftOff: 0 };
  return {
    offset: body.record.bodyOffset + HEAD_BYTES,
    bytes: end - HEAD_BYTES,
    is_json: isJson,
    settings,
    settings_left_off: leftOff,
    text,
  };
}

interface Settings {
  readonly settings: InspectConfig["settings"];
  readonly leftOff: number;
}

function settingsOf(text: string): Settings {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // SyntaxError, or RangeError for what is nested too deeply: verify says that it is no JSON.
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    return { settings: [], leftOff: 0 };
  }
  return flatten(value);
}

function flatten(root: unknown): Settings {
  const settings: InspectConfig["settings"] = [];
  let leftOff = 0;
  const add = (name: string, value: unknown): void => {
    if (settings.length < SETTINGS_KEPT) settings.push({ name, value: JSON.stringify(value) });
    else leftOff++;
  };
  const visit = (value: unknown, name: string, depth: number): void => {
    if (typeof value !== "object" || value === null) return add(name, value);
    const entries = Object.entries(value);
    if (entries.length === 0) return add(name, value);
    if (depth === DEPTH_MAX) return add(name, "...");
    for (const [key, child] of entries) {
      const path = Array.isArray(value) ? `${name}[${key}]` : name === "" ? key : `${name}.${key}`;
      visit(child, path.slice(0, NAME_LENGTH_MAX), depth + 1);
    }
  };
  visit(root, "", 0);
  return { settings, leftOff };
}

/** c_info.name and c_info.type, as verify takes them. */
export function configFacts(config: InspectConfig | null): {
  readonly name: string | null;
  readonly type: string | null;
} {
  const setting = (wanted: string): string | null => {
    const value = config?.settings.find(({ name }) => name === wanted)?.value;
    return value?.startsWith('"') === true ? String(JSON.parse(value)) : null;
  };
  return { name: setting("c_info.name"), type: setting("c_info.type") };
}

// oxenstored.conf: lines "key = value", "#" begins a comment (tools/ocaml/xenstored of Xen). Each
// key is honoured, or refused by name where its value asks for what is not offered here.

import type { QuotaName } from "../../../lib/xenstore/index.ts";

export interface OxenstoredConfig {
  readonly pidFile: string;
  readonly quotas: Partial<Record<QuotaName, number>>;
  readonly ringScanSeconds: number;
  readonly accessLog: {
    readonly path: string;
    readonly linesMax: number;
    readonly filesMax: number;
    readonly charactersMax: number;
    readonly withReads: boolean;
  };
  /** What is wrong with the text, a line each; the rest of it is taken all the same. */
  readonly problems: readonly string[];
  /** What it asks for and cannot have: the daemon must not start as if it had it. */
  readonly refused: readonly string[];
}

type Kind = "bool" | "int" | "float" | "string";

/** Every key there is, with its default. `only`: the values that are offered. */
const KEYS: Readonly<
  Record<string, { readonly kind: Kind; readonly value: string; readonly only?: string }>
> = {
  "pid-file": { kind: "string", value: "/var/run/xen/xenstored.pid" },
  "test-eagain": { kind: "bool", value: "false", only: "false" },
  "merge-activate": { kind: "bool", value: "true", only: "true" },
  "perms-activate": { kind: "bool", value: "true", only: "true" },
  "perms-watch-activate": { kind: "bool", value: "true", only: "true" },
  "quota-activate": { kind: "bool", value: "true" },
  "quota-maxentity": { kind: "int", value: "1000" },
  "quota-maxsize": { kind: "int", value: "2048" },
  "quota-maxwatch": { kind: "int", value: "100" },
  "quota-transaction": { kind: "int", value: "10" },
  "quota-maxrequests": { kind: "int", value: "1024" },
  "quota-path-max": { kind: "int", value: "2048" },
  "quota-maxoutstanding": { kind: "int", value: "1024" },
  "quota-maxwatchevents": { kind: "int", value: "1024" },
  "conflict-burst-limit": { kind: "float", value: "5.0" },
  "conflict-max-history-seconds": { kind: "float", value: "0.05" },
  "conflict-rate-limit-is-aggregate": { kind: "bool", value: "true" },
  "gc-max-overhead": { kind: "int", value: "120" },
  persistent: { kind: "bool", value: "false", only: "false" },
  "xenstored-log-file": { kind: "string", value: "/var/log/xen/xenstored.log" },
  "xenstored-log-level": { kind: "string", value: "warn" },
  "xenstored-log-nb-files": { kind: "int", value: "10" },
  "xenstored-log-nb-lines": { kind: "int", value: "13215" },
  "xenstored-log-nb-chars": { kind: "int", value: "-1" },
  "access-log-file": { kind: "string", value: "/var/log/xen/xenstored-access.log" },
  "access-log-nb-files": { kind: "int", value: "20" },
  "access-log-nb-lines": { kind: "int", value: "13215" },
  "access-log-nb-chars": { kind: "int", value: "180" },
  "access-log-read-ops": { kind: "bool", value: "false" },
  "access-log-transactions-ops": { kind: "bool", value: "false" },
  "access-log-special-ops": { kind: "bool", value: "false" },
  "allow-debug": { kind: "bool", value: "false", only: "false" },
  "ring-scan-interval": { kind: "int", value: "20" },
  "xenstored-kva": { kind: "string", value: "/proc/xen/xsd_kva", only: "/proc/xen/xsd_kva" },
  "xenstored-port": { kind: "string", value: "/proc/xen/xsd_port", only: "/proc/xen/xsd_port" },
};

const FORMS: Readonly<Record<Kind, RegExp>> = {
  bool: /^(true|false)$/,
  int: /^-?[0-9]{1,9}$/,
  float: /^-?[0-9]+\.[0-9]*$/,
  string: /^/,
};

export function readOxenstoredConfig(text: string): OxenstoredConfig {
  const values = new Map(Object.entries(KEYS).map(([key, { value }]) => [key, value]));
  const problems: string[] = [];
  const refused: string[] = [];
  for (const line of text.split("\n")) {
    const found = /^\s*([^#=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
    if (found === null) continue;
    const [, key = "", value = ""] = found;
    const known = KEYS[key];
    if (known === undefined) problems.push(`unknown key ${key}`);
    else if (!FORMS[known.kind].test(value)) problems.push(`${key}: expect ${known.kind} value`);
    else if (known.only !== undefined && known.only !== value) refused.push(`${key} = ${value}`);
    else values.set(key, value);
  }
  const number = (key: string): number => Number(values.get(key));
  return {
    pidFile: values.get("pid-file") ?? "",
    quotas: quotasOf(values.get("quota-activate") === "true", number),
    ringScanSeconds: number("ring-scan-interval"),
    accessLog: {
      path: values.get("access-log-file") ?? "",
      linesMax: number("access-log-nb-lines"),
      filesMax: number("access-log-nb-files"),
      charactersMax: Math.max(number("access-log-nb-chars"), 0),
      withReads: values.get("access-log-read-ops") === "true",
    },
    problems,
    refused,
  };
}

/**
 * Ours refuse what reaches the limit, oxenstored what passes it: one more means the same, and two
 * for watches, of which it lets one too many in. 0 is none.
 */
function quotasOf(
  isActive: boolean,
  number: (key: string) => number,
): Partial<Record<QuotaName, number>> {
  const store = isActive
    ? { nodes: number("quota-maxentity") + 1, "node-size": number("quota-maxsize") }
    : { nodes: 0, "node-size": 0 };
  return {
    ...store,
    watches: number("quota-maxwatch") + 2,
    transactions: number("quota-transaction") + 1,
    "transaction-nodes": number("quota-maxrequests") + 1,
    "path-max": number("quota-path-max"),
    outstanding: number("quota-maxoutstanding") + 1,
  };
}

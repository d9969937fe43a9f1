// What can be wrong with a piece of a state, whatever it was read from. A real daemon would stop on
// it (C), or lose it without a word (oxenstored). The reader knows the place, and makes its error
// of a Problem.

import type {
  Permission,
  Quota,
  StateConnection,
  StateDomain,
  StateNode,
  StateWatch,
  TransactionNode,
  UnknownPart,
} from "./model.ts";
import { PATH_BYTES_MAX, PAYLOAD_BYTES_MAX } from "../limits.ts";
import { RECORD_TYPE } from "./layout.ts";

export interface Problem {
  readonly field: string;
  readonly expected: string;
  readonly found: string;
}

/** The stream has 16 bits for it. */
export const INPUT_BYTES_MAX = 0xffff;
/** A daemon stops reading from a client long before. */
export const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** 0xffff is the stream's word for "no limit". */
export const DEPTH_MAX = 0xfffe;
export const DOMID_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
const U64_MAX = 0xffff_ffff_ffff_ffffn;
const QUOTA_NAME_BYTES_MAX = 64;
const TOLD_CHARACTERS_MAX = 60;

const ABSOLUTE = /^(\/|(\/[A-Za-z0-9_@-]+)+)$/;
const RELATIVE = /^[A-Za-z0-9_-][A-Za-z0-9_@-]*(\/[A-Za-z0-9_@-]+)*$/;
const SPECIAL = /^@[A-Za-z0-9_@-]*(\/[A-Za-z0-9_@-]+)*$/;
const QUOTA_NAME = /^[a-z0-9_-]+$/;

/** The words that lines of oxenstored's dump begin with. */
export const LINE_WORDS = ["global", "evtchn-dev", "dom", "socket", "watch", "store"] as const;
export type LineWord = (typeof LINE_WORDS)[number];
const LINE = /^([a-z][a-z0-9-]*)(,[\x00-\x09\x0b-\xff]*)?$/;
const RECORD_TYPES: ReadonlySet<number> = new Set(Object.values(RECORD_TYPE));

/** Text of a dump in a message: quoted, without control characters, and short. */
export function quoted(text: string): string {
  const harmless = text
    .slice(0, TOLD_CHARACTERS_MAX)
    .replaceAll(
      /[^\x20-\x7e]/g,
      (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
    );
  return `"${harmless}${text.length > TOLD_CHARACTERS_MAX ? "..." : ""}"`;
}

/** The first of them that is one. */
export const firstOf = (...problems: readonly (Problem | undefined)[]): Problem | undefined =>
  problems.find((problem) => problem !== undefined);

export const within = (
  field: string,
  value: number,
  { least = 0, most }: { readonly least?: number; readonly most: number },
): Problem | undefined =>
  Number.isInteger(value) && value >= least && value <= most
    ? undefined
    : { field, expected: `${least} to ${most}`, found: String(value) };

export const twice = (field: string, what: string): Problem => ({
  field,
  expected: "each only once",
  found: `a second ${what}`,
});

export function pathProblem(path: string, isWatch: boolean): Problem | undefined {
  const field = isWatch ? "watch path" : "path";
  if (path.length > PATH_BYTES_MAX) {
    const found = String(path.length);
    return { field, expected: `at most ${PATH_BYTES_MAX} bytes`, found };
  }
  if (ABSOLUTE.test(path) || SPECIAL.test(path)) return undefined;
  if (isWatch && RELATIVE.test(path)) return undefined;
  return { field, expected: "a xenstore path", found: quoted(path) };
}

const bytesProblem = (field: string, bytes: Uint8Array, most: number): Problem | undefined =>
  bytes.length <= most
    ? undefined
    : { field, expected: `at most ${most} bytes`, found: String(bytes.length) };

function contentProblem(content: {
  readonly value: Uint8Array;
  readonly permissions: readonly Permission[];
}): Problem | undefined {
  const { value, permissions } = content;
  if (permissions.length === 0) {
    return { field: "permissions", expected: "at least the owner's", found: "none" };
  }
  return firstOf(
    bytesProblem("value", value, PAYLOAD_BYTES_MAX), // It came in one request, and so did tokens.
    ...permissions.map(({ domid }) => within("permissions", domid, { most: DOMID_MAX })),
  );
}

const u64Problem = (field: string, value: bigint | null): Problem | undefined =>
  value === null || (value >= 0n && value <= U64_MAX)
    ? undefined
    : { field, expected: "a number below 2^64", found: String(value) };

export const nodeProblem = (node: StateNode): Problem | undefined =>
  firstOf(
    pathProblem(node.path, false),
    contentProblem(node),
    u64Problem("generation", node.generation),
  );

export const transactionNodeProblem = (node: TransactionNode): Problem | undefined =>
  firstOf(
    pathProblem(node.path, false),
    node.content === null ? undefined : contentProblem(node.content),
    u64Problem("generation", node.generation),
  );

/** A part that is known would not be kept aside, but be read as what it is. */
export function unknownProblem(part: UnknownPart): Problem | undefined {
  if (part.kind === "record") {
    return RECORD_TYPES.has(part.type)
      ? { field: "type", expected: "a type that is not known", found: String(part.type) }
      : within("type", part.type, { most: U32_MAX });
  }
  const [, word] = LINE.exec(part.text) ?? [];
  if (word !== undefined && !LINE_WORDS.some((known) => known === word)) return undefined;
  return { field: "line", expected: "a line of an unknown kind", found: quoted(part.text) };
}

/** Also of names that stand twice. */
export function quotasProblem(quotas: readonly Quota[]): Problem | undefined {
  const names = new Set<string>();
  for (const { name, value } of quotas) {
    if (!QUOTA_NAME.test(name) || name.length > QUOTA_NAME_BYTES_MAX) {
      return { field: "quota name", expected: "a name such as nodes", found: quoted(name) };
    }
    if (names.has(name)) return twice("quota name", quoted(name));
    names.add(name);
    const problem = within("quota value", value, { most: U32_MAX });
    if (problem !== undefined) return problem;
  }
  return undefined;
}

export function connectionProblem(
  connection: Omit<StateConnection, "watches" | "transactions">,
): Problem | undefined {
  const { id, channel, input, output, begunOutputBytes } = connection;
  const ofChannel =
    channel.kind === "socket"
      ? [within("socket fd", channel.fd, { most: 0x7fff_ffff })]
      : [
          within("domid", channel.domid, { most: DOMID_MAX }),
          channel.target === null
            ? undefined
            : within("target", channel.target, { most: DOMID_MAX }),
          ...[channel.remotePort, channel.localPort].map((port) =>
            port === null ? undefined : within("port", port, { least: 1, most: U32_MAX }),
          ),
        ];
  return firstOf(
    within("connection id", id, { least: 1, most: U32_MAX }),
    ...ofChannel,
    u64Problem("unique id", connection.uniqueId),
    bytesProblem("input", input, INPUT_BYTES_MAX),
    bytesProblem("output", output, OUTPUT_BYTES_MAX),
    within("begun output", begunOutputBytes, { most: Math.min(output.length, 0xffff) }),
  );
}

export function watchProblem({ path, token, depth }: StateWatch): Problem | undefined {
  const hasNul = token.includes(0);
  return firstOf(
    pathProblem(path, true),
    bytesProblem("token", token, PAYLOAD_BYTES_MAX),
    hasNul ? { field: "token", expected: "no NUL in it", found: "one" } : undefined,
    depth === null ? undefined : within("depth", depth, { most: DEPTH_MAX }),
  );
}

export const transactionIdProblem = (id: number): Problem | undefined =>
  within("transaction id", id, { least: 1, most: U32_MAX });

export const domainProblem = ({ domid, features, quotas }: StateDomain): Problem | undefined =>
  firstOf(
    within("domid", domid, { most: DOMID_MAX }),
    within("features", features, { most: U32_MAX }),
    quotasProblem(quotas),
  );

// What the differential test does to two xenstore daemons: steps that stand for themselves, so that
// any of them can be left out, and a generator that draws them from a seed.
//
// Actors are socket connections s0..s3 and guests g1..g3, which talk over rings. Transactions are
// named by slots of their actor: the daemon's own numbers are learned as the steps are played.

import { onceIn, pick, type Random } from "../../fuzz/random.ts";
import { OP, type OpName } from "../../helpers/store-wire.ts";

export type Step =
  | {
      readonly kind: "ask";
      readonly actor: string;
      readonly op: number;
      /** 0: outside of transactions. A slot without a transaction is a number never given. */
      readonly slot: number;
      readonly body: string;
    }
  /** Several requests in one piece, answered one after the other. */
  | { readonly kind: "burst"; readonly actor: string; readonly asks: readonly Asked[] }
  /** A header that lies about its length: the daemon hangs up. */
  | { readonly kind: "overlong"; readonly actor: string; readonly length: number }
  | { readonly kind: "close"; readonly actor: string }
  | { readonly kind: "make"; readonly domid: number }
  | { readonly kind: "end"; readonly domid: number }
  | { readonly kind: "mark"; readonly domid: number; readonly state: "shut" | "dying" };

export interface Asked {
  readonly op: number;
  readonly body: string;
}

export const SOCKETS = ["s0", "s1", "s2", "s3"] as const;
export const DOMIDS = [1, 2, 3] as const;
const GUESTS = DOMIDS.map((domid) => `g${domid}`);
const SLOTS = 2;

/** Few, so that what one makes another meets. */
const NAMES = ["a", "a", "a", "b", "b", "data"] as const;
const ODD_PATHS = [
  "",
  "/",
  "//",
  "/a//b",
  "/a/",
  "a/",
  "/a b",
  "/a\x01",
  "/\xe9",
  "@",
  "@foo",
  "@releaseDomain",
  "@nonsense/1",
  "@introduceDomain",
  "/@releaseDomain",
  "/a@b",
  ".",
  "..",
  "/./a",
  "/local",
  "/local/domain",
  "/local/domain/",
  "/local/domain/1",
  "/local/domain/99",
  "/tool",
  "/tool/xenstored",
  `/${"l".repeat(2100)}`,
  "l".repeat(2040),
  "l".repeat(2060),
  `/${"l".repeat(3071)}`,
  `/${"m/".repeat(1500)}m`,
  `/${"l".repeat(3072)}`,
] as const;

function path(random: Random): string {
  if (onceIn(random, 16)) return pick(random, ODD_PATHS);
  const parts = Array.from({ length: 1 + random(onceIn(random, 4) ? 4 : 2) }, () =>
    pick(random, NAMES),
  );
  const tail = parts.join("/");
  if (onceIn(random, 4)) return tail;
  if (onceIn(random, 4)) return `/local/domain/${random(4)}/${tail}`;
  return `/${tail}`;
}

function value(random: Random): string {
  const kind = random(16);
  if (kind === 0) return "";
  if (kind === 1) return "a\0b";
  if (kind === 2) return "v".repeat([1000, 1900, 2100, 3000, 4000][random(5)]!);
  if (kind === 3) return "\xff\n\x7f";
  return String(random(10));
}

const ODD_PERMS = ["", "r", "x1", "n-1", "n65536", "r32752", "b0x1", "w01", "r1 ", "rr1", "n99"];

function perm(random: Random): string {
  if (onceIn(random, 20)) return pick(random, ODD_PERMS);
  return `${pick(random, ["n", "r", "w", "b", "b"])}${random(onceIn(random, 10) ? 5 : 4)}`;
}

/** The C daemon dies of the end of a domain that owns the root, up to 4.20 at least. */
function setPerms(random: Random): string {
  const where = path(random);
  const owner = where === "/" || where.startsWith("@") ? `${pick(random, ["n", "r"])}0\0` : "";
  return `${where}\0${owner}${perms(random)}`;
}

const perms = (random: Random): string =>
  Array.from({ length: onceIn(random, 30) ? random(8) : 1 + random(4) }, () => perm(random))
    .map((text) => `${text}\0`)
    .join("");

/** Before Xen 4.21 what is no number was one all the same: a test of bad input has those. */
const DOMID_TEXTS = ["0", "32751", "32752", "32753", "65535", "99"];
const domid = (random: Random): string =>
  onceIn(random, 12) ? pick(random, DOMID_TEXTS) : String(1 + random(4));

const WATCHED = ["@introduceDomain", "@releaseDomain", "/", "/a", "/a", "a", "/a/b", "/local"];
const watched = (random: Random): string =>
  onceIn(random, 3) ? path(random) : pick(random, WATCHED);

const token = (random: Random): string =>
  onceIn(random, 40) ? pick(random, ["", "t".repeat(1200), "\xff/ "]) : `t${random(3)}`;

const CONTROLS = [
  "check\0",
  "log\0",
  "print\0hello\0",
  "print\0",
  "nonsense\0",
  "",
  "check",
  "quota\0",
  "quota\0set\0nodes\x0012\0",
  "quota\0set\0nodes\x001000\0",
  "quota\0set\0watches\x003\0",
  "quota\0set\0watches\x00128\0",
  "quota\0set\0transactions\x002\0",
  "quota\0set\0transactions\x0010\0",
  "quota\0set\0node-size\x00300\0",
  "quota\0set\0node-size\x002048\0",
  "quota\0set\0transaction-nodes\x005\0",
  "quota\0set\0transaction-nodes\x001024\0",
  "quota\0set\0node-permissions\x002\0",
  "quota\0set\0node-permissions\x005\0",
  "quota\0set\0path-max\x0040\0",
  "quota\0set\0path-max\x002048\0",
  "quota\0set\0nodes\x000\0",
  "quota\0set\0nodes\x00-1\0",
  "quota\0set\0nonsense\x0010\0",
  "quota\0set\0nodes\0",
  "quota\x001\0",
  "quota\x002\0",
  "quota\x0077\0",
  "quota\0max\0",
  "quota\0max\0-r\0",
  "quota-soft\0",
] as const;

/** How often each operation is drawn, and its payload. */
const OPERATIONS: readonly (readonly [OpName, number, (random: Random) => string])[] = [
  ["READ", 10, (random) => `${path(random)}\0`],
  ["DIRECTORY", 8, (random) => `${path(random)}\0`],
  ["DIRECTORY_PART", 3, (random) => `${path(random)}\0${pick(random, PART_OFFSETS)}\0`],
  ["GET_PERMS", 5, (random) => `${path(random)}\0`],
  ["SET_PERMS", 10, setPerms],
  ["WRITE", 22, (random) => `${path(random)}\0${value(random)}`],
  ["MKDIR", 6, (random) => `${path(random)}\0`],
  ["RM", 7, (random) => `${path(random)}\0`],
  ["WATCH", 9, (random) => `${watched(random)}\0${token(random)}\0`],
  ["UNWATCH", 4, (random) => `${watched(random)}\0${token(random)}\0`],
  ["TRANSACTION_START", 8, (random) => (onceIn(random, 20) ? "" : "\0")],
  ["TRANSACTION_END", 6, (random) => (onceIn(random, 20) ? "X\0" : pick(random, ["T\0", "F\0"]))],
  ["INTRODUCE", 4, (random) => `${domid(random)}\x001\x00${pick(random, ["5", "5", "5", "0"])}\0`],
  ["RELEASE", 2, (random) => `${domid(random)}\0`],
  ["GET_DOMAIN_PATH", 1, (random) => `${domid(random)}\0`],
  ["IS_DOMAIN_INTRODUCED", 2, (random) => `${domid(random)}\0`],
  ["RESUME", 1, (random) => `${domid(random)}\0`],
  ["SET_TARGET", 2, (random) => `${2 + random(3)}\0${onceIn(random, 4) ? domid(random) : 1}\0`],
  ["RESET_WATCHES", 1, (random) => (onceIn(random, 2) ? "\0" : "")],
  ["CONTROL", 3, (random) => pick(random, CONTROLS)],
];
const PART_OFFSETS = ["0", "0", "0", "2", "4", "100", "x", ""];
const WEIGHTS_SUM = OPERATIONS.reduce((sum, [, weight]) => sum + weight, 0);

/** Payloads that no client library sends. A third string of WATCH is a depth since Xen 4.21. */
function misshapen(random: Random, body: string, name: OpName): string {
  const kind = name === "WATCH" ? 3 + random(2) : random(5);
  if (kind === 0) return body.replaceAll("\0", "");
  if (kind === 1) return `${body}\0`;
  if (kind === 2) return `${body}rest`;
  if (kind === 3) return body.slice(0, random(body.length + 1));
  return "";
}

/** Requests of no known type, or of one that only a daemon sends. */
const ODD_TYPES = [OP.WATCH_EVENT, OP.ERROR, OP.RESTRICT, 27, 100, 65535, 2 ** 31, 2 ** 32 - 1];

function asked(random: Random): Asked {
  if (onceIn(random, 150)) return { op: pick(random, ODD_TYPES), body: "/a\0" };
  let left = random(WEIGHTS_SUM);
  for (const [name, weight, body] of OPERATIONS) {
    left -= weight;
    if (left >= 0) continue;
    const text = body(random);
    const sent = onceIn(random, 40) ? misshapen(random, text, name) : text;
    return { op: OP[name], body: sent.slice(0, 4096) };
  }
  throw new Error("weights do not add up");
}

/** No other request of a burst fires the same event: the daemon may or may not merge those. */
function burst(random: Random, actor: string): Step {
  const asks = Array.from({ length: 2 + random(8) }, (_, index) =>
    onceIn(random, 3)
      ? { op: OP.WRITE, body: `/burst/${index}\0${index}` }
      : { op: pick(random, [OP.READ, OP.DIRECTORY, OP.GET_PERMS]), body: `${path(random)}\0` },
  );
  return { kind: "burst", actor, asks };
}

/** What a sequence may have, where both together would do harm or are answered in two ways. */
interface Choices {
  /**
   * Domain 1 is the target of SET_TARGET; else it may come to its end. The C daemon miscounts where
   * a target goes away before its stub domain: its memory is used after it was freed.
   */
  readonly hasTargets: boolean;
  /**
   * The root is watched; else permissions of special nodes change. Until Xen 4.20 a watch on "/" is
   * told of the latter, since 4.21 and by ours it is not.
   */
  readonly watchesRoot: boolean;
}

function isUnsafe(step: Step, { hasTargets, watchesRoot }: Choices): boolean {
  if (step.kind === "end") return hasTargets && step.domid === 1;
  if (step.kind === "mark") return hasTargets && step.state === "dying" && step.domid === 1;
  if (step.kind !== "ask") return false;
  const { op, body } = step;
  if (op === OP.WATCH) return !watchesRoot && body.startsWith("/\0");
  if (op === OP.SET_PERMS) return watchesRoot && body.startsWith("@");
  const [first = "", second = ""] = body
    .split("\0")
    .map((text) => String(Number.parseInt(text, 10)));
  if (op === OP.RELEASE) return hasTargets && first === "1";
  if (op !== OP.SET_TARGET) return false;
  return first === "1" || (second === "1" ? !hasTargets : second !== "0");
}

function one(random: Random, busy: Map<string, number>): Step {
  if (onceIn(random, 40)) {
    const kinds = ["make", "make", "make", "end", "shut", "dying", "close", "overlong"] as const;
    const kind = pick(random, kinds);
    const domid = pick(random, DOMIDS);
    if (kind === "shut" || kind === "dying") return { kind: "mark", domid, state: kind };
    if (kind === "make" || kind === "end") return { kind, domid };
    const actor = pick(random, SOCKETS);
    if (kind === "close") return { kind, actor };
    return { kind, actor, length: pick(random, [4097, 65536, 2 ** 31, 2 ** 32 - 1]) };
  }
  const actor = onceIn(random, 3) ? pick(random, GUESTS) : pick(random, SOCKETS);
  if (onceIn(random, 40)) return burst(random, actor);
  const { op, body } = asked(random);
  if (op === OP.TRANSACTION_START) {
    const slot = 1 + random(SLOTS);
    busy.set(actor, slot);
    return { kind: "ask", actor, op, slot: onceIn(random, 15) ? -slot : slot, body };
  }
  const open = busy.get(actor);
  const inside = open !== undefined && !onceIn(random, 3);
  const slot = op === OP.TRANSACTION_END || inside ? (open ?? 1) : 0;
  if (op === OP.TRANSACTION_END) busy.delete(actor);
  return { kind: "ask", actor, op, slot: onceIn(random, 60) ? 1 + random(SLOTS) : slot, body };
}

/** Guests that may do something, and then whatever comes. */
export function drawSteps(random: Random, count: number): Step[] {
  const steps: Step[] = [];
  const ask = (op: number, body: string): void =>
    void steps.push({ kind: "ask", actor: "s0", op, slot: 0, body });
  for (const domid of DOMIDS) {
    if (onceIn(random, 8)) continue;
    steps.push({ kind: "make", domid });
    ask(OP.INTRODUCE, `${domid}\x001\x005\0`);
    ask(OP.WRITE, `/local/domain/${domid}\0`);
    ask(OP.SET_PERMS, `/local/domain/${domid}\0n${domid}\0`);
  }
  if (!onceIn(random, 4)) {
    ask(OP.WRITE, "/a\0");
    ask(OP.SET_PERMS, `/a\0n0\0${DOMIDS.map((domid) => `b${domid}\0`).join("")}`);
  }
  const busy = new Map<string, number>();
  const choices = { hasTargets: onceIn(random, 2), watchesRoot: onceIn(random, 2) };
  while (steps.length < count) {
    const step = one(random, busy);
    if (isUnsafe(step, choices)) continue;
    steps.push(step);
    if (step.kind !== "make" || onceIn(random, 4)) continue;
    ask(OP.INTRODUCE, `${step.domid}\x001\x005\0`);
    ask(OP.SET_PERMS, `/local/domain/${step.domid}\0n${step.domid}\0`);
  }
  return steps;
}

// What only xl can do to a guest of libxl: hold its processors, save and restore it.
//
// QEMU's own "stop" is not enough there: the processors are the hypervisor's, and the guest's
// rings are served while QEMU is "paused". States are those of `xl list`.
//
// xl has a session of its own, and what it says goes to a memory file and not through a pipe: so
// it goes on whatever becomes of us. Killed in the middle of a save it would leave the guest
// suspended, with nobody to wake it.

import { readdirSync, readFileSync, readSync, write } from "node:fs";
import { basename } from "node:path";
import { createMemfd, type Fd, makePipe } from "../sys/index.ts";
import { SnapshotRefusal } from "./refusal.ts";

const OUTPUT_BYTES_MAX = 64 * 1024;
const TOLD_LINES_MAX = 4;
const POLL_MS = 200;

/** paused: by `xl pause`. suspended: saved, or about to be. */
export type DomainState = "running" | "paused" | "suspended" | "ended";

export const hasXl = (): boolean => Bun.which("xl") !== null;

/**
 * What find_domain and list_domains of tools/xl say of a domain that is not there. They end with
 * the same status when they could not ask.
 */
const NO_SUCH_DOMAIN = /Domain '.*' does not exist|is an invalid domain identifier/;

/** By domain id or name; undefined: there is no such domain. Throws SnapshotRefusal. */
export async function domainState(domain: number | string): Promise<DomainState | undefined> {
  const { status, output } = await start(["list", String(domain)]);
  if (status !== 0) {
    if (NO_SUCH_DOMAIN.test(output)) return undefined;
    throw refusalOf("list", status, output);
  }
  const state = parseState(output);
  if (state === undefined) throw new SnapshotRefusal(`xl list shows no state of domain ${domain}`);
  return state;
}

/** From the lines of `xl list DOMAIN`: the last but one column, such as "-b----" or "--p---". */
export function parseState(text: string): DomainState | undefined {
  const found = /\s([r-])([b-])([p-])([s-])([c-])([d-])\s+[0-9.]+\s*$/m.exec(text);
  if (found === null) return undefined;
  const [, , , paused, shutdown, crashed, dying] = found;
  if (crashed !== "-" || dying !== "-") return "ended";
  if (shutdown !== "-") return "suspended";
  return paused === "-" ? "running" : "paused";
}

/** Runs xl to its end, and gives what it said. Throws SnapshotRefusal with that. */
export async function runXl(words: readonly string[], input?: XlInput): Promise<string> {
  const { status, output } = await start(words, input);
  if (status === 0) return lastLines(output);
  throw refusalOf(words[0] ?? "", status, output);
}

const lastLines = (output: string): string =>
  output.trim().split("\n").slice(-TOLD_LINES_MAX).join("; ");

const refusalOf = (word: string, status: number, output: string): SnapshotRefusal =>
  new SnapshotRefusal(`xl ${word} ended with ${status}: ${lastLines(output)}`);

/** Writes xl's standard input. It may end early, when xl reads no more. */
export type XlInput = (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>;

async function start(words: readonly string[], input?: XlInput) {
  using said = createMemfd("xl");
  if (input === undefined) return await ended(startChild(words, said, undefined), said);
  const { readEnd, writeEnd } = makePipe(); // xl opens it by its name in /proc: no socket will do.
  using end = writeEnd;
  const child = startChildAndClose(words, said, readEnd);
  try {
    await input((bytes) => writeAll(end, bytes));
  } catch (error) {
    // It has ended before it read everything: its status and its words tell why.
    if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
  }
  end[Symbol.dispose]();
  return await ended(child, said);
}

function startChildAndClose(words: readonly string[], said: Fd, readEnd: Fd) {
  using own = readEnd; // Else the pipe would never break.
  return startChild(words, said, own);
}

function startChild(words: readonly string[], said: Fd, input: Fd | undefined) {
  try {
    return Bun.spawn(["xl", ...words], {
      stdio: [input?.number ?? "ignore", said.number, said.number],
      env: { ...process.env, LC_ALL: "C" },
      detached: true,
    });
  } catch (cause) {
    throw new SnapshotRefusal("Cannot run xl: it is not in PATH", { cause });
  }
}

async function ended({ exited }: { readonly exited: Promise<number> }, said: Fd) {
  const status = await exited;
  const bytes = new Uint8Array(OUTPUT_BYTES_MAX);
  const count = readSync(said.number, bytes, 0, bytes.byteLength, 0);
  return { status, output: new TextDecoder().decode(bytes.subarray(0, count)) };
}

/** On a thread of the runtime: xl may read slowly. */
async function writeAll(fd: Fd, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += await writeSome(fd.number, bytes, at);
}

const writeSome = (fd: number, bytes: Uint8Array, at: number): Promise<number> =>
  new Promise((resolve, reject) => {
    write(fd, bytes, at, bytes.byteLength - at, null, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });

/** Holds a guest's processors. Throws SnapshotRefusal. */
export const pauseDomain = (domid: number): Promise<void> => runAndLook("pause", domid, "running");

/**
 * Lets a guest go on that was paused, or left suspended by an xl save that was killed. Nobody may
 * hold QEMU's monitor: libxl tells the QEMU of an HVM guest to go on first, and waits a minute.
 * Throws SnapshotRefusal, which names what to do.
 */
export async function unpauseDomain(domain: number | string): Promise<void> {
  const unpause = `xl unpause ${domain}`;
  const destroy = `xl destroy ${domain}, and start it again`; // Only while it is suspended.
  let state = await orByHand(unpause, domainState(domain));
  if (state === "suspended") {
    await orByHand(destroy, resume(domain));
    // What it is then: xl save -p pauses a guest before it resumes it, and can die in between.
    state = await orByHand(unpause, domainState(domain));
    if (state === "suspended") {
      throw new SnapshotRefusal(`domain ${domain} is still suspended after xl resume: ${destroy}`);
    }
  }
  if (state === "paused") await orByHand(unpause, runAndLook("unpause", domain, "paused"));
}

async function orByHand<T>(way: string, done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (error) {
    if (!(error instanceof SnapshotRefusal)) throw error;
    throw new SnapshotRefusal(`${error.message}: ${way}`, { cause: error });
  }
}

async function resume(domain: number | string): Promise<void> {
  try {
    await runXl(["resume", String(domain)]); // Since Xen 4.20.
  } catch (error) {
    if (!(error instanceof SnapshotRefusal)) throw error;
    throw new SnapshotRefusal(`domain ${domain} is left suspended: ${error.message}`);
  }
}

/** xl pause and xl unpause end with 0 whatever became of them. */
async function runAndLook(word: string, domain: number | string, before: DomainState) {
  const said = await runXl([word, String(domain)]);
  if ((await domainState(domain)) !== before) return;
  throw new SnapshotRefusal(`domain ${domain} is still ${before} after xl ${word}: ${said}`);
}

/** Waits for an `xl save` of the domain that another process began and left. */
export async function waitForSave(domid: number, limitMs: number): Promise<void> {
  const untilMs = performance.now() + limitMs;
  while (isBeingSaved(domid)) {
    if (performance.now() > untilMs) {
      throw new SnapshotRefusal(`xl save of domain ${domid} is under way: recover again after it`);
    }
    await Bun.sleep(POLL_MS);
  }
}

function isBeingSaved(domid: number): boolean {
  const wanted = ["save", "-p", String(domid)];
  return readdirSync("/proc").some((entry) => {
    if (!/^[0-9]+$/.test(entry)) return false;
    try {
      const [program, ...words] = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      const isXl = program !== undefined && basename(program) === "xl";
      return isXl && wanted.every((word, index) => words[index] === word);
    } catch {
      return false; // It has ended meanwhile.
    }
  });
}

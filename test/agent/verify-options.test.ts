// What the options of `agent verify` do to the process and to what it prints; statuses.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { sampleStream, VerifyReportSchema } from "../../lib/stream/index.ts";
import { LIBXC, VCPU_HEAD } from "../../lib/stream/libxc/index.ts";
import { bindUnix, makePipe, receiveDescriptors } from "../../lib/sys/index.ts";
import { libc } from "../../lib/sys/libc.ts";
import { sendReportToSyslog } from "../../agent/ui/syslog-report.ts";
import { agentCommand, run } from "../helpers/run.ts";
import { PV64, xlPlan } from "../helpers/stream-builder.ts";
import { encode, setField } from "../helpers/stream-plan.ts";
import { temporaryFolder, type TemporaryFolder } from "../helpers/temporary.ts";
import { verifyBytes } from "../helpers/verify-bytes.ts";

const GOOD = sampleStream();
const CUT = GOOD.subarray(0, GOOD.byteLength - 4);

/** Two vcpus with four records each, all with reserved bits set: readers take no notice. */
function suspicious(): Uint8Array {
  const plan = xlPlan(PV64);
  for (const record of plan.records) {
    if (!record.name.startsWith("X86_PV_VCPU_")) continue;
    setField(record, VCPU_HEAD, { field: "reserved", value: 7 });
  }
  return encode(plan).bytes;
}

/** Three errors: an END that comes before much of what a guest needs. */
function empty(): Uint8Array {
  const plan = xlPlan(PV64);
  const lacking: readonly string[] = [LIBXC.sharedInfo.name, LIBXC.pageData.name];
  const isVcpu = (name: string): boolean => name.startsWith("X86_PV_VCPU_");
  plan.records = plan.records.filter(({ name }) => !lacking.includes(name) && !isVcpu(name));
  return encode(plan).bytes;
}

function file(folder: TemporaryFolder, bytes: Uint8Array): string {
  const path = join(folder.path, "stream");
  writeFileSync(path, bytes);
  return path;
}

const verify = (...words: string[]) => run(agentCommand("verify", ...words), {});

describe("the exit status", () => {
  test.each([
    // what            words            bytes         status
    ["good", [], GOOD, 0],
    ["good and quiet", ["-q"], GOOD, 0],
    ["cut short", [], CUT, 3],
    ["cut short and quiet", ["-q"], CUT, 3],
    ["suspicious", [], suspicious(), 0],
    ["suspicious and --strict", ["--strict"], suspicious(), 3],
    ["of another format", ["--format", "libxc"], GOOD, 3],
    ["nothing", [], new Uint8Array(0), 3],
    ["an option that is none", ["--fast"], GOOD, 2],
    ["a format that is none", ["--format", "tar"], GOOD, 2],
    ["a rate that is none", ["--rate", "slow"], GOOD, 2],
    ["a limit that is none", ["--limit", "0"], GOOD, 2],
  ] as const)("of a stream that is %s", (_, words, bytes, status) => {
    using folder = temporaryFolder();
    const ran = verify(...words, file(folder, bytes));
    expect(ran.status).toBe(status);
    if (words.some((word) => word === "-q")) expect(ran).toMatchObject({ stdout: "", stderr: "" });
  });

  test("of a file that cannot be opened is 1, of two files 2", () => {
    expect(verify("/nonexistent").status).toBe(1);
    expect(verify("/nonexistent", "/nonexistent").status).toBe(2);
  });

  test("stays when the reader of the output has gone", () => {
    using folder = temporaryFolder();
    for (const [bytes, status] of [
      [GOOD, 0],
      [CUT, 3],
    ] as const) {
      const pipe = makePipe();
      pipe.readEnd[Symbol.dispose]();
      const command = agentCommand("verify", "-v", file(folder, bytes));
      const ran = Bun.spawnSync(command, { stdio: ["ignore", pipe.writeEnd.number, "pipe"] });
      pipe.writeEnd[Symbol.dispose]();
      expect({ status: ran.exitCode, stderr: ran.stderr.toString() }).toEqual({
        status,
        stderr: "",
      });
    }
  });
});

describe("--json", () => {
  test.each([
    ["good", GOOD, 0],
    ["cut short", CUT, 3],
    ["suspicious", suspicious(), 0],
    ["nothing known", new Uint8Array(100).fill(0x20), 3],
  ] as const)("of a stream that is %s is what the schema says", (_, bytes, status) => {
    using folder = temporaryFolder();
    const path = file(folder, bytes);
    const ran = verify("--json", path);
    expect(ran).toMatchObject({ status, stderr: "" });
    const report = v.parse(VerifyReportSchema, JSON.parse(ran.stdout));
    expect(report.input).toBe(path);
    expect(report).toEqual({ ...verifyBytes(bytes, { limit: 100 }), input: path });
  });

  test("prints nothing with -q, and no listing with -v", () => {
    using folder = temporaryFolder();
    const path = file(folder, GOOD);
    expect(verify("--json", "-q", path)).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(() => JSON.parse(verify("--json", "-v", path).stdout)).not.toThrow();
  });
});

describe("--limit", () => {
  test.each([
    ["errors", empty()],
    ["warnings", suspicious()],
  ] as const)("lists so many %s and counts all", (_, bytes) => {
    using folder = temporaryFolder();
    const path = file(folder, bytes);
    const report = (words: string[]) =>
      v.parse(VerifyReportSchema, JSON.parse(verify("--json", ...words, path).stdout));
    const all = report([]);
    expect(all.findings.length).toBe(all.errors + all.warnings);
    expect(all.findings.length).toBeGreaterThan(2);
    const few = report(["--limit", "2"]);
    expect(few.findings).toHaveLength(2);
    expect({ ...few, findings: [] }).toEqual({ ...all, findings: [] });
    const text = verify("--limit", "2", path).stdout;
    expect(text).toContain(`... and ${all.findings.length - 2} more problems: see --limit`);
  });
});

describe("--rate", () => {
  test("from a pipe gives the same verdict", () => {
    using folder = temporaryFolder();
    const words = [file(folder, GOOD), ...agentCommand("verify", "--rate", "1M", "--json", "-")];
    const piped = run(["sh", "-c", 'cat "$0" | "$@"', ...words], {});
    expect(piped).toMatchObject({ status: 0, stderr: "" });
    const wanted = { ...verifyBytes(GOOD, {}), input: "standard input" };
    expect(JSON.parse(piped.stdout)).toEqual(wanted);
  });
});

describe("--idle", () => {
  test("gives every thread the lowest processor priority and the idle I/O class", async () => {
    const child = Bun.spawn(agentCommand("verify", "--idle", "-q", "-"), {
      stdio: ["pipe", "ignore", "ignore"],
    });
    child.stdin.write(GOOD.subarray(0, 1000));
    await child.stdin.flush();
    // It has read what there is and waits for more: then nothing is to come but the priority.
    let found = priorities(child.pid);
    for (let tries = 0; tries < 500 && !found.every((text) => text === IDLE); tries++) {
      await Bun.sleep(10);
      found = priorities(child.pid);
    }
    expect([...new Set(found)]).toEqual([IDLE]);
    child.stdin.write(GOOD.subarray(1000));
    await child.stdin.end();
    expect(await child.exited).toBe(0);
  });
});

const IDLE = "nice 19, I/O class 3";
const SYS_IOPRIO_GET = process.arch === "arm64" ? 31 : 252;
const WHO_PROCESS = 1;
const CLASS_FACTOR = 1 << 13;

/** Of each thread of a process; nothing where it has ended. */
function priorities(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
    const nice = stat.slice(stat.lastIndexOf(")")).split(" ")[17]; // The 19th field of all.
    const io = libc.syscall(SYS_IOPRIO_GET, WHO_PROCESS, Number(thread), 0, 0, 0, 0);
    return `nice ${nice}, I/O class ${Math.floor(io / CLASS_FACTOR)}`;
  });
}

describe("--syslog", () => {
  test.each([
    ["good", GOOD, 30],
    ["cut short", CUT, 27],
  ] as const)(
    "sends the verdict and every problem of a stream that is %s",
    (_, bytes, priority) => {
      using folder = temporaryFolder();
      const socketPath = join(folder.path, "log");
      using log = bindUnix({ path: socketPath, kind: "datagram" });
      const report = verifyBytes(bytes, {});
      expect(sendReportToSyslog({ socketPath, tag: "agent" }, report)).toBeTrue();
      const text = (): string => Buffer.from(receiveDescriptors(log, 10_000)!.bytes).toString();
      const prefix = `<${priority}>agent[${process.pid}]: `;
      expect(text()).toStartWith(`${prefix}${report.verdict}: built: xl save file`);
      expect(text()).toStartWith(`${prefix}${report.records} records, 64 pages sent`);
      for (const { layer, record, field } of report.findings) {
        expect(text()).toStartWith(`${prefix}error    ${layer} ${record}.${field}`);
      }
    },
  );

  test("warns where nobody listens, and keeps verdict and status", () => {
    using folder = temporaryFolder();
    const socketPath = join(folder.path, "absent");
    expect(sendReportToSyslog({ socketPath, tag: "agent" }, verifyBytes(GOOD, {}))).toBeFalse();
    const ran = verify("--syslog", file(folder, GOOD));
    expect(ran.status).toBe(0);
    expect(ran.stdout).toStartWith("good: ");
    expect(["", WARNING]).toContain(ran.stderr); // A host with a log daemon takes the lines.
  });
});

const WARNING = "agent: warning: Cannot send to the system log: nobody listens on /dev/log\n";

// Guests that are frozen and paused go on whatever fails: a real QEMU, an "xl" that does as the
// real one does, and what speaks the guest agent's protocol while the guest's processors
// are not held.

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGroup, groupFromWords, recoverAll } from "../../lib/snapshot/index.ts";
import { eachInAnyCase, goOn } from "../../lib/snapshot/go-on.ts";
import type { PlannedEmulator } from "../../lib/snapshot/group-plan.ts";
import { fileJournal } from "../../lib/snapshot/journal-file.ts";
import { type Monitor, MonitorError } from "../../lib/snapshot/monitor.ts";
import { openMonitor } from "../../lib/snapshot/open-monitor.ts";
import { pause } from "../../lib/snapshot/pause.ts";
import { LIMITS, makeImage, startGuest } from "../helpers/disk-guest.ts";
import { type FakeXl, stageXl } from "../helpers/fake-xl.ts";
import { createOptions, createPlan } from "../helpers/group-samples.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SHORT = { greetingMs: 300, replyMs: 300 } as const;

/** Answers only while `isHeld` says no, as a program in the guest does. */
function startAgent(unix: string, isHeld: () => boolean) {
  let state = "thawed";
  const server = Bun.listen({
    unix,
    socket: {
      data(socket, bytes) {
        if (isHeld()) return;
        for (const line of bytes.toString().trim().split("\n")) {
          const { execute, id, arguments: given } = JSON.parse(line) as Record<string, unknown>;
          if (execute === "guest-fsfreeze-freeze") state = "frozen";
          if (execute === "guest-fsfreeze-thaw") state = "thawed";
          const sync = (given as { readonly id?: number } | undefined)?.id;
          const value = execute === "guest-sync" ? sync : state;
          socket.write(`${JSON.stringify({ return: value, id })}\n`);
        }
      },
    },
  });
  return {
    state: () => state,
    stop: () => server.stop(true),
    [Symbol.dispose]: () => void server.stop(true),
  };
}

const isPaused = (xl: FakeXl) => () => xl.state().includes("p") || xl.state().includes("s");

const emulatorAt = (path: string, agent: string): PlannedEmulator => ({
  name: "hvm40",
  address: { kind: "libxl", domid: 7, path },
  guest_agent: agent,
  was_running: true,
  pauses: true,
  memory: null,
  disks: [],
});

async function messageOf(promise: Promise<void>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("It did not fail");
}

/** A frozen and paused guest. `qmp`: as stageXl takes it, or else that of its QEMU. */
async function stage(folder: string, qmp?: string) {
  const guest = await startGuest({ folder, name: "g", disks: [], isRunning: true });
  const xl = stageXl(folder, qmp ?? guest.qmp);
  const path = join(folder, "agent");
  const agent = startAgent(path, isPaused(xl));
  const emulator = emulatorAt(guest.qmp, path);
  const monitor = await openMonitor({ kind: "qmp", path: guest.qmp }, SHORT);
  await pause({ emulator, monitor, limits: SHORT }, undefined);
  expect([xl.state(), agent.state()]).toEqual(["--p---", "frozen"]);
  return {
    guest,
    xl,
    agent,
    emulator,
    paused: { emulator, monitor, limits: SHORT },
    async [Symbol.asyncDispose]() {
      await monitor.close();
      agent[Symbol.dispose]();
      xl[Symbol.dispose]();
      await guest[Symbol.asyncDispose]();
    },
  };
}

test("a guest that xl paused is thawed after its processors run", async () => {
  using own = temporaryFolder();
  await using on = await stage(own.path);
  await on.guest.monitor.execute("stop"); // As xl save leaves it.
  await goOn(on.paused);
  expect([on.xl.state(), on.agent.state()]).toEqual(["-b----", "thawed"]);
  expect(await on.guest.status()).toBe("running");
});

test("a QEMU that hangs keeps a guest neither paused nor frozen", async () => {
  using own = temporaryFolder();
  await using on = await stage(own.path, "not needed");
  process.kill(on.guest.pid, "SIGSTOP");
  const told = await messageOf(goOn(on.paused));
  expect(told).toMatch(/no (reply|greeting).*: if it is paused, send it cont$/);
  expect([on.xl.state(), on.agent.state()]).toEqual(["-b----", "thawed"]);
  process.kill(on.guest.pid, "SIGCONT");
});

test("a QEMU that is known to be paused and takes no cont is to be sent it", async () => {
  using own = temporaryFolder();
  await using on = await stage(own.path, "not needed");
  await on.guest.monitor.execute("stop");
  const { monitor } = on.paused;
  const refusing: Monitor = {
    name: monitor.name,
    execute(command, given, options) {
      if (command !== "cont") return monitor.execute(command, given, options);
      return Promise.reject(new MonitorError("cont is refused", { failure: "refused" }));
    },
    release: () => monitor.release(),
    close: () => monitor.close(),
  };
  const told = await messageOf(goOn({ ...on.paused, monitor: refusing }));
  expect(told).toBe("cont is refused: send it cont");
  expect([on.xl.state(), on.agent.state()]).toEqual(["-b----", "thawed"]);
});

test("an unpause that fails is told first, then that the guest may be frozen", async () => {
  using own = temporaryFolder();
  await using on = await stage(own.path, join(own.path, "nobody"));
  const told = await messageOf(goOn(on.paused));
  expect(told).toStartWith("xl unpause ended with 1: ");
  expect(told).toContain(": xl unpause 7; Cannot use guest agent");
  expect(told).toEndWith("the guest may be frozen, send it guest-fsfreeze-thaw");

  process.env["QMP_OF_XL"] = on.guest.qmp; // The cause is gone: tried again all of it is done.
  await goOn(on.paused);
  expect([on.xl.state(), on.agent.state()]).toEqual(["-b----", "thawed"]);
});

test("an xl that cannot ask does not say that there is no such guest", async () => {
  using own = temporaryFolder();
  await using on = await stage(own.path);
  process.env["QMP_OF_XL"] = "none of its own";
  const told = await messageOf(goOn(on.paused));
  expect(told).toStartWith("xl list ended with 1: xencall: error: ");
  expect(told).toContain(": xl unpause 7; ");
});

test("a guest that ended needs nothing more", async () => {
  using own = temporaryFolder();
  await using on = await stage(own.path);
  on.agent.stop();
  on.xl.destroy();
  await on.guest.kill();
  await goOn(on.paused);
  await goOn({ ...on.paused, monitor: undefined });
});

test("what a killed xl save left paused and suspended runs again", async () => {
  using own = temporaryFolder();
  await using on = await stage(own.path);
  on.xl.become("--ps--");
  await goOn(on.paused);
  expect([on.xl.state(), on.agent.state()]).toEqual(["-b----", "thawed"]);
});

test("an agent that has gone is told, and is not taken for a guest that has", async () => {
  using own = temporaryFolder();
  const { path: folder } = own;
  const path = join(folder, "agent");
  await using guest = await startGuest({ folder, name: "g", disks: [], isRunning: true });
  const address = { kind: "qmp", path: guest.qmp } as const;
  const monitor = await openMonitor(address, LIMITS);
  const paused = { emulator: { ...emulatorAt("", path), address }, monitor, limits: SHORT };
  using agent = startAgent(path, () => false);
  await pause(paused, undefined);
  agent.stop();
  expect(await messageOf(goOn(paused))).toEndWith("send it guest-fsfreeze-thaw");
  expect(await guest.status()).toBe("running");
  await guest.kill();
  await goOn(paused);
  await monitor.close();
});

test("all that failed is told once, the first first", async () => {
  const done: string[] = [];
  const part = (name: string, failure?: string) => (): Promise<void> => {
    done.push(name);
    return failure === undefined ? Promise.resolve() : Promise.reject(new Error(failure));
  };
  const all = [part("a", "lost"), part("b"), part("c", "lost"), part("d", "silent")];
  expect(await messageOf(eachInAnyCase(all))).toBe("lost; silent");
  expect(done).toEqual(["a", "b", "c", "d"]);
});

test("a group that was cancelled or made leaves the guest running and thawed", async () => {
  using own = temporaryFolder();
  const { path: folder } = own;
  for (const [index, name] of ["good", "interrupted"].entries()) {
    const disks = [{ ...makeImage(join(folder, `${name}.qcow2`), "qcow2"), id: "d" }];
    await using guest = await startGuest({ folder, name, disks, isRunning: true });
    using xl = stageXl(folder, guest.qmp);
    const path = join(folder, `${name}.agent`);
    using agent = startAgent(path, isPaused(xl));
    const spec = groupFromWords([`qmp:${guest.qmp}`]);
    const address = { kind: "libxl", domid: 7, path: guest.qmp } as const;
    const interrupt = new AbortController();
    const { outcome } = await createGroup(
      { ...spec, guests: [{ ...spec.guests[0]!, name, address, guestAgent: path }] },
      createOptions({ pause: true }),
      {
        limits: LIMITS,
        journals: join(folder, "journals"),
        interrupt: interrupt.signal,
        observe(event) {
          const isPause = event.kind === "end" && event.step === `pause ${name}`;
          if (!isPause || event.phase !== "execute") return;
          expect([xl.state(), agent.state()]).toEqual(["--p---", "frozen"]);
          if (name === "interrupted") interrupt.abort(new Error("enough"));
        },
      },
    );
    expect(outcome.result).toBe((["done", "undone"] as const)[index]!);
    expect([xl.state(), agent.state()]).toEqual(["-b----", "thawed"]);
    expect(await guest.status()).toBe("running");
  }
});

/** The journal of a group whose process died. */
async function leave(journals: string, emulator: PlannedEmulator): Promise<void> {
  using journal = fileJournal(journals, createPlan([emulator]));
  await journal.intend();
}

test("recover lets go on what it can while another client has the monitor", async () => {
  using own = temporaryFolder();
  const journals = join(own.path, "journals");
  await using on = await stage(own.path, "not needed");
  await leave(journals, on.emulator);
  const options = { limits: SHORT, journals };
  const [stuck] = await recoverAll(options);
  expect(stuck?.result).toBe("stuck");
  expect(stuck?.actions.join("\n")).toContain("another client has it");
  expect([on.xl.state(), on.agent.state()]).toEqual(["-b----", "thawed"]);

  await on.paused.monitor.release();
  await pause({ ...on.paused, monitor: undefined }, undefined);
  const [good] = await recoverAll(options);
  expect(good).toMatchObject({ result: "finished", actions: ["hvm40: goes on"] });
  expect([on.xl.state(), on.agent.state()]).toEqual(["-b----", "thawed"]);
});

test("recover does not take a guest for paused that it cannot ask", async () => {
  using own = temporaryFolder();
  const journals = join(own.path, "journals");
  await using guest = await startGuest({ folder: own.path, name: "g", disks: [], isRunning: true });
  const address = { kind: "qmp", path: guest.qmp } as const;
  const other = await openMonitor(address, SHORT); // It keeps the monitor.
  await leave(journals, { ...emulatorAt("", ""), address, guest_agent: null, pauses: false });
  const [stuck] = await recoverAll({ limits: SHORT, journals });
  expect(stuck).toMatchObject({ result: "stuck" });
  expect(stuck?.actions).toContain(
    `Cannot use QMP socket "${guest.qmp}": query-status was not asked:` +
      " if it is paused, send it cont",
  );
  expect(await guest.status()).toBe("running");
  await other.close();
});

test("recover keeps its hands off a guest that xl is saving", async () => {
  using own = temporaryFolder();
  const journals = join(own.path, "journals");
  await using on = await stage(own.path);
  await on.paused.monitor.release();
  await on.guest.monitor.execute("stop");
  on.xl.become("---s--");
  await leave(journals, { ...on.emulator, memory: join(own.path, "memory") });
  writeFileSync(join(own.path, "save"), "echo begun; read line\n");
  const save = Bun.spawn(["bash", "-c", "exec -a xl bash save -p 7"], {
    cwd: own.path,
    stdio: ["pipe", "pipe", "inherit"],
  });
  for await (const _ of save.stdout) break;
  const [stuck] = await recoverAll({ limits: SHORT, journals });
  expect(stuck).toMatchObject({
    result: "stuck",
    actions: ["xl save of domain 7 is under way: recover again after it"],
  });
  expect([on.xl.state(), on.agent.state()]).toEqual(["---s--", "frozen"]);
  expect(await on.guest.status()).toBe("paused");
  void save.stdin.end();
  await save.exited;
});

// Guests with a guest agent: frozen before the switch, thawed afterwards, also when something
// fails. What answers here speaks the agent's protocol and freezes nothing: a real one would freeze
// the file systems of this host. QEMU and its disks are real.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { createGroup, groupFromWords } from "../../lib/snapshot/index.ts";
import { LIMITS, makeImage, startGuest } from "../helpers/disk-guest.ts";
import { lookAt } from "../helpers/disk-world.ts";
import { createOptions } from "../helpers/group-samples.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const HOW = ["good", "fails to freeze", "is silent"] as const;

interface Request {
  readonly execute: string;
  readonly id: string;
  readonly arguments?: { readonly id: number };
}

/** Writes down what it is asked. */
function listen(unix: string, how: (typeof HOW)[number], asked: string[]) {
  let state = "thawed";
  const answer = ({ execute, arguments: given }: Request): object => {
    if (execute === "guest-sync") return { return: given?.id };
    if (execute === "guest-fsfreeze-status") return { return: state };
    if (execute === "guest-fsfreeze-freeze" && how === "fails to freeze") {
      return { error: { class: "GenericError", desc: "failed to freeze /" } };
    }
    state = execute === "guest-fsfreeze-freeze" ? "frozen" : "thawed";
    return { return: 1 };
  };
  return Bun.listen({
    unix,
    socket: {
      data(socket, bytes) {
        if (how === "is silent") return;
        for (const line of bytes.toString().trim().split("\n")) {
          const request = JSON.parse(line) as Request;
          if (request.execute !== "guest-sync") asked.push(request.execute);
          socket.write(`${JSON.stringify({ ...answer(request), id: request.id })}\n`);
        }
      },
    },
  });
}

test.each(HOW)("a guest agent that %s", async (how) => {
  using own = temporaryFolder();
  const folder = own.path;
  const disks = [{ ...makeImage(join(folder, "d.qcow2"), "qcow2"), id: "d" }];
  await using guest = await startGuest({ folder, name: "g", disks, isRunning: true });
  const before = await lookAt(folder, [guest]);
  const asked: string[] = [];
  const path = join(folder, "agent.own");
  const server = listen(path, how, asked);
  try {
    const spec = groupFromWords([`qmp:${guest.qmp}`]);
    const { outcome } = await createGroup(
      { ...spec, guests: [{ ...spec.guests[0]!, guestAgent: path }] },
      createOptions({ pause: true }),
      {
        limits: { ...LIMITS, greetingMs: 500 },
        journals: join(folder, "journals"),
        interrupt: undefined,
      },
    );
    const status = "guest-fsfreeze-status";
    const [freeze, thaw] = ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"];
    if (how === "good") {
      expect(outcome.result).toBe("done");
      expect(asked).toEqual([status, freeze, status, thaw]);
    } else {
      expect(outcome.result).toBe(how === "is silent" ? "refused" : "undone");
      expect(outcome.problems[0]?.message).toContain(
        how === "is silent" ? "no reply to guest-sync within 500 ms" : "failed to freeze /",
      );
      expect(await lookAt(folder, [guest])).toEqual(before);
    }
    expect(await guest.status()).toBe("running");
  } finally {
    server.stop(true);
  }
});

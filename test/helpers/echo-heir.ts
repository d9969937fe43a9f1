// A successor of the echo server, good or bad in one of the ways that a new program can be bad.

import { readSync } from "node:fs";
import { RefusedError } from "../../lib/base/index.ts";
import type { Heir, Outcome } from "../../lib/handover/index.ts";
import { type Fd, type Loop } from "../../lib/sys/index.ts";
import { Echo, echoProbe, echoSurvivor } from "./echo-survivor.ts";

/** What a bad new program does; undefined for a good one. */
export type Behaviour = string | undefined;

/** A successor of the server, good or bad. */
export function echoHeir(loop: Loop, behaviour: Behaviour, onServing: (echo: Echo) => void): Heir {
  let echo: Echo | undefined;
  let onServed: (() => void) | undefined;
  const there = (): Echo => {
    if (echo === undefined) throw new RefusedError("Cannot serve: nothing was adopted");
    return echo;
  };
  const die = (): void => void process.kill(process.pid, "SIGKILL");
  const hang = (): never => {
    for (;;) Bun.sleepSync(1000);
  };
  return {
    rehearse(copy) {
      if (behaviour === "exits-loading") process.exit(0);
      if (behaviour === "refuses") throw new RefusedError("Cannot read the copy: it is not mine");
      const text = Buffer.alloc(1000);
      return text.toString("utf8", 0, readSync(copy.number, text, 0, text.length, 0));
    },
    adopt(adoption) {
      if (behaviour === "crashes-adopting") die();
      if (behaviour === "hangs-adopting") hang();
      if (behaviour === "refuses-adopting") throw new RefusedError("Cannot adopt: not mine");
      const { descriptors, touch } = adoption;
      const need = (key: string): Fd => {
        const fd = descriptors.get(key);
        if (fd === undefined) throw new RefusedError(`Cannot adopt: no ${key}`);
        return fd;
      };
      echo = new Echo(loop, {
        arena: need("arena"),
        listener: need("listener"),
        control: need("control"),
      });
      echo.touch = touch;
      echo.adoptConnections(adoption);
      for (const [key, fd] of descriptors) if (key.startsWith("asker")) echo.asker = fd;
      if (behaviour === "wrong-digest") return "0 0 0";
      return echo.digest();
    },
    probe: echoProbe,
    serveProbe(fd) {
      if (behaviour === "wrong-probe") there().probeAnswer = (reply) => reply.fill(7, 8);
      there().addConnection(fd, true);
    },
    serve(outcome) {
      if (behaviour === "crashes-serving") die();
      if (behaviour === "hangs-serving") hang();
      const server = there();
      server.onServed = onServed;
      server.startServing();
      server.tellAsker(outcome satisfies Outcome);
      onServing(server);
      return echoSurvivor(server);
    },
    onFirstServed(report) {
      let isTold = false;
      onServed = () => {
        if (isTold) return;
        isTold = true;
        report();
      };
      loop.after(20, onServed);
    },
  };
}

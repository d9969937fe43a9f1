// From what an operator names (a path, - or a descriptor's number) to an end of a relay.

import { statSync } from "node:fs";
import { UsageError } from "../../base/index.ts";
import {
  abandon,
  createNewFile,
  Fd,
  kindOf,
  openForReading,
  openForWriting,
  shutdownWrites,
  statOf,
} from "../../sys/index.ts";
import type { OwnedEnd } from "./relay-options.ts";
import type { EndState } from "./relay-state.ts";

const DESCRIPTOR_MAX = 0x7fff_ffff;

/** The number that an operand names, or undefined for a path. */
export function descriptorOf(operand: string, standard: number): number | undefined {
  if (operand === "-") return standard;
  if (!/^[0-9]+$/.test(operand)) return undefined;
  const number = Number(operand);
  if (number <= DESCRIPTOR_MAX) return number;
  throw new UsageError(
    `Cannot use descriptor ${operand}: wanted a small number; for a file ./${operand}`,
  );
}

/** An inherited descriptor. Letting go of it keeps its number taken. */
export function inheritedEnd(number: number, name: string, role: "source" | "target"): OwnedEnd {
  const kind = kindOf(statOf(number));
  const fd = new Fd(number, name);
  return {
    fd,
    kind,
    how: "inherited",
    letGo: once(() => {
      // Others may have the socket too, and would keep it open for the peer. Its other direction
      // may still be in use.
      if (role === "target" && kind === "socket") shutdownWrites(fd);
      abandon(number);
    }),
  };
}

/** A descriptor of our own, closed when it is let go. */
export function ownEnd(fd: Fd): OwnedEnd {
  const kind = kindOf(statOf(fd.number));
  return { fd, kind, how: "owned", letGo: once(() => fd[Symbol.dispose]()) };
}

/** What the stream comes from. Throws SystemError or UsageError. */
export function openSourceEnd(operand: string): OwnedEnd {
  const number = descriptorOf(operand, 0);
  if (number === undefined) return ownEnd(openForReading(operand));
  const name = number === 0 ? "standard input" : `descriptor ${number}`;
  return inheritedEnd(number, name, "source");
}

/** Where the stream goes to. A new file appears whole at commit() or not at all. */
export interface TargetEnd {
  readonly end: OwnedEnd;
  commit(): void;
}

/** Throws SystemError, UsageError or RefusedError, before anything has changed. */
export function openTargetEnd(operand: string): TargetEnd {
  const number = descriptorOf(operand, 1);
  if (number !== undefined) {
    const name = number === 1 ? "standard output" : `descriptor ${number}`;
    return { end: inheritedEnd(number, name, "target"), commit() {} };
  }
  const stats = statSync(operand, { throwIfNoEntry: false });
  if (stats !== undefined && !stats.isFile() && !stats.isDirectory()) {
    return { end: ownEnd(openForWriting(operand)), commit() {} };
  }
  const file = createNewFile({ path: operand, existing: "refuse", inputs: [] });
  const end: OwnedEnd = { fd: file.fd, kind: "file", how: "new_file", letGo() {} };
  return { end, commit: () => file.commit() };
}

/** An end of another program before this one. */
export function carriedEnd(
  { name, how, number }: EndState,
  role: "source" | "target",
  take: () => Fd,
): OwnedEnd {
  const fd = number === null ? take() : new Fd(number, name);
  fd.name = name;
  return how === "inherited" ? inheritedEnd(fd.number, name, role) : ownEnd(fd);
}

function once(step: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    step();
  };
}

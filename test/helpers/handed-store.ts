// A store daemon in the middle of everything (a guest on a ring, requests in part, answers nobody
// has read, a transaction, watches), and all that a live update hands over of it: what a successor
// makes of that when some of it is damaged is tried again and again, each time on a copy.

import { writeSync } from "node:fs";
import type { Adoption, Heir } from "../../lib/handover/index.ts";
import {
  FileHypervisor,
  type Hypervisor,
  noHypervisor,
  StoreDaemon,
} from "../../lib/store-daemon/index.ts";
import { storeHeir } from "../../lib/store-daemon/live-heir.ts";
import { encodeLiveParts } from "../../lib/store-daemon/live-parts.ts";
import { rosterOf } from "../../lib/store-daemon/live-survivor.ts";
import {
  createGrowingMemory,
  createMemfd,
  duplicate,
  type Fd,
  type GrowingMemory,
  Loop,
  resizeFile,
  SEAL_MASK,
  sealMemfd,
} from "../../lib/sys/index.ts";
import {
  continueStore,
  encodeState,
  type Host,
  stateOfArena,
  StoreDamagedError,
  type StoreMemory,
  type XenStore,
} from "../../lib/xenstore/index.ts";
import { makeDomain, StoreGuest } from "./store-guest.ts";
import { DaemonHere, request } from "./store-in-process.ts";
import { messageBytes, OP, type OpName } from "./store-wire.ts";
import { temporaryFolder } from "./temporary.ts";

const ARENA_BYTES = 256 * 1024;
const UNREAD = 300;
const EVENTS_PORT = 1;

/** What a successor made of it. */
export type Verdict =
  { readonly kind: "refused"; readonly reason: string } | { readonly kind: "taken" };

export class HandedStore implements Disposable {
  /** The arena's bytes at the moment of the handover. */
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly dump: string;
  readonly difference: Uint8Array;
  /** The sockets alone, for who stands by. */
  readonly roster: Uint8Array;
  private readonly stack = new DisposableStack();
  private readonly loop = this.stack.use(new Loop());
  private readonly shim: string;
  private readonly descriptors: ReadonlyMap<string, Fd>;

  private constructor(parts: {
    readonly shim: string;
    readonly daemon: StoreDaemon;
    readonly arena: GrowingMemory;
  }) {
    const { shim, daemon, arena } = parts;
    this.shim = shim;
    this.bytes = new Uint8Array(arena.buffer.slice(0));
    this.digest = daemon.store.digest();
    this.dump = dumpOf(this.bytes);
    const { clients, events } = daemon.parts();
    const sockets = clients.flatMap(({ connection, socket }) =>
      socket === undefined ? [] : [[`client ${connection}`, socket] as const],
    );
    const keys = new Map(sockets.map(([key]) => [Number(key.slice("client ".length)), key]));
    this.descriptors = new Map(events ? [["events", events.fd], ...sockets] : sockets);
    const keyOf = (connection: number): string | null => keys.get(connection) ?? null;
    const rest = { listeners: [], pid_file: null, asker: null };
    const head = { ...rest, events: ["events", EVENTS_PORT] as [string, number] };
    // No Buffer: a slice() of that is no copy.
    this.difference = new Uint8Array(encodeLiveParts({ clients }, keyOf, head));
    const known = new Set(daemon.allClients().filter(({ socket }) => socket !== undefined));
    this.roster = encodeLiveParts(rosterOf(known), keyOf, head);
  }

  static async make(): Promise<HandedStore> {
    const stack = new DisposableStack();
    const { path: shim } = stack.use(temporaryFolder());
    const arena = stack.use(createGrowingMemory("handed", ARENA_BYTES));
    const here = stack.use(new DaemonHere({ arena, shim, isNew: true }));
    here.daemon.resume();
    makeDomain(shim, 7);
    const [asker, reader] = [stack.use(here.connect()), stack.use(here.connect())];
    asker.send(request("INTRODUCE", 1, "7\x001\x005\0"));
    asker.send(request("WATCH", 2, "/w\0token\0"));
    asker.send(request("WATCH", 3, "@releaseDomain\0gone\0"));
    asker.send(request("WRITE", 4, `/w/child\0${"v".repeat(100)}`));
    asker.send(request("SET_PERMS", 5, "/w/child\0n7\0r0\0"));
    asker.send(request("WRITE", 6, `/big\0${"x".repeat(3000)}`));
    asker.send(request("MKDIR", 7, "/gone\0"));
    asker.send(request("RM", 8, "/gone\0"));
    asker.send(request("SET_TARGET", 9, "7\x000\0"));
    asker.send(request("TRANSACTION_START", 10, "\0"));
    await here.turns();
    const started = asker.messages().find(({ type }) => type === OP.TRANSACTION_START);
    const transaction = Number.parseInt(started?.body ?? "", 10);
    const within = (op: OpName, body: string): Uint8Array =>
      messageBytes({ type: OP[op], request: 20, transaction, body });
    const guest = stack.use(new StoreGuest(shim, 7));
    guest.put(request("WATCH", 1, "device\0token\0"));
    await here.turns();
    asker.send(within("WRITE", "/w/child\0within"));
    asker.send(within("READ", "/none\0"));
    asker.send(request("WRITE", 11, "/w\0value").subarray(0, 20));
    for (let sent = 0; sent < UNREAD; sent++) {
      reader.send(request("READ", sent, "/big\0"));
      // oxlint-disable-next-line no-await-in-loop -- its requests must go in.
      if (sent % 50 === 0) await here.turns(1);
    }
    await here.turns();
    here.daemon.pause();
    const handed = new HandedStore({ shim, daemon: here.daemon, arena });
    handed.stack.use(stack);
    return handed;
  }

  /** Verifies such a copy, as a successor does before anything stops. */
  rehearse(bytes: Uint8Array, length = bytes.length, isSealed = true): Verdict {
    using file = createMemfd("copy");
    if (bytes.length > 0) writeSync(file.number, bytes, 0, bytes.length, 0);
    resizeFile(file, length);
    if (isSealed) sealMemfd(file, SEAL_MASK.shrink);
    return this.judged((heir) => heir.rehearse(file));
  }

  /**
   * Takes over the arena as it is then, at once or having stood by for it while it was undamaged.
   * Behind that, as the old program does when its successor
   * is gone, goes on with what that has left. Both end, one way or the other.
   */
  adopt(bytes: Uint8Array, difference: Uint8Array, roster?: Uint8Array): Verdict {
    using memory = memoryOf(roster === undefined ? bytes : this.bytes);
    const descriptors = new Map<string, Fd>([["arena", memory.fd], ...this.descriptors]);
    const copies = new Map([...descriptors].map(([key, fd]) => [key, duplicate(fd.number, key)]));
    const adoption: Adoption = {
      difference,
      gone: [],
      descriptors: copies,
      touch: () => false,
      touched: new Set(),
      isLastResort: false,
    };
    try {
      return this.judged((heir) => {
        if (roster !== undefined) heir.standBy?.({ ...adoption, difference: roster });
        new Uint8Array(memory.buffer).set(bytes);
        return heir.adopt(adoption);
      });
    } finally {
      for (const daemon of this.made.splice(0)) daemon.letGo();
      for (const one of this.mapped.splice(0)) one[Symbol.dispose]();
      for (const fd of copies.values()) fd[Symbol.dispose]();
      this.continueAlone(memory);
    }
  }
  private readonly made: StoreDaemon[] = [];
  private readonly mapped: GrowingMemory[] = [];

  private continueAlone(memory: GrowingMemory): void {
    try {
      this.daemonOver(memory, noHypervisor(), continueStore).store.digest();
    } catch (error) {
      if (!(error instanceof StoreDamagedError)) throw error;
    }
  }

  private judged(step: (heir: Heir) => string): Verdict {
    const { loop, shim } = this;
    const heir = storeHeir({
      loop,
      makeDaemon: ({ memory, hypervisor }, open) => {
        this.mapped.push(memory);
        const daemon = this.daemonOver(memory, hypervisor, open);
        this.made.push(daemon);
        return daemon;
      },
      openHypervisor: (events) => new FileHypervisor(shim, events?.fd),
      pidFilePath: undefined,
      onServing: () => {
        throw new Error("Nobody serves here");
      },
    });
    try {
      const digest = step(heir);
      if (digest === this.digest) return { kind: "taken" };
      return { kind: "refused", reason: `the digest differs: ${digest}` };
    } catch (error) {
      // As the handover does: a mistake of the new program is a reason like any other.
      return { kind: "refused", reason: (error as Error).message };
    }
  }

  private daemonOver(
    memory: GrowingMemory,
    hypervisor: Hypervisor,
    openStore: (where: StoreMemory, host: Host) => XenStore,
  ): StoreDaemon {
    const nothing = (): void => undefined;
    return new StoreDaemon({
      loop: this.loop,
      hypervisor,
      memory,
      openStore,
      ownDomid: 0,
      eventTimeoutMs: 0,
      control: () => ({ error: "EINVAL" }),
      log: nothing,
      logging: nothing,
      logSwitches: nothing,
    });
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }
}

/** What these bytes hold, as text; "" where they are refused. */
export function dumpOf(bytes: Uint8Array): string {
  try {
    const state = stateOfArena(bytes);
    return Buffer.from(encodeState(state, { format: "json", variant: "c" })).toString("utf8");
  } catch (error) {
    if (!(error instanceof StoreDamagedError)) throw error;
    return "";
  }
}

function memoryOf(bytes: Uint8Array): GrowingMemory {
  const memory = createGrowingMemory("damaged", bytes.length);
  new Uint8Array(memory.buffer).set(bytes);
  return memory;
}

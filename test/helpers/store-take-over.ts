// Updates between the stock xenstore daemons and ours: where our binary stands in a peer's root,
// and clients of all kinds that are looked at after each update.

import { copyFileSync, existsSync, mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "bun:test";
import { compareStates, decodeState } from "../../lib/xenstore/index.ts";
import { builtBinary } from "./binary.ts";
import { agentCommand, run } from "./run.ts";
import { makeDomain, StoreGuest } from "./store-guest.ts";
import { type PeerName, peerRoot, runPeerTool } from "./store-peers.ts";
import { startPeer, type StoreDaemon, type XenVersion } from "./store-peers.ts";
import { StoreSocket } from "./store-socket.ts";
import { messageBytes, OP } from "./store-wire.ts";

const FOLDER = "/opt/agent";
const UNREAD_REPLIES = 200;
const VALUE = "v".repeat(2000);
const HALVES = [7, 20] as const; // In the header of a request, and behind it.

export type Kind = "c" | "oxenstored";

/** Puts our binary into the root of the version; the path of the link there. */
function installedIn(version: XenVersion, kind: Kind): string {
  const folder = join(peerRoot(version), FOLDER);
  const [binary, copy] = [builtBinary(), join(folder, "agent")];
  mkdirSync(folder, { recursive: true });
  const isOld = !existsSync(copy) || statSync(copy).mtimeMs < statSync(binary).mtimeMs;
  if (isOld) copyFileSync(binary, copy);
  const name = kind === "c" ? "xenstored" : "oxenstored";
  if (!existsSync(join(folder, name))) symlinkSync("agent", join(folder, name));
  return join(FOLDER, name);
}

export class TakeOver implements Disposable {
  readonly kind: Kind;
  readonly version: XenVersion;
  readonly daemon: StoreDaemon;
  /** Paths in the daemon's root. */
  readonly ours: string;
  readonly stock: string;
  readonly client: StoreSocket;
  readonly guest: StoreGuest;

  constructor(peer: PeerName) {
    this.kind = peer.startsWith("c") ? "c" : "oxenstored";
    this.version = peer.endsWith("4.17") ? "4.17" : "4.20";
    this.daemon = startPeer(peer);
    this.ours = installedIn(this.version, this.kind);
    const name = this.kind === "c" ? "xenstored" : "oxenstored";
    this.stock = `/usr/lib/xen-${this.version}/bin/${name}`;
    this.client = new StoreSocket(this.daemon.socket);
    makeDomain(this.daemon.shim, 7);
    this.does("INTRODUCE", "7\x00777\x0011\0");
    this.guest = new StoreGuest(this.daemon.shim, 7);
  }

  /** Asks, and is told OK. */
  does(op: keyof typeof OP, body: string): void {
    expect([op, body, this.client.ask(op, body, 0)?.body]).toEqual([op, body, "OK\0"]);
  }

  reads(path: string): string | undefined {
    return this.client.ask("READ", `${path}\0`, 0)?.body;
  }

  /** By the daemon's own live update. */
  control(binary: string, ...words: string[]) {
    const tool = `/usr/lib/xen-${this.version}/bin/xenstore-control`;
    return runPeerTool(this.version, this.daemon.run, [tool, "live-update", ...words, binary]);
  }

  /** By our command, in another process. */
  handBack(...words: string[]) {
    const { socket } = this.daemon;
    const rest = ["--to", this.kind, ...words, socket, this.stock];
    return run(agentCommand("live-update", ...rest), {});
  }

  /** What runs under the pid of the daemon that was started. */
  get program(): string {
    const path = readlinkSync(`/proc/${this.daemon.pid}/exe`);
    return path.slice(path.lastIndexOf("/") + 1);
  }

  dump(name: string): string {
    const path = join(this.daemon.run, name);
    const words = [this.daemon.socket, "--to", path];
    const { status, stderr } = run(agentCommand("store", "dump", ...words), {});
    expect([status, stderr]).toEqual([0, ""]);
    return path;
  }

  [Symbol.dispose](): void {
    this.guest[Symbol.dispose]();
    this.client[Symbol.dispose]();
    this.daemon[Symbol.dispose]();
  }
}

/** Node by node. The C daemon of 4.17 does not tell of @ nodes that were never set. */
export function expectSameStores(a: string, b: string): void {
  const [before, after] = [a, b].map((path) => decodeState(new Uint8Array(readFileSync(path))));
  const found = compareStates(before!.state, after!.state, { hasConnections: false });
  expect(found.filter(({ name }) => !name.startsWith("@"))).toEqual([]);
}

/** Clients in the middle of something: half of a request sent, answers not taken. */
export class Unfinished implements Disposable {
  private readonly halves: readonly StoreSocket[];
  private readonly slow: StoreSocket;
  private readonly path: string;

  constructor(socket: string, path: string) {
    this.path = path;
    this.halves = HALVES.map((count) => {
      const half = new StoreSocket(socket);
      half.sendBytes(this.request.subarray(0, count));
      return half;
    });
    this.slow = new StoreSocket(socket);
    this.slow.ask("WRITE", `${path}\0${VALUE}`, 0);
    for (let count = 0; count < UNREAD_REPLIES; count++) this.slow.send("READ", `${path}\0`, 0);
    this.slow.send("READ", `${path}/none\0`, 0);
  }

  private get request(): Uint8Array {
    return messageBytes({ type: OP.READ, request: 77, transaction: 0, body: `${this.path}\0` });
  }

  /** The rest of the requests is answered, and so is all that had been asked. */
  expectWhole(): void {
    this.halves.forEach((half, index) => {
      half.sendBytes(this.request.subarray(HALVES[index]));
      expect(half.reply(77)).toMatchObject({ type: OP.READ, request: 77, body: VALUE });
    });
    for (let count = 0; count < UNREAD_REPLIES; count++) {
      const reply = this.slow.reply(count + 2);
      expect(reply).toEqual({ type: OP.READ, request: count + 2, transaction: 0, body: VALUE });
    }
    expect(this.slow.reply(0)?.body).toBe("ENOENT\0");
  }

  [Symbol.dispose](): void {
    for (const half of this.halves) half[Symbol.dispose]();
    this.slow[Symbol.dispose]();
  }
}

// Established TCP connections of this process over the loopback, with the descriptors of both ends:
// to be frozen and released by a TCP repair helper.

import { createServer, connect, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { descriptorTarget, openDescriptorNumbers } from "../../lib/sys/index.ts";

export interface TcpPairs extends Disposable {
  /** Descriptors of the connecting ends. */
  readonly clients: readonly number[];
  readonly listener: number;
}

const ESTABLISHED = "01";
const LISTEN = "0A";

/** Inodes of this host's IPv4 sockets in a state, with this local or remote port. */
function inodes(state: string, side: "local" | "remote", port: number): Set<string> {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  const rows = readFileSync("/proc/self/net/tcp", "latin1").trim().split("\n").slice(1);
  const fields = rows.map((row) => row.trim().split(/\s+/));
  const at = side === "local" ? 1 : 2;
  const fit = fields.filter((row) => row[3] === state && row[at]?.endsWith(`:${wanted}`));
  return new Set(fit.map((row) => `socket:[${row[9]}]`));
}

export async function tcpPairs(count: number): Promise<TcpPairs> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const connecting = Array.from({ length: count }, async () => {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    await new Promise<void>((resolve) => void socket.once("connect", resolve));
  });
  await Promise.all(connecting);
  const own = openDescriptorNumbers();
  const among = (found: ReadonlySet<string>): number[] =>
    own.filter((fd) => found.has(descriptorTarget(fd)));
  const [listener = -1] = among(inodes(LISTEN, "local", port));
  return {
    clients: among(inodes(ESTABLISHED, "remote", port)),
    listener,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

// A client of NBD exports that writes one request at a time: "fixed newstyle" without any options.
// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md)

import type { Socket } from "bun";

const OPTION_MAGIC = Buffer.from("IHAVEOPT");
const [REQUEST_MAGIC, REPLY_MAGIC] = [0x25609513, 0x67446698];
const [OPTION_EXPORT_NAME, WRITE, DISCONNECT] = [1, 1, 2];
const FIXED_NEWSTYLE_AND_NO_ZEROES = 3;
const [GREETING_BYTES, EXPORT_BYTES, REPLY_BYTES] = [18, 10, 16];

export interface NbdExport {
  /** Waits until the server has it. */
  write(data: Uint8Array, at: number): Promise<void>;
  /** Tells the server first, which would complain otherwise; to be called between two writes. */
  close(): void;
}

export async function connectNbd(path: string, name: string): Promise<NbdExport> {
  let pending = Buffer.alloc(0);
  let wanted:
    { bytes: number; resolve(found: Buffer): void; reject(error: Error): void } | undefined;
  const serve = (): void => {
    if (wanted === undefined || pending.length < wanted.bytes) return;
    const { bytes, resolve } = wanted;
    wanted = undefined;
    const found = pending.subarray(0, bytes);
    pending = pending.subarray(bytes);
    resolve(found);
  };
  const socket: Socket = await Bun.connect({
    unix: path,
    socket: {
      data(_, bytes) {
        pending = Buffer.concat([pending, bytes]);
        serve();
      },
      close: () => wanted?.reject(new Error("The NBD server has gone")),
    },
  });
  const take = (bytes: number): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      wanted = { bytes, resolve, reject };
      serve();
    });
  await take(GREETING_BYTES);
  const option = Buffer.alloc(4 + 8 + 8);
  option.writeUInt32BE(FIXED_NEWSTYLE_AND_NO_ZEROES, 0);
  OPTION_MAGIC.copy(option, 4);
  option.writeUInt32BE(OPTION_EXPORT_NAME, 12);
  option.writeUInt32BE(name.length, 16);
  socket.write(Buffer.concat([option, Buffer.from(name)]));
  await take(EXPORT_BYTES);
  return {
    async write(data, at) {
      socket.write(Buffer.concat([requestFor(WRITE, at, data.byteLength), data]));
      const reply = await take(REPLY_BYTES);
      if (reply.readUInt32BE(0) === REPLY_MAGIC && reply.readUInt32BE(4) === 0) return;
      throw new Error(`NBD write failed: ${reply.toString("hex")}`);
    },
    close: () => void socket.end(requestFor(DISCONNECT, 0, 0)),
  };
}

function requestFor(command: number, at: number, bytes: number): Buffer {
  const request = Buffer.alloc(28);
  request.writeUInt32BE(REQUEST_MAGIC, 0);
  request.writeUInt16BE(command, 6);
  request.writeBigUInt64BE(BigInt(at), 16);
  request.writeUInt32BE(bytes, 24);
  return request;
}

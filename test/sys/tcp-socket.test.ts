// Listening for TCP connections at numeric addresses.

import { expect, test } from "bun:test";
import { once } from "node:events";
import { connect } from "node:net";
import { acceptUnix, bindTcp, waitReadable, writeFully } from "../../lib/sys/index.ts";

const PORT = 40_000 + (process.pid % 20_000);

test.each(["127.0.0.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"])(
  "listens at %s",
  async (host) => {
    using listener = bindTcp({ host, port: PORT });
    const socket = connect(PORT, host.includes("ffff") ? "127.0.0.1" : host);
    await once(socket, "connect");
    waitReadable(listener);
    using connection = acceptUnix(listener)!; // It is readable: there is one.
    expect(acceptUnix(listener)).toBeUndefined();
    writeFully(connection, new TextEncoder().encode("hello"), 5);
    const [bytes] = (await once(socket, "data")) as [Buffer];
    expect(bytes.toString()).toBe("hello");
    socket.destroy();
  },
);

test("an address that is in use, or not of this host, is an error that names it", () => {
  using _ = bindTcp({ host: "127.0.0.1", port: PORT + 1 });
  const again = () => bindTcp({ host: "127.0.0.1", port: PORT + 1 });
  expect(again).toThrow(`Cannot listen on 127.0.0.1:${PORT + 1}: `);
  expect(again).toThrow("failed with EADDRINUSE");
  expect(() => bindTcp({ host: "2001:db8::1", port: PORT })).toThrow("[2001:db8::1]");
});

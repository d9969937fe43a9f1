// bun echo-server.ts SOCKET: sends back whatever comes, over the event loop that our daemons have.
// What one exchange costs in this runtime when a server does nothing with it.

import {
  acceptUnix,
  bindUnix,
  Loop,
  READY_MASK,
  receiveNow,
  reserve,
  sendNow,
} from "../../lib/sys/index.ts";

const BYTES = 64 * 1024;

const buffer = reserve(BYTES);
using loop = new Loop();
const listener = bindUnix({ path: process.argv[2] ?? "", kind: "stream" });
loop.watch(listener, READY_MASK.readable, () => {
  const fd = acceptUnix(listener);
  if (fd === undefined) return;
  loop.watch(fd, READY_MASK.readable, () => {
    const got = receiveNow(fd.number, buffer.address, BYTES);
    if (got > 0 && sendNow(fd.number, buffer.address, got) > 0) return;
    loop.forget(fd);
    fd[Symbol.dispose]();
  });
});
loop.onSignal("SIGTERM", () => loop.stop());
await loop.run();

// Takes TCP connections on the port of its argument and tells, every few milliseconds, how many
// bytes have come over all of them.

const [port] = process.argv.slice(2);
const TELL_EVERY_MS = 10;
let bytes = 0;
Bun.listen({
  hostname: "127.0.0.1",
  port: Number(port),
  socket: {
    data(_, piece) {
      bytes += piece.byteLength;
    },
  },
});
setInterval(() => process.stdout.write(`bytes ${bytes}\n`), TELL_EVERY_MS);

export {}; // A module: its names are its own.

// Listens where the first word says and sends every client the bytes of the second, in hexadecimal,
// when the client has sent something; then it keeps quiet, or with "close" hangs up.

const [, , path = "", hex = "", then = ""] = process.argv;

Bun.listen({
  unix: path,
  socket: {
    data(socket) {
      socket.write(Buffer.from(hex, "hex"));
      if (then === "close") socket.end();
    },
  },
});
console.log("listening");

// Takes TCP connections on the port of its argument, tells every line that comes with the time, and
// answers "tick N" with "tock N".

const [port] = process.argv.slice(2);
Bun.listen({
  hostname: "127.0.0.1",
  port: Number(port),
  socket: {
    open: () => console.log("connected"),
    data(socket, bytes) {
      const text = bytes.toString();
      process.stdout.write(`${Math.round(performance.now())} ${text}`);
      socket.write(text.replaceAll("tick", "tock"));
    },
    close: () => console.log("closed"),
    error: (_, error) => console.log(`closed: ${error.message}`),
  },
});
console.log("listening");

export {}; // A module: its names are its own.

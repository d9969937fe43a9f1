// Sits in the loop until SIGTERM, then ends with status 7.

import { writeSync } from "node:fs";
import { Loop } from "../../../lib/sys/index.ts";

const loop = new Loop();
loop.onSignal("SIGTERM", () => {
  writeSync(1, "stopped\n");
  loop.stop();
});
writeSync(1, "ready\n");
await loop.run();
loop[Symbol.dispose]();
process.exitCode = 7;

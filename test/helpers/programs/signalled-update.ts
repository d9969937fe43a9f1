// One update of the echo server with a signal in it: signalled-update end|stop WAY ROLE WAKE_UP.
// Ends with status 1, saying why, where something is lost, hangs or serves on.

import { type SignalledUpdate, stoppedForAWhile, toldToEnd } from "../signalled-update.ts";

const [, , what, way, role, wakeUp] = process.argv;
const update = { way, role, wakeUp: Number(wakeUp) } as SignalledUpdate;
await (what === "end" ? toldToEnd(update) : stoppedForAWhile(update));
process.exit(0); // The load's own timer would be waited for.

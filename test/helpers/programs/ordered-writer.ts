// Writes a counter to each of some NBD exports in turn and waits for each write, as fast as it can.
// A line of input is answered with the longest that a write took since the last one, in
// microseconds, and how many rounds there were; the end of input ends it after a whole round.
//
// Arguments: SOCKET EXPORT for each.

import { connectNbd } from "../nbd-client.ts";

const places = process.argv.slice(2);
const exports_ = [];
for (let at = 0; at < places.length; at += 2) {
  exports_.push(await connectNbd(places[at]!, places[at + 1]!)); // Pairs of words.
}

let longestMs = 0;
let rounds = 0;
let isAsked = false;
process.stdin.on("data", () => (isAsked = true));
let isEnded = false;
process.stdin.on("end", () => (isEnded = true));

const sector = Buffer.alloc(512);
for (let counter = 1; !isEnded; counter++) {
  sector.writeBigUInt64BE(BigInt(counter), 0);
  for (const one of exports_) {
    const before = performance.now();
    await one.write(sector, 0);
    longestMs = Math.max(longestMs, performance.now() - before);
    if (!isAsked) continue; // Answered when the write that was under way has ended: it counts.
    console.log(`${Math.round(longestMs * 1000)} ${rounds}`);
    [longestMs, rounds, isAsked] = [0, 0, false];
  }
  rounds++;
}
for (const one of exports_) one.close();

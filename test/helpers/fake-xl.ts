// An "xl" that does as the real one does for an HVM guest: `unpause` tells QEMU to go on first,
// over the one monitor, leaves the guest paused where it is not greeted, and ends with 0 all
// the same. Domain 7 is a file with its state as `xl list` shows it, and nobody without the file.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const XL = `
import { connect } from "node:net";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
const [folder, qmp] = [import.meta.dir, process.env.QMP_OF_XL];
const [word, domain] = process.argv.slice(2);
const become = (state) => writeFileSync(folder + "/state", state);
switch (word) {
case "list":
  if (qmp === "none of its own" || existsSync(folder + "/mute")) {
    console.error("xencall: error: Could not obtain handle on privileged command interface");
    process.exit(1);
  }
  if (!existsSync(folder + "/state")) {
    console.error("Error: Domain '" + domain + "' does not exist.");
    process.exit(1);
  }
  console.log("hvm40  7  39  1  " + readFileSync(folder + "/state", "utf8") + "  1.0");
  break;
case "pause":
  if (qmp !== "ignored") become("--p---");
  break;
case "resume":
  if (qmp === "no resume") {
    console.error("command not implemented");
    process.exit(1);
  }
  if (qmp !== "ignored") become("--p---");
  if (qmp === "mute after resume") writeFileSync(folder + "/mute", "");
  break;
case "unpause": {
  if (qmp === "not needed") {
    become("-b----");
    break;
  }
  const socket = connect(qmp);
  const timer = setTimeout(() => {
    console.error("libxl: error: Domain 7:Timeout waiting for QMP");
    process.exit(0);
  }, 1000);
  socket.once("data", () => {
    clearTimeout(timer);
    become("-b----");
    socket.destroy();
  });
}
}
`;

export interface FakeXl extends Disposable {
  state(): string;
  become(state: string): void;
  /** Ends the domain. */
  destroy(): void;
}

/**
 * In front of PATH. `qmp`: the guest's monitor; "not needed" of a PV guest; "ignored": nothing is
 * paused or resumed; "none of its own": xl cannot reach the hypervisor; "mute after resume": from
 * then on it cannot; "no resume": an xl before 4.20.
 */
export function stageXl(folder: string, qmp: string): FakeXl {
  writeFileSync(join(folder, "xl"), `#!${process.execPath}\n${XL}`, { mode: 0o755 });
  const path = join(folder, "state");
  const become = (state: string): void => writeFileSync(path, state);
  become("-b----");
  const before = process.env["PATH"];
  process.env["PATH"] = `${folder}:${before}`;
  process.env["QMP_OF_XL"] = qmp;
  return {
    state: () => readFileSync(path, "utf8"),
    become,
    destroy: () => rmSync(path),
    [Symbol.dispose]() {
      process.env["PATH"] = before;
      delete process.env["QMP_OF_XL"];
    },
  };
}

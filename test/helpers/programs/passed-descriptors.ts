// Takes the two descriptors it was started with as a service manager's, and says what they are.

import { writeSync } from "node:fs";
import { descriptorTarget, isClosedOnExec, passedDescriptors } from "../../../lib/sys/index.ts";

const environment = {
  LISTEN_FDS: "2",
  LISTEN_PID: String(process.pid),
  LISTEN_FDNAMES: "arena:stored",
};
const passed = passedDescriptors(environment, process.pid).map(({ fd, name }) => [
  name ?? null,
  descriptorTarget(fd.number),
  isClosedOnExec(fd),
]);
writeSync(1, JSON.stringify(passed));

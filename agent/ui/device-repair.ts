// What agent repair tells while it serves: one line an event.

import { plural } from "../../lib/base/index.ts";
import type { RepairEvent } from "../../lib/device/index.ts";
import { errnoName } from "../../lib/sys/index.ts";

const DONE = {
  on: "frozen",
  off: "let go on",
  offWithoutProbe: "let go on without a window probe",
} as const;

const WHY = { not_tcp: "it is not TCP", listening: "it listens" } as const;

export function repairLine(event: RepairEvent): string {
  const { path } = event;
  switch (event.kind) {
    case "connected":
      return `${path}: connected to process ${event.pid} of user ${event.uid}`;
    case "done":
      return `${path}: ${plural(event.count, "socket")} ${DONE[event.command]}`;
    case "failed": {
      const { index, reason, errno, takenBack } = event.failure;
      const why = reason === "kernel" ? `setsockopt: ${errnoName(errno)}` : WHY[reason];
      const back = takenBack === 0 ? "" : `; ${plural(takenBack, "socket")} taken back`;
      const what = `socket ${index} of the batch cannot be ${DONE[event.command]}`;
      return `${path}: ${what}: ${why}${back}`;
    }
    case "refused":
      return event.reason;
    case "closed":
      return `${path}: closed`;
  }
}

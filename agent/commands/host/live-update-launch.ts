// agent live-update-launch: the process between an old program and its successor.

import { runLauncher } from "../../../lib/handover/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";

export async function run({ argv: [settings = ""] }: Invocation): Promise<number> {
  await runLauncher(settings, process.env);
  return EXIT.ok;
}

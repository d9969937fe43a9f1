// The names of other programs that agent takes over: started under them, or with their first words.

import type { CommandModule } from "./command-spec.ts";

export interface DropIn {
  readonly name: string;
  /** First arguments that also mean this program: its caller can name a path and nothing else. */
  readonly firstWords?: readonly string[];
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** Names of other programs that agent takes over when it is started under them (by a link). */
export const DROP_INS: readonly DropIn[] = [
  {
    name: "verify-stream-v2",
    summary: "Xen's stream verifier: its options and exit statuses",
    load: () => import("./commands/stream/verify-stream-v2.ts"),
  },
  {
    name: "convert-legacy-stream",
    firstWords: ["--in"], // As libxl (LIBXL_CONVERT_HELPER) and xenopsd run it.
    summary: "Xen's converter of streams from before 4.6: its options and exit statuses",
    load: () => import("./commands/stream/convert-legacy-stream.ts"),
  },
  {
    name: "libxl-save-helper",
    firstWords: ["--save-domain", "--restore-domain"], // As libxl (LIBXL_SAVE_HELPER) runs it.
    summary: "libxl's save helper: runs the real one and verifies its stream",
    load: () => import("./commands/hook/save-helper.ts"),
  },
  {
    name: "xenstored",
    summary: "the C xenstore daemon: its options, our store",
    load: () => import("./commands/store/xenstored.ts"),
  },
  {
    name: "oxenstored",
    summary: "the OCaml xenstore daemon: its options and its configuration file, our store",
    load: () => import("./commands/store/oxenstored.ts"),
  },
  {
    name: "passt-repair",
    summary: "passt's TCP repair helper, which leaves no connection frozen",
    load: () => import("./commands/device/passt-repair.ts"),
  },
];

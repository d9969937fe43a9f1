// The one table of commands, in groups; drop-in names stand in drop-ins.ts. Help, man page,
// completion and argument parsing are all made from it. A command's own file is loaded only when it
// runs.

import { type CommandSpec, STREAM_FORMATS } from "./command-spec.ts";
import { CHECKPOINT_COMMANDS } from "./tables/checkpoint.ts";
import { DEVICE_COMMANDS } from "./tables/device.ts";
import { RELAY_AND_HOOK_COMMANDS } from "./tables/hook.ts";
import { HOST_COMMANDS } from "./tables/host.ts";
import { SNAPSHOT_COMMANDS } from "./tables/snapshot.ts";
import { STORE_STATE_COMMANDS } from "./tables/store-state.ts";
import { STORE_COMMANDS } from "./tables/store.ts";
import { STREAM_COMMANDS } from "./tables/stream.ts";

export { DROP_INS } from "./drop-ins.ts";
export { PROXY_WAYS } from "./tables/device.ts";
export { RELAY_ON_ERROR } from "./tables/hook.ts";
export { COMPLETION_SHELLS } from "./tables/host.ts";
export { INSPECT_SECTIONS } from "./tables/stream.ts";
export { STREAM_FORMATS };
export type { CommandModule, CommandSpec, Invocation, OptionSpec } from "./command-spec.ts";

/** The first words of names with two words: `agent store serve` stands in the group store. */
export const GROUPS: Readonly<Record<string, string>> = {
  checkpoint: "receive checkpoints, keep them safe, hand them over",
  store: "serve, copy and watch a xenstore",
  snapshot: "snapshots of groups of disks, all or none",
  device: "the state of vhost-user devices",
};

export const COMMANDS: readonly CommandSpec[] = [
  ...STREAM_COMMANDS,
  ...RELAY_AND_HOOK_COMMANDS,
  ...CHECKPOINT_COMMANDS,
  ...STORE_COMMANDS,
  ...STORE_STATE_COMMANDS,
  ...SNAPSHOT_COMMANDS,
  ...DEVICE_COMMANDS,
  ...HOST_COMMANDS,
];

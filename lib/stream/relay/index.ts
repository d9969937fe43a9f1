// What other rooms may use of relay.
export { Capture } from "./capture.ts";
export { pipeForChildren, relayCommand, send, workerEnds } from "./command.ts";
export type { End } from "./channel-options.ts";
export { askByControl } from "./control-client.ts";
export { ControlSocket } from "./control-socket.ts";
export { LIFELINE } from "./lifeline.ts";
export { MessageGate } from "./message-gate.ts";
export type { GatePipe } from "./message-gate.ts";
export { descriptorOf, inheritedEnd, openSourceEnd, openTargetEnd, ownEnd } from "./open-ends.ts";
export type { TargetEnd } from "./open-ends.ts";
export { type CarriedEnds, goOnRelaying } from "./relay-handover.ts";
export type { OnError, OwnedEnd, RelayOptions, RelayResult } from "./relay-options.ts";
export { relayStream } from "./relay.ts";
export { RELAY_KIND, RELAY_STATE_VERSION } from "./relay-state.ts";
export { RelayReportSchema } from "./report.ts";
export type { RelayReport } from "./report.ts";

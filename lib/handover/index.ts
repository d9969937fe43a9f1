// What other rooms may use of handover.
export { heirStep, holderStep, WORD } from "./machine.ts";
export type {
  HeirEffect,
  HeirEvent,
  HeirState,
  HolderEffect,
  HolderEvent,
  HolderState,
} from "./machine.ts";

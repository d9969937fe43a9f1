// agent schema: what the JSON documents of the other commands look like, as JSON Schema.

import * as v from "valibot";
import {
  ConvertReportSchema,
  DiffReportSchema,
  InspectReportSchema,
  RelayReportSchema,
  PackReportSchema,
  SquashReportSchema,
  UnpackReportSchema,
  VerifyReportSchema,
} from "../../../lib/stream/index.ts";
import {
  CheckpointListSchema,
  CheckpointPruneSchema,
  CheckpointReceiveSchema,
  CheckpointRestoreSchema,
  CheckpointVerifySchema,
} from "../../../lib/checkpoint/index.ts";
import {
  DeviceInspectSchema,
  DeviceTransferSchema,
  ProxyStatus,
  SwapReport,
} from "../../../lib/device/index.ts";
import {
  CreateReportSchema,
  DeleteReportSchema,
  ListReportSchema,
  PlanReportSchema,
  RecoverReportSchema,
  RevertReportSchema,
} from "../../../lib/snapshot/index.ts";
import { StoreStatisticsSchema } from "../../../lib/store-daemon/index.ts";
import type { Invocation } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { HookStatusDocument } from "../hook/hook.ts";
import { parseOptions } from "../../options.ts";
import { StoreEventSchema } from "../store/watch.ts";
import { CheckDocument } from "../../ui/check.ts";
import { LiveUpdateDocument } from "../../ui/live-update-report.ts";
import { jsonSchemaOf } from "../../ui/json-schema.ts";
import { print } from "../../ui/output.ts";
import { StoreCopySchema, StoreDiffSchema, StoreLoadSchema } from "../../ui/store-report.ts";

/** Every command with --json, and its document. */
export const DOCUMENTS = {
  check: CheckDocument,
  convert: ConvertReportSchema,
  diff: DiffReportSchema,
  squash: SquashReportSchema,
  hook: HookStatusDocument,
  "live-update": LiveUpdateDocument,
  relay: RelayReportSchema,
  inspect: InspectReportSchema,
  pack: PackReportSchema,
  unpack: UnpackReportSchema,
  verify: VerifyReportSchema,
  "store dump": StoreCopySchema,
  "store convert": StoreCopySchema,
  "store load": StoreLoadSchema,
  "store diff": StoreDiffSchema,
  "store watch": StoreEventSchema,
  "store top": StoreStatisticsSchema,
  "checkpoint list": CheckpointListSchema,
  "checkpoint prune": CheckpointPruneSchema,
  "checkpoint receive": CheckpointReceiveSchema,
  "checkpoint restore": CheckpointRestoreSchema,
  "checkpoint verify": CheckpointVerifySchema,
  "device inspect": DeviceInspectSchema,
  "device save": DeviceTransferSchema,
  "device load": DeviceTransferSchema,
  "device copy": DeviceTransferSchema,
  "device swap": SwapReport,
  "device proxy": ProxyStatus,
  "snapshot create": CreateReportSchema,
  "snapshot delete": DeleteReportSchema,
  "snapshot list": ListReportSchema,
  "snapshot plan": PlanReportSchema,
  "snapshot recover": RecoverReportSchema,
  "snapshot revert": RevertReportSchema,
} as const;
const NAMES = Object.keys(DOCUMENTS) as (keyof typeof DOCUMENTS)[];

const wanted = `wanted one of ${NAMES.join(", ")}`;
const Options = v.strictObject({
  _: v.pipe(
    v.array(v.string()),
    v.transform((words) => words.join(" ")), // Names may have two words.
    v.picklist(NAMES, wanted),
  ),
});

export function run({ argv, spec }: Invocation): number {
  const { _: name } = parseOptions(Options, spec, argv);
  const schema = jsonSchemaOf(`agent ${name} --json`, DOCUMENTS[name]);
  print(`${JSON.stringify(schema, null, 2)}\n`);
  return EXIT.ok;
}

// agent device proxy: between a guest's QEMU and its back end.

import { resolve } from "node:path";
import * as v from "valibot";
import { RefusedError } from "../../../lib/base/index.ts";
import { connectControl, FEATURE_BITS, runProxy } from "../../../lib/device/index.ts";
import { Loop } from "../../../lib/sys/index.ts";
import { type Invocation, PROXY_WAYS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { countOption, parseOptions, switchOption } from "../../options.ts";
import { selfCommand } from "../../self.ts";
import { proxyLine, statusText, updateText } from "../../ui/device-transfer.ts";
import { print, printToStderr } from "../../ui/output.ts";
import { stdoutStyle } from "../../ui/text-layout.ts";
import { versionLine } from "../../version.ts";

const WAIT_MS_DEFAULT = 5000;
const UPDATE_WAIT_MS = 10_000;
const names = Object.keys(FEATURE_BITS).join(", ");

const maskOption = v.pipe(
  v.string(),
  v.transform((text) => text.split(",").map(bitsOf)),
  v.everyItem((bits) => bits !== undefined, `wanted bits as 0x2, or names of ${names}`),
  v.transform((list) => list.reduce<bigint>((sum, bits) => sum | (bits ?? 0n), 0n)),
);

const Options = v.strictObject({
  _: v.strictTuple([], "wanted no operand"),
  listen: v.optional(v.string()),
  backend: v.optional(v.string()),
  control: v.optional(v.string()),
  status: v.optional(v.string()),
  update: v.optional(v.string()),
  binary: v.optional(v.string()),
  way: v.optional(v.picklist(PROXY_WAYS, `wanted ${PROXY_WAYS.join(" or ")}`), "in-place"),
  "dry-run": switchOption,
  "mask-features": v.optional(maskOption, "0x0"),
  "mask-protocol-features": v.optional(maskOption, "0x0"),
  timeout: v.optional(countOption, String(WAIT_MS_DEFAULT)),
  json: switchOption,
  quiet: switchOption,
});

export async function run({ argv, spec, programName }: Invocation): Promise<number> {
  const options = parseOptions(Options, spec, argv);
  const { listen, backend, status, update, timeout: waitMs, json, quiet, ...rest } = options;
  if (status !== undefined) return tellStatus(status, waitMs, json);
  if (update !== undefined) return updateProxy(update, options);
  if (listen === undefined || backend === undefined) {
    throw new RefusedError("Cannot run device proxy: --listen and --backend are needed");
  }
  using loop = new Loop();
  const self = selfCommand();
  await runProxy({
    loop,
    proxy: {
      loop,
      listen: resolve(listen),
      backend: resolve(backend),
      control: resolve(rest.control ?? `${listen}.control`),
      masks: {
        features: rest["mask-features"],
        protocolFeatures: rest["mask-protocol-features"],
      },
      waitMs,
      onEvent(event) {
        if (!quiet) printToStderr(`agent: ${proxyLine(event)}\n`);
      },
    },
    environment: process.env,
    self,
    argv0: programName,
    words: [...spec.name.split(" "), ...argv],
    version: versionLine(),
  });
  return EXIT.ok;
}

function updateProxy(path: string, options: v.InferOutput<typeof Options>): number {
  using control = connectControl(path, UPDATE_WAIT_MS);
  if (control === undefined) {
    throw new RefusedError(
      `Cannot update "${path}": it is no control socket of agent device proxy`,
    );
  }
  const binary = resolve(options.binary ?? process.execPath);
  const way = options.way === "promote" ? "promote" : "in_place";
  const { generation, pause_ms: pause } = control.update({
    binary,
    way,
    dry_run: options["dry-run"],
  });
  print(updateText({ generation, pauseMs: pause }));
  return EXIT.ok;
}

function tellStatus(path: string, waitMs: number, json: boolean): number {
  using control = connectControl(path, waitMs);
  if (control === undefined) {
    throw new RefusedError(`Cannot ask "${path}": it is no control socket of agent device proxy`);
  }
  const { status } = control;
  print(json ? `${JSON.stringify(status)}\n` : statusText(status, stdoutStyle()));
  return EXIT.ok;
}

/** "0x2" or "guest-csum" */
function bitsOf(text: string): bigint | undefined {
  if (/^0x[0-9a-f]{1,16}$/i.test(text)) return BigInt(text);
  const bit = FEATURE_BITS[text];
  return bit === undefined ? undefined : 1n << BigInt(bit);
}

// agent xapi-plugin REQUEST: a xapi plugin. The request is XML-RPC in one argument, the answer one
// response on standard output. xapi looks at the response alone, and takes any status but 0 for a
// plugin that has died: so it is 0 whatever the answer is.
//
//   xe host-call-plugin host-uuid=UUID plugin=agent fn=verify args:path=/path/to/image

import * as v from "valibot";
import { UsageError } from "../../../lib/base/index.ts";
import { failureResponse, parsePluginCall, successResponse } from "../../../lib/hook/index.ts";
import { type Invocation, STREAM_FORMATS } from "../../commands.ts";
import { EXIT } from "../../exit.ts";
import { print } from "../../ui/output.ts";
import { versionLine } from "../../version.ts";
import { verifyOperand } from "../stream/verify.ts";

const FINDINGS_LIMIT = 100;

const VerifyArgs = v.strictObject({
  path: v.pipe(v.string("wanted args:path"), v.startsWith("/", "wanted an absolute args:path")),
  format: v.optional(v.picklist(STREAM_FORMATS, `wanted one of ${STREAM_FORMATS.join(", ")}`)),
});

type PluginFunction = (args: Readonly<Record<string, string>>) => string | Promise<string>;

const FUNCTIONS: Readonly<Record<string, PluginFunction>> = {
  version: () => versionLine(),
  async verify(args) {
    const parsed = v.safeParse(VerifyArgs, args);
    if (!parsed.success) throw new UsageError(parsed.issues[0].message);
    const { path, format } = parsed.output;
    const request = { format, limit: FINDINGS_LIMIT, rate: undefined, showsProgress: false };
    return JSON.stringify(await verifyOperand(path, { ...request, listener: {} }));
  },
};

export async function run({ argv }: Invocation): Promise<number> {
  print(await answer(argv));
  return EXIT.ok;
}

async function answer(argv: readonly string[]): Promise<string> {
  let name = "unknown";
  try {
    const call = parsePluginCall(argv[0] ?? "");
    name = call.name;
    const wanted = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (wanted === undefined) return failureResponse(["UNKNOWN_XENAPI_PLUGIN_FUNCTION", name]);
    return successResponse(await wanted(call.args));
  } catch (error) {
    // As XenAPIPlugin.py tells any exception.
    const [kind, why] = error instanceof Error ? [error.name, error.message] : ["", String(error)];
    return failureResponse(["XENAPI_PLUGIN_FAILURE", name, kind, why]);
  }
}

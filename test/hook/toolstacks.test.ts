// The hooks of xapi and libvirt, installed, and called exactly as their toolstacks call them.

import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VM_HOOKS } from "../../lib/hook/kinds.ts";
import { sampleStream } from "../../lib/stream/index.ts";
import { builtBinary } from "../helpers/binary.ts";
import { libxlRecords, PV64 } from "../helpers/stream-builder.ts";
import { encode } from "../helpers/stream-plan.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const UUID = "5b5dd2a1-7c5b-4b0e-9f0e-2f6a4f1d9c11";

/** A root with the hook in it, whose scripts run `program`. */
function installed(root: string, kind: string, program: string): void {
  const words = ["hook", "install", kind, "--root", root, "--program", program];
  expect(spawnSync(builtBinary(), words).status).toBe(0);
}

function call(path: string, words: readonly string[], options: { input?: string; root?: string }) {
  const { status, stdout, stderr } = spawnSync(path, words, {
    encoding: "utf8",
    input: options.input ?? "",
    env: options.root === undefined ? {} : { AGENT_HOOK_ROOT: options.root },
  });
  return { status, stdout, stderr };
}

// ---- xapi: VM hooks ----------------------------------------------------------------------------

describe("a xapi VM hook", () => {
  test.each([...VM_HOOKS])("%s never stops an operation", (name) => {
    using folder = temporaryFolder();
    installed(folder.path, "xapi", builtBinary());
    const path = join(folder.path, "/etc/xapi.d", name, "50-agent");
    const { status } = call(path, ["-vmuuid", UUID, "-reason", "none", "-vmdomid", "7"], {});
    expect([0, 1]).toContain(status!); // 1: this host has no system log.
  });

  test.each([
    ["arguments that it does not know", ["-vmuuid"]],
    ["none at all", []],
    ["what looks like help", ["-vmuuid", UUID, "-reason", "none", "-x", "--help"]],
  ])("%s are logged, and it goes on", (_, words) => {
    using folder = temporaryFolder();
    installed(folder.path, "xapi", builtBinary());
    const path = join(folder.path, "/etc/xapi.d/vm-pre-start/50-agent");
    expect([0, 1]).toContain(call(path, words, {}).status!);
  });

  test.each([
    ["has been taken off the host", undefined, 0],
    ["crashes", "#!/bin/sh\nkill -SEGV $$\n", 1],
    ["fails with any status", "#!/bin/sh\nexit 70\n", 1],
  ])("an agent that %s does not stop an operation", (_, script, wanted) => {
    using folder = temporaryFolder();
    const program = join(folder.path, "some agent");
    installed(folder.path, "xapi", program);
    if (script !== undefined) writeFileSync(program, script, { mode: 0o755 });
    const path = join(folder.path, "/etc/xapi.d/vm-pre-suspend/50-agent");
    expect(call(path, ["-vmuuid", UUID, "-reason", "suspend"], {}).status).toBe(wanted);
  });
});

// ---- xapi: the plugin --------------------------------------------------------------------------

/** As xapi writes it: one argument, values without a type. */
const request = (name: string, args: Record<string, string>): string =>
  `<?xml version="1.0"?><methodCall><methodName>${name}</methodName><params>` +
  "<param><value>OpaqueRef:1234</value></param><param><value><struct>" +
  Object.entries(args)
    .map(([key, value]) => `<member><name>${key}</name><value>${value}</value></member>`)
    .join("") +
  "</struct></value></param></params></methodCall>";

/** The response as xapi reads it. */
function answered(stdout: string): { status: string; words: string[] } {
  const status = /<name>Status<\/name><value><string>(\w+)<\/string>/.exec(stdout)?.[1] ?? "none";
  const rest = stdout.slice(stdout.indexOf("</member>"));
  const words = [...rest.matchAll(/<string>([^<]*)<\/string>/g)].map(([, text = ""]) =>
    text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&"),
  );
  return { status, words };
}

describe("the xapi plugin", () => {
  function ask(text: string) {
    using folder = temporaryFolder();
    installed(folder.path, "xapi", builtBinary());
    return call(join(folder.path, "/etc/xapi.d/plugins/agent"), [text], {});
  }

  test("verifies a file, and says so in one string", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "a & b <image>");
    writeFileSync(path, sampleStream());
    const escaped = path.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&#62;");
    const { status, stdout } = ask(request("verify", { path: escaped }));
    expect(status).toBe(0);
    const { status: outcome, words } = answered(stdout);
    expect(outcome).toBe("Success");
    expect(JSON.parse(words[0]!)).toMatchObject({ verdict: "good", input: path });
  });

  test("a bad stream is an answer, not a failure", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "image");
    writeFileSync(path, sampleStream().subarray(0, 1000));
    const typed = request("verify", { path: `<string>${path}</string>` });
    const { words } = answered(ask(typed).stdout);
    expect(JSON.parse(words[0]!)).toMatchObject({ verdict: "bad" });
  });

  test("tells its version", () => {
    expect(answered(ask(request("version", {})).stdout).words[0]).toContain("agent ");
  });

  test.each([
    ["an unknown function", request("format", {}), ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "format"]],
    [
      "a name that every object has",
      request("toString", {}),
      ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "toString"],
    ],
    ["no path", request("verify", {}), ["XENAPI_PLUGIN_FAILURE", "verify", "UsageError"]],
    [
      "a path that is not absolute",
      request("verify", { path: "x" }),
      ["XENAPI_PLUGIN_FAILURE", "verify", "UsageError"],
    ],
    [
      "no such file",
      request("verify", { path: "/no/such" }),
      ["XENAPI_PLUGIN_FAILURE", "verify", "SystemError"],
    ],
    ["no request", "hello", ["XENAPI_PLUGIN_FAILURE", "unknown", "RefusedError"]],
  ])("%s is a failure that xapi can show, with status 0", (_, text, description) => {
    const { status, stdout } = ask(text);
    expect(status).toBe(0);
    const { status: outcome, words } = answered(stdout);
    expect(outcome).toBe("Failure");
    expect(words.slice(0, description.length)).toEqual(description);
  });
});

// ---- libvirt -----------------------------------------------------------------------------------

/** What libvirt's libxl driver keeps of a managed save. */
function managedImage(stream: Uint8Array): Uint8Array {
  const xml = new TextEncoder().encode("<domain type='xen'><name>web1</name></domain>\0");
  const header = new Uint8Array(64);
  header.set(new TextEncoder().encode("libvirt-xml\n \0 \r"));
  new DataView(header.buffer).setUint32(16, 2, true);
  new DataView(header.buffer).setUint32(20, xml.byteLength, true);
  return Buffer.concat([header, xml, stream]);
}

describe("the libvirt hook", () => {
  const stream = encode({ records: libxlRecords(PV64) }).bytes;

  function restored(image: Uint8Array | undefined, words: readonly string[]) {
    using folder = temporaryFolder();
    const root = folder.path;
    installed(root, "libvirt", builtBinary());
    const path = join(root, "/var/lib/libvirt/libxl/save/web1.save");
    mkdirSync(dirname(path), { recursive: true });
    if (image !== undefined) writeFileSync(path, image);
    const input = "<domain type='xen'><name>web1</name></domain>".repeat(5000);
    return call(join(root, "/etc/libvirt/hooks/libxl.d/50-agent"), words, { input, root });
  }

  test.each([
    ["prepare", "begin"],
    ["start", "begin"],
    ["started", "begin"],
    ["stopped", "end"],
    ["release", "end"],
    ["migrate", "begin"],
    ["restore", "begin"],
    ["reconnect", "begin"],
  ])("%s %s goes on, and says nothing that libvirt would take for XML", (operation, sub) => {
    const ran = restored(undefined, ["web1", operation, sub, "-"]);
    expect(ran).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  test("a good managed save image may be restored", () => {
    expect(restored(managedImage(stream), ["web1", "restore", "begin", "-"]).status).toBe(0);
  });

  test("a bad one is refused, and other operations are not", () => {
    const image = managedImage(stream.subarray(0, stream.byteLength - 100));
    const refused = restored(image, ["web1", "restore", "begin", "-"]);
    expect(refused.status).toBe(3);
    expect(refused.stderr).toContain("the managed save image is bad");
    expect(restored(image, ["web1", "start", "begin", "-"]).status).toBe(0);
  });

  test.each([
    ["an image of another kind", new Uint8Array(1000), ["web1", "restore", "begin", "-"]],
    ["no arguments", undefined, []],
    ["a domain that is no file name", undefined, ["../web1", "restore", "begin", "-"]],
  ])("%s does not stop anything", (_, image, words) => {
    expect(restored(image, words).status).toBe(0);
  });

  test("an agent that is gone or crashes does not stop anything", () => {
    using folder = temporaryFolder();
    const program = join(folder.path, "agent");
    installed(folder.path, "libvirt", program);
    const path = join(folder.path, "/etc/libvirt/hooks/libxl.d/50-agent");
    expect(call(path, ["web1", "start", "begin", "-"], {}).status).toBe(0);
    writeFileSync(program, "#!/bin/sh\nexit 139\n", { mode: 0o755 });
    expect(call(path, ["web1", "start", "begin", "-"], {}).status).toBe(0);
    rmSync(program);
  });
});

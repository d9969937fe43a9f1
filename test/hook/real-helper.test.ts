// What a call of the save helper says, and where the real one is found.

import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseHelperCall, withIoFd } from "../../lib/hook/helper-call.ts";
import { findRealHelper } from "../../lib/hook/real-helper.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const SAVE = "--save-domain 14 11 1 0 136 0";
const RESTORE = "--restore-domain 12 -1 2 1 0 2 0 768 1";

describe("the arguments that libxl gives", () => {
  test.each([
    [SAVE, { direction: "save", ioFd: 14, backFd: 11, domid: 1, streamType: "plain" }],
    [RESTORE, { direction: "restore", ioFd: 12, backFd: -1, domid: 2, streamType: "remus" }],
    ["--save-domain 14 11 1 0 136 2", { streamType: "colo" }],
  ])("%s", (words, call) => {
    expect(parseHelperCall(words.split(" "))).toMatchObject(call);
  });

  test.each([
    "",
    "--save-domain",
    `${SAVE} 0`,
    "--save-domain 14 11 1 0 136",
    "--save-domain -1 11 1 0 136 0",
    "--save-domain 14 11 1 0 136 3",
    "--save-domain fourteen 11 1 0 136 0",
    "--restore-domain 12 -1 2 1 0 2 0 768",
    "--convert 14 11 1 0 136 0",
  ])("a call of another shape is left to the real helper: %p", (words) => {
    expect(parseHelperCall(words.split(" "))).toBeUndefined();
  });

  test("the stream's descriptor is the only word that changes", () => {
    expect(withIoFd(SAVE.split(" "), 3).join(" ")).toBe("--save-domain 3 11 1 0 136 0");
    expect(withIoFd(RESTORE.split(" "), 3).join(" ")).toBe("--restore-domain 3 -1 2 1 0 2 0 768 1");
  });
});

describe("the real helper", () => {
  function found(files: readonly string[], variable?: string): string {
    using folder = temporaryFolder();
    const root = folder.path;
    for (const path of [...files, "usr/bin/agent"]) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(
        join(root, path),
        path.endsWith("or") ? `${path.includes("maj") ? 4 : 17}\n` : "",
      );
    }
    mkdirSync(join(root, "usr/libexec/xen/bin"), { recursive: true });
    symlinkSync(join(root, "usr/bin/agent"), join(root, "usr/libexec/xen/bin/libxl-save-helper"));
    const environment = {
      AGENT_REAL_SAVE_HELPER: variable === undefined ? undefined : join(root, variable),
    };
    const self = join(root, "usr/bin/agent");
    return findRealHelper({ environment, root, self }).slice(root.length + 1);
  }
  const debian = (version: string): string => `usr/lib/xen-${version}/bin/libxl-save-helper`;
  const running = ["sys/hypervisor/version/major", "sys/hypervisor/version/minor"];

  test.each([
    ["the one of the Xen that runs", [debian("4.17"), debian("4.20"), ...running], debian("4.17")],
    ["else the newest", [debian("4.9"), debian("4.17"), debian("4.20")], debian("4.20")],
    [
      "else the usual folders",
      ["usr/lib/xen/bin/libxl-save-helper"],
      "usr/lib/xen/bin/libxl-save-helper",
    ],
  ])("%s, and never agent itself", (_, files, wanted) => {
    expect(found(files)).toBe(wanted);
  });

  test("is what the variable names, before all others", () => {
    expect(found([debian("4.20"), "opt/helper"], "opt/helper")).toBe("opt/helper");
  });

  test("is told where it was looked for", () => {
    expect(() => found([])).toThrow("Cannot find Xen's own libxl-save-helper: wanted one of ");
    expect(() => found([], "opt/none")).toThrow("that AGENT_REAL_SAVE_HELPER names");
    expect(() => found([], "usr/bin/agent")).toThrow("wanted another program than agent");
  });
});

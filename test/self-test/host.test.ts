// The look around the host, on made-up root folders: the build machine has no Xen.

import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type HostFact, hostFacts } from "../../lib/self-test/index.ts";

const base = mkdtempSync(join(tmpdir(), "agent-host-"));
afterAll(() => rmSync(base, { recursive: true }));

/** A root folder with these files. A path that ends in "/" is a folder. */
function rootWith(name: string, files: Readonly<Record<string, string>>): string {
  const root = join(base, name);
  mkdirSync(root);
  for (const [path, content] of Object.entries(files)) {
    if (path.endsWith("/")) {
      mkdirSync(join(root, path), { recursive: true });
      continue;
    }
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), content);
    if (content === "program") chmodSync(join(root, path), 0o755);
  }
  return root;
}

interface Look {
  readonly root: string;
  readonly path: string;
  readonly version: string | undefined;
}

/** "detail", "absent" or "absent: remark", by name. */
function lookAt({ root, path, version }: Look): Record<string, string> {
  const said = ({ present, detail }: HostFact): string => {
    if (present) return detail ?? "";
    return detail === undefined ? "absent" : `absent: ${detail}`;
  };
  const facts = hostFacts({ root, path, versionOutput: () => version });
  return Object.fromEntries(facts.map((fact) => [fact.name, said(fact)]));
}

test("on an empty host all of Xen and every tool is absent, which is no failure", () => {
  const { kernel, libc, user, ...rest } = lookAt({
    root: rootWith("empty", {}),
    path: "",
    version: undefined,
  });
  expect(kernel).toEndWith(process.arch);
  expect(libc).not.toBe("");
  expect(user).toBe(process.geteuid?.() === 0 ? "root" : `uid ${process.geteuid?.()}, not root`);
  expect(Object.values(rest).filter((said) => said !== "absent")).toEqual([]);
});

test("a Debian dom0 under systemd is recognised", () => {
  const root = rootWith("debian", {
    "/run/systemd/system/": "",
    "/sys/hypervisor/type": "xen\n",
    "/sys/hypervisor/version/major": "4\n",
    "/sys/hypervisor/version/minor": "17\n",
    "/sys/hypervisor/version/extra": ".3\n",
    "/proc/xen/capabilities": "control_d\n",
    "/run/xenstored/socket": "",
    "/dev/xen/privcmd": "",
    "/dev/xen/evtchn": "",
    "/usr/sbin/xl": "program",
    "/usr/lib/xen-4.14/bin/libxl-save-helper": "no longer a program",
    "/usr/lib/xen-4.17/bin/libxl-save-helper": "program",
    "/usr/bin/qemu-img": "program",
  });
  const version = "systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT\n";
  expect(lookAt({ root, path: "/usr/bin:/bin", version })).toMatchObject({
    service_manager: "systemd 252",
    hypervisor: "Xen 4.17.3",
    control_domain: "this is dom0",
    store_socket: "/run/xenstored/socket",
    device_privcmd: "/dev/xen/privcmd",
    device_evtchn: "/dev/xen/evtchn",
    device_gntdev: "absent",
    xl: "/usr/sbin/xl",
    libxl_save_helper: "/usr/lib/xen-4.17/bin/libxl-save-helper",
    qemu_img: "/usr/bin/qemu-img",
    xapi: "absent",
    libvirt: "absent",
  });
});

test("a XenServer dom0 is recognised by its own folders", () => {
  const root = rootWith("xenserver", {
    "/run/systemd/system/": "",
    "/proc/xen/capabilities": "control_d",
    "/proc/1/comm": "systemd\n",
    "/var/run/xenstored/socket": "",
    "/opt/xensource/bin/xapi": "program",
    "/usr/libexec/xen/bin/libxl-save-helper": "program",
    "/usr/lib64/xen/bin/qemu-img": "program",
  });
  expect(lookAt({ root, path: "", version: undefined })).toMatchObject({
    service_manager: "systemd, version unknown",
    hypervisor: "Xen, version unknown (no /sys/hypervisor)",
    control_domain: "this is dom0",
    store_socket: "/var/run/xenstored/socket",
    xapi: "/opt/xensource/bin/xapi",
    libxl_save_helper: "/usr/libexec/xen/bin/libxl-save-helper",
    qemu_img: "/usr/lib64/xen/bin/qemu-img",
  });
});

test.each([
  ["a guest", { "/proc/xen/capabilities": "" }, "absent: this is a guest"],
  ["a host without xenfs", { "/proc/xen/": "" }, "absent: /proc/xen is not mounted"],
  ["another hypervisor", { "/sys/hypervisor/type": "kvm" }, "absent"],
] as const)("%s is not taken for dom0", (name, files, expected) => {
  const look = { root: rootWith(name, files), path: "", version: undefined };
  expect(lookAt(look).control_domain).toBe(expected);
});

test("without systemd the remark names process 1", () => {
  const root = rootWith("sysvinit", { "/proc/1/comm": "init\n" });
  expect(lookAt({ root, path: "", version: "not asked" }).service_manager).toBe(
    "absent: process 1 is init",
  );
});

test("a relative or empty entry of PATH is not searched", () => {
  const root = rootWith("relative", { "/xl": "program", "/tools/xl": "program" });
  const xl = (path: string): string | undefined => lookAt({ root, path, version: undefined }).xl;
  expect(xl("::tools:.")).toBe("absent");
  expect(xl("::/tools")).toBe("/tools/xl");
});

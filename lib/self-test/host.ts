// What there is on this host of the things we work with. Nothing here is a failure: most hosts lack
// most.

import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { libcVersion } from "../sys/index.ts";

export interface HostFact {
  readonly group: "system" | "xen" | "tools";
  /** snake_case: a word of the JSON document. */
  readonly name: string;
  readonly present: boolean;
  /** A path, a version; for something absent a remark, or undefined. */
  readonly detail: string | undefined;
}

export interface HostView {
  /** "/", but in tests. */
  readonly root: string;
  /** $PATH, "" if there is none. */
  readonly path: string;
  /** What `PROGRAM --version` prints, or undefined. */
  versionOutput(program: string): string | undefined;
}

/** Searched besides $PATH: a service often has a short one. */
const PROGRAM_FOLDERS = [
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
  "/usr/local/sbin",
  "/usr/local/bin",
];

/**
 * Where the distributions put the programs that only the toolstack calls; * is one folder's name.
 */
const XEN_PROGRAM_FOLDERS = [
  "/usr/lib/xen-*/bin",
  "/usr/libexec/xen/bin",
  "/usr/lib/xen/bin",
  "/usr/lib64/xen/bin",
  "/usr/local/lib/xen/bin",
  "/usr/local/libexec/xen/bin",
];
const STORE_SOCKETS = ["/run/xenstored/socket", "/var/run/xenstored/socket"];
const XEN_DEVICES = [
  "privcmd",
  "hypercall",
  "evtchn",
  "gntdev",
  "gntalloc",
  "xenbus",
  "xenbus_backend",
];

const TOOLS = [
  { name: "xl", programs: ["xl"], folders: XEN_PROGRAM_FOLDERS },
  { name: "libxl_save_helper", programs: ["libxl-save-helper"], folders: XEN_PROGRAM_FOLDERS },
  { name: "xapi", programs: ["xapi", "xe"], folders: ["/opt/xensource/bin"] },
  { name: "libvirt", programs: ["libvirtd", "virtxend", "virsh"], folders: [] },
  { name: "qemu_img", programs: ["qemu-img"], folders: XEN_PROGRAM_FOLDERS },
  { name: "qemu_storage_daemon", programs: ["qemu-storage-daemon"], folders: XEN_PROGRAM_FOLDERS },
] as const;

export function hostFacts(view: HostView): HostFact[] {
  return [...systemFacts(view), ...xenFacts(view), ...toolFacts(view)];
}

function systemFacts(view: HostView): HostFact[] {
  const user = process.geteuid?.() ?? 0;
  return [
    present("system", "kernel", `${release()} ${process.arch}`),
    present("system", "libc", libcVersion()),
    serviceManager(view),
    present("system", "user", user === 0 ? "root" : `uid ${user}, not root`),
  ];
}

function serviceManager({ root, versionOutput }: HostView): HostFact {
  const name = "service_manager";
  if (existsSync(join(root, "/run/systemd/system"))) {
    // "systemd 252 (252.38-1~deb12u1)", then the compile options.
    const version = /^systemd \S+/.exec(versionOutput("systemctl") ?? "")?.[0];
    return present("system", name, version ?? "systemd, version unknown");
  }
  const first = textOf(join(root, "/proc/1/comm"));
  const remark = first === undefined ? undefined : `process 1 is ${first}`;
  return { group: "system", name, present: false, detail: remark };
}

function xenFacts({ root }: HostView): HostFact[] {
  const socket = STORE_SOCKETS.find((path) => existsSync(join(root, path)));
  const socketFact =
    socket === undefined
      ? absent("xen", "store_socket")
      : present("xen", "store_socket", socket + accessRemark(join(root, socket)));
  return [
    xenFact(root),
    controlDomainFact(root),
    socketFact,
    ...XEN_DEVICES.map((device) => {
      const path = `/dev/xen/${device}`;
      const found = existsSync(join(root, path));
      if (!found) return absent("xen", `device_${device}`);
      return present("xen", `device_${device}`, path + accessRemark(join(root, path)));
    }),
  ];
}

function xenFact(root: string): HostFact {
  const folder = join(root, "/sys/hypervisor");
  if (textOf(join(folder, "type")) === "xen") {
    const [major, minor] = ["major", "minor"].map((part) => textOf(join(folder, "version", part)));
    const extra = textOf(join(folder, "version/extra")) ?? "";
    if (major === undefined) return present("xen", "hypervisor", "Xen, version unknown");
    return present("xen", "hypervisor", `Xen ${major}.${minor}${extra}`);
  }
  if (existsSync(join(root, "/proc/xen"))) {
    return present("xen", "hypervisor", "Xen, version unknown (no /sys/hypervisor)");
  }
  return absent("xen", "hypervisor");
}

/** /proc/xen/capabilities says "control_d" in dom0 and is empty in a guest. */
function controlDomainFact(root: string): HostFact {
  const capabilities = textOf(join(root, "/proc/xen/capabilities"));
  if (capabilities === undefined) {
    const isMounted = existsSync(join(root, "/proc/xen/privcmd"));
    const remark =
      existsSync(join(root, "/proc/xen")) && !isMounted ? "/proc/xen is not mounted" : undefined;
    return { group: "xen", name: "control_domain", present: false, detail: remark };
  }
  if (capabilities.includes("control_d")) return present("xen", "control_domain", "this is dom0");
  return { group: "xen", name: "control_domain", present: false, detail: "this is a guest" };
}

function toolFacts({ root, path }: HostView): HostFact[] {
  const common = [...new Set([...path.split(":"), ...PROGRAM_FOLDERS])].filter((folder) => {
    return folder.startsWith("/"); // An empty or relative entry means the cwd: nothing to rely on.
  });
  return TOOLS.map(({ name, programs, folders }) => {
    const places = [...common, ...folders.flatMap((folder) => expandFolder(root, folder))];
    const found = programs
      .flatMap((program) => places.map((folder) => `${folder}/${program}`))
      .find((candidate) => isExecutable(join(root, candidate)));
    return found === undefined ? absent("tools", name) : present("tools", name, found);
  });
}

/** The folders that a pattern with one "*" in one folder's name stands for, in order. */
function expandFolder(root: string, pattern: string): string[] {
  const star = pattern.indexOf("*");
  if (star === -1) return [pattern];
  const parent = pattern.slice(0, pattern.lastIndexOf("/", star));
  const prefix = pattern.slice(parent.length + 1, star);
  const rest = pattern.slice(star + 1);
  return namesIn(join(root, parent))
    .filter((name) => name.startsWith(prefix))
    .map((name) => `${parent}/${name}${rest}`)
    .toSorted();
}

const present = (group: HostFact["group"], name: string, detail: string): HostFact => ({
  group,
  name,
  present: true,
  detail,
});

const absent = (group: HostFact["group"], name: string): HostFact => ({
  group,
  name,
  present: false,
  detail: undefined,
});

const accessRemark = (path: string): string =>
  mayAccess(path, constants.R_OK | constants.W_OK) ? "" : " (not accessible for this user)";

const isExecutable = (path: string): boolean => mayAccess(path, constants.X_OK);

function mayAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false; // Absent or forbidden: for a look around both are an answer.
  }
}

/** The trimmed text of a small file; undefined when it cannot be read, whatever the reason. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

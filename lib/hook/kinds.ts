// What has to stand where for each kind of hook.
//
//   libxl     LIBXL_SAVE_HELPER and LIBXL_CONVERT_HELPER for whoever uses libxl: operators' shells
//             and remote ones (pam_env reads /etc/environment also for sudo and for the
//             xl migrate-receive that ssh starts), login shells, and the services that save and
//             restore by themselves
//   libvirt   a script in the folder of libvirt's libxl driver
//   xapi      a script for each VM hook, and a plugin
//
// The scripts never let a missing or failing agent stop an operation: agent may be taken off a host
// whose hooks were forgotten.

export const HOOK_KINDS = ["libxl", "xapi", "libvirt"] as const;
export type HookKind = (typeof HOOK_KINDS)[number];

/** In every file of ours. */
export const MARKER = "Placed by agent hook install";

export type Item =
  /** A file of our own. */
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly text: string }
  /** A line in a file that others write too. Another line that begins so is in the way. */
  | {
      readonly kind: "line";
      readonly path: string;
      readonly begins: string;
      readonly line: string;
    };

/** libxl runs what they name; agent tells by the first argument which of them it was. */
const VARIABLES = ["LIBXL_SAVE_HELPER", "LIBXL_CONVERT_HELPER"] as const;
const SERVICES = ["xendomains", "libvirtd", "virtxend"] as const;
const SCRIPT_MODE = 0o755;
const TEXT_MODE = 0o644;

export const VM_HOOKS = [
  "vm-pre-shutdown",
  "vm-pre-migrate",
  "vm-post-migrate",
  "vm-pre-suspend",
  "vm-pre-start",
  "vm-pre-reboot",
  "vm-pre-resume",
  "vm-post-resume",
  "vm-post-destroy",
] as const;

export function itemsOf(kind: HookKind, program: string): readonly Item[] {
  switch (kind) {
    case "libxl":
      return libxlItems(program);
    case "xapi":
      return xapiItems(program);
    case "libvirt":
      return [script("/etc/libvirt/hooks/libxl.d/50-agent", libvirtScript(program), kind)];
  }
}

function libxlItems(program: string): Item[] {
  const settings = VARIABLES.map((name) => `${name}=${program}`);
  const exports = VARIABLES.map((name) => `  export ${name}=${quoted(program)}\n`).join("");
  const lines = settings.map((setting) => `Environment="${setting}"\n`).join("");
  return [
    ...VARIABLES.map((name): Item => ({
      kind: "line",
      path: "/etc/environment",
      begins: `${name}=`,
      line: `${name}=${program}`,
    })),
    {
      kind: "file",
      path: "/etc/profile.d/agent-save-helper.sh",
      mode: TEXT_MODE,
      text: `# ${note("libxl")}\nif [ -x ${quoted(program)} ]; then\n${exports}fi\n`,
    },
    ...SERVICES.map((service): Item => ({
      kind: "file",
      path: `/etc/systemd/system/${service}.service.d/50-agent.conf`,
      mode: TEXT_MODE,
      text: `# ${note("libxl")}\n[Service]\n${lines}`,
    })),
  ];
}

function xapiItems(program: string): Item[] {
  const plugin = `exec ${quoted(program)} xapi-plugin "$@"\n`;
  return [
    script("/etc/xapi.d/plugins/agent", plugin, "xapi"),
    ...VM_HOOKS.map((hook) =>
      script(`/etc/xapi.d/${hook}/50-agent`, vmHookScript(program, hook), "xapi"),
    ),
  ];
}

/** xapi: 0 goes on, 1 is logged and goes on, anything else stops the operation. */
const vmHookScript = (program: string, hook: string): string =>
  `[ -x ${quoted(program)} ] || exit 0\n${quoted(program)} xapi-vm-hook ${hook} "$@" || exit 1\n`;

/** libvirt: anything but 0 stops the operation; 3 is the word of agent that the image is bad. */
const libvirtScript = (program: string): string =>
  `[ -x ${quoted(program)} ] || exit 0\n` +
  `${quoted(program)} libvirt-hook "$@"\n[ $? -ne 3 ] || exit 3\nexit 0\n`;

const script = (path: string, text: string, kind: HookKind): Item => ({
  kind: "file",
  path,
  mode: SCRIPT_MODE,
  text: `#!/bin/sh\n# ${note(kind)}\n${text}`,
});

const note = (kind: HookKind): string =>
  `${MARKER} ${kind}; agent hook remove ${kind} takes it away.`;

/** For a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** What an operator has to do for it to take effect. */
export const AFTERWARDS: Readonly<Record<HookKind, string>> = {
  libxl:
    "New logins have it. For the services: systemctl daemon-reload, then restart libvirtd or " +
    "virtxend (xendomains takes it at its next run)",
  xapi: "It is in effect: xapi looks for hooks and plugins each time",
  libvirt: "Restart libvirtd or virtxend: libvirt looks for hooks when it starts",
};

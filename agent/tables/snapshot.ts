// Commands for snapshots of groups of disks: rows of the one table in commands.ts.

import { type CommandSpec, HELP_OPTION, JSON_OPTION, type OptionSpec } from "../command-spec.ts";

const OPERANDS = "[DISKS...]";
const ABOUT_DISKS =
  "DISKS are qmp:SOCKET, libxl:DOMID or virsh:DOMAIN for the disks of a running guest, and " +
  "qcow2:FILE or raw:FILE for a disk that no guest runs on. --group takes a JSON or TOML file " +
  "instead, with lists [[guest]] (name, one of qmp, libxl, virsh, with uri; disks; guest-agent) " +
  "and [[disk]] (path, format).";

const GROUP: readonly OptionSpec[] = [
  { name: "group", value: "FILE", summary: "read the group from a JSON or TOML file" },
  { name: "disks", value: "NAMES", summary: "only these disks of the one guest" },
];
const SHARED: readonly OptionSpec[] = [
  {
    name: "journals",
    value: "DIR",
    summary: "where groups under way are kept (/var/lib/agent/snapshots)",
  },
  { name: "timeout", value: "SECONDS", summary: "wait so long for a reply of QEMU (30)" },
  JSON_OPTION,
  { name: "quiet", short: "q", summary: "print no result; errors are told" },
  HELP_OPTION,
];
const CREATE: readonly OptionSpec[] = [
  ...GROUP,
  { name: "name", value: "NAME", summary: "name of the snapshot (vm-YYYYMMDDHHMMSS in UTC)" },
  {
    name: "kind",
    value: "KIND",
    choices: ["external", "internal", "clone"],
    summary:
      "overlays (default), inside of the qcow2 images, or reflink copies of stopped raw disks",
  },
  { name: "overlay-dir", value: "DIR", summary: "put new files there, not beside the images" },
  { name: "replace", summary: "new files take the place of files that stand there" },
  { name: "use-existing", summary: "the overlays are there already, made by hand; wants --name" },
  { name: "pause", summary: "stop the guest for the switch even if it is the only one" },
  { name: "memory", value: "DIR", summary: "keep the guests' memory there, of the same moment" },
  {
    name: "update-config",
    value: "FILE",
    summary: "change the disks in that xl config of a stopped guest",
  },
  ...SHARED,
];

export const SNAPSHOT_COMMANDS: readonly CommandSpec[] = [
  {
    name: "snapshot create",
    operands: OPERANDS,
    summary: "snapshot a group of disks at one moment, all or none",
    description: [
      ABOUT_DISKS,
      "Everything is checked before anything is changed, and every reason against it is told. A " +
        "write that followed a write to another disk of the group is never in the snapshot " +
        "without it. Several guests are stopped for the switch, with their file systems frozen " +
        "where there is a guest agent. What fails is undone; what a dead process left, agent " +
        "snapshot recover finishes or undoes. Exit status 4: an operator is needed.",
    ],
    options: CREATE,
    load: () => import("../commands/snapshot/create.ts"),
  },
  {
    name: "snapshot plan",
    operands: OPERANDS,
    summary: "show what snapshot create would do, and every reason against it",
    description: [ABOUT_DISKS, "Nothing is changed. Exit status 1: it would be refused."],
    options: CREATE,
    load: () => import("../commands/snapshot/plan.ts"),
  },
  {
    name: "snapshot list",
    operands: OPERANDS,
    summary: "show the images of a group and their snapshots as a tree",
    description: [
      ABOUT_DISKS,
      "An @ is a snapshot: internal ones stand in an image, external ones between an image and " +
        "the overlay on it. Overlays in the same folders are found from their headers.",
    ],
    options: [...GROUP, ...SHARED],
    load: () => import("../commands/snapshot/list.ts"),
  },
  {
    name: "snapshot delete",
    operands: OPERANDS,
    summary: "delete one snapshot of every disk of a group",
    description: [
      ABOUT_DISKS,
      "Refused unless every disk has the snapshot. What was begun is finished, by agent snapshot " +
        "recover if it must be. An external snapshot goes by commit, which copies the overlay " +
        "into the image below and removes the overlay, or by stream, which copies the image into " +
        "the overlay. Internal ones go by id. A guest may run meanwhile; it stands still for a " +
        "moment where its topmost overlay is removed.",
    ],
    options: [
      ...GROUP,
      { name: "name", value: "NAME", summary: "the snapshot to delete" },
      {
        name: "kind",
        value: "KIND",
        choices: ["external", "internal"],
        summary: "external (default) or internal",
      },
      {
        name: "by",
        value: "JOB",
        choices: ["commit", "stream"],
        summary: "how an external one is merged: commit (default) or stream",
      },
      { name: "id", value: "ID", summary: "which internal one, where several have the name" },
      {
        name: "update-config",
        value: "FILE",
        summary: "change the disks in that xl config of a stopped guest",
      },
      ...SHARED,
    ],
    load: () => import("../commands/snapshot/delete.ts"),
  },
  {
    name: "snapshot revert",
    operands: OPERANDS,
    summary: "take a group of stopped disks back to a snapshot",
    description: [
      ABOUT_DISKS,
      "What was written since is lost. Stop the guest first. External snapshots: a fresh overlay " +
        "takes the place of each disk's topmost image, under the same name, so that no config " +
        "changes; all or none. Internal ones cannot be undone half way: what was begun is " +
        "finished, by agent snapshot recover if it must be.",
    ],
    options: [
      ...GROUP,
      { name: "name", value: "NAME", summary: "the snapshot to go back to" },
      {
        name: "kind",
        value: "KIND",
        choices: ["external", "internal", "clone"],
        summary: "external (default), internal or clone",
      },
      { name: "overlay-dir", value: "DIR", summary: "where the copies of clones are" },
      {
        name: "memory",
        value: "FILE",
        summary: "restore the guest of libxl whose memory the snapshot kept there",
      },
      ...SHARED,
    ],
    load: () => import("../commands/snapshot/revert.ts"),
  },
  {
    name: "snapshot recover",
    operands: "",
    summary: "finish or undo what a dead process or host left of a group",
    description: [
      "Looks at the disks of every journal in --journals: a group of which every disk has its " +
        "snapshot is finished, any other is undone; guests that were stopped for it go on. A " +
        "deletion or a revert that had begun is finished. Exit status 4: something could not be " +
        "decided, and is told.",
    ],
    options: SHARED,
    load: () => import("../commands/snapshot/recover.ts"),
  },
];

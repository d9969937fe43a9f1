// Images as a tree: what lies below comes first, what stands on it is indented.

import type { ListedImage, ListReport } from "../../lib/snapshot/index.ts";
import { formatBytes } from "./numbers.ts";
import { harmless, table, type TextStyle } from "./text-layout.ts";

type Row = readonly [name: string, size: string, used: string, about: string];

export function renderListReport({ images }: ListReport, style: TextStyle): string {
  const roots = images.filter(
    ({ backing }) => backing === null || !images.some(({ path }) => path === backing),
  );
  const rows = roots.flatMap((root) => branch(root, images, { style, prefix: "", lead: "" }));
  const columns = [
    { title: "image" },
    { title: "disk", align: "right", drop: 2 },
    { title: "file", align: "right", drop: 1 },
    { title: "", wrap: true },
  ] as const;
  if (rows.length === 0) return "";
  return `${table(columns, rows, style).join("\n")}\n`;
}

function branch(
  image: ListedImage,
  images: readonly ListedImage[],
  place: { readonly style: TextStyle; readonly prefix: string; readonly lead: string },
): Row[] {
  const { style, prefix, lead } = place;
  const size = image.virtual_bytes === null ? "?" : formatBytes(image.virtual_bytes);
  const isRoot = lead === "";
  const name = isRoot ? image.path : image.path.slice(image.path.lastIndexOf("/") + 1);
  const own: Row = [
    `${lead}${harmless(name)}`,
    size,
    formatBytes(image.used_bytes),
    image.users.join(", "),
  ];
  const [tee, elbow, bar] = style.unicode ? ["├─ ", "└─ ", "│  "] : ["|- ", "`- ", "|  "];
  const inside = image.internal.map((snapshot): Row => {
    const memory = snapshot.memory_bytes > 0 ? formatBytes(snapshot.memory_bytes) : "";
    const title = `${prefix}${bar}@ ${harmless(snapshot.name)}`;
    return [title, "", memory, `internal, id ${snapshot.id}, ${snapshot.made}`];
  });
  const children = images.filter(({ backing }) => backing === image.path);
  const below = children.flatMap((child, index) => {
    const isLast = index === children.length - 1;
    const kept: Row[] =
      child.snapshot === null
        ? []
        : [
            [
              `${prefix}${bar}@ ${harmless(child.snapshot)}`,
              "",
              "",
              `external, ${child.made ?? ""}`,
            ],
          ];
    return [
      ...kept,
      ...branch(child, images, {
        style,
        prefix: `${prefix}${isLast ? "   " : bar}`,
        lead: `${prefix}${isLast ? elbow : tee}`,
      }),
    ];
  });
  return [own, ...inside, ...below];
}

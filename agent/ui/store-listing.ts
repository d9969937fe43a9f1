// What `agent store ls` prints: nodes as xenstore-ls -f has them, byte for byte, so that the two
// can be compared (tools/xs-clients/xenstore_client.c of Xen).

import type { StateNode } from "../../lib/xenstore/index.ts";

const NAMED_ESCAPES: Readonly<Record<number, string>> = {
  0x09: "\\t",
  0x0a: "\\n",
  0x0d: "\\r",
  0x5c: "\\\\",
};
const OCTAL_BELOW = 8;

/** A value in xenstore-ls's quoting: printable ASCII as it is, all else escaped. */
export function quotedValue(value: Uint8Array): string {
  let text = "";
  for (const byte of value) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x5c;
    text += isPlain ? String.fromCharCode(byte) : escaped(byte);
  }
  return text;
}

const escaped = (byte: number): string =>
  NAMED_ESCAPES[byte] ??
  (byte < OCTAL_BELOW
    ? `\\${byte.toString(8).padStart(3, "0")}`
    : `\\x${byte.toString(16).padStart(2, "0")}`);

/** `/tool = ""`, and `   (n0,r5)` behind it where permissions are wanted. */
export function nodeLine(node: StateNode, hasPermissions: boolean): string {
  const line = `${node.path} = "${quotedValue(node.value)}"`;
  if (!hasPermissions) return line;
  const list = node.permissions.map(({ access, domid }) => `${access}${domid}`);
  return `${line}   (${list.join(",")})`;
}

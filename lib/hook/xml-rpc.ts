// As much of XML-RPC as a xapi plugin speaks: the request that xapi gives as one argument, and the
// response on standard output. xapi wraps results and failures in a struct of its own (Status,
// Value or ErrorDescription), whatever XML-RPC has for that.

import { RefusedError } from "../base/index.ts";

export interface PluginCall {
  readonly name: string;
  /** The members of the second parameter; the first is the session. */
  readonly args: Readonly<Record<string, string>>;
}

const ENTITIES: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  amp: "&",
  quot: '"',
  apos: "'",
};

const ENTITY = /&(?:#x([0-9a-f]+)|#([0-9]+)|([a-z]+));/gi;

/** Text between tags. Numbers that are no character, and unknown names, stay as they are. */
function unescaped(text: string): string {
  return text.replaceAll(ENTITY, (whole, hex, decimal, name) => {
    if (typeof name === "string") return ENTITIES[name] ?? whole;
    const code = typeof hex === "string" ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** A value without a type is a string. */
const VALUE = "(?:<string>([^<]*)</string>|<string\\s*/>|([^<]*))";
const MEMBER = new RegExp(
  `<member>\\s*<name>([^<]*)</name>\\s*<value>\\s*${VALUE}\\s*</value>\\s*</member>`,
  "g",
);

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Throws RefusedError for what is not such a request. */
export function parsePluginCall(text: string): PluginCall {
  const name = /<methodCall>\s*<methodName>([^<]*)<\/methodName>/.exec(text)?.[1];
  if (name === undefined) {
    throw new RefusedError("Cannot read the request: wanted an XML-RPC methodCall, found none");
  }
  const args: Record<string, string> = {};
  const struct = /<struct>([^]*)<\/struct>/.exec(text)?.[1] ?? "";
  for (const [, key = "", typed, bare] of struct.matchAll(MEMBER)) {
    args[unescaped(key)] = unescaped(typed ?? bare ?? "");
  }
  return { name: unescaped(name).trim(), args };
}

const stringValue = (text: string): string => `<value><string>${escaped(text)}</string></value>`;
const memberOf = (name: string, value: string): string =>
  `<member><name>${name}</name>${value}</member>`;

const response = (...members: string[]): string =>
  '<?xml version="1.0"?>\n<methodResponse><params><param><value><struct>' +
  `${members.join("")}</struct></value></param></params></methodResponse>\n`;

export const successResponse = (result: string): string =>
  response(memberOf("Status", stringValue("Success")), memberOf("Value", stringValue(result)));

/** The first word is the error's code; xapi shows the others as its parameters. */
export const failureResponse = (description: readonly string[]): string =>
  response(
    memberOf("Status", stringValue("Failure")),
    memberOf(
      "ErrorDescription",
      `<value><array><data>${description.map(stringValue).join("")}</data></array></value>`,
    ),
  );

// The printed JSON Schemas: every command with --json has one, and it says what the document holds.

import { describe, expect, test } from "bun:test";
import { COMMANDS } from "../../agent/commands.ts";
import { DOCUMENTS } from "../../agent/commands/host/schema.ts";
import { type JsonSchema, jsonSchemaOf } from "../../agent/ui/json-schema.ts";
import { agentCommand, run } from "../helpers/run.ts";

describe("agent schema", () => {
  test("knows every command that has --json", () => {
    const withJson = COMMANDS.filter(({ options }) => options.some(({ name }) => name === "json"));
    expect(Object.keys(DOCUMENTS).sort()).toEqual(withJson.map(({ name }) => name).sort());
  });

  test.each(Object.entries(DOCUMENTS))("describes %s down to its leaves", (name, schema) => {
    const document = jsonSchemaOf(name, schema);
    for (const variant of variantsOf(document)) expect(variant).toHaveProperty("type", "object");
    expect(JSON.stringify(document)).not.toContain("undefined");
  });

  test("prints a document's fields with their descriptions", () => {
    const { status, stdout } = run(agentCommand("schema", "verify"), {});
    const { title, properties, required } = JSON.parse(stdout);
    expect({ status, title }).toEqual({ status: 0, title: "agent verify --json" });
    expect(required).toContain("findings");
    expect(properties.records).toEqual({
      type: "integer",
      minimum: 0,
      description: "records of all layers",
    });
    expect(properties.pages.properties.distinct.anyOf[1]).toEqual({ type: "null" });
  });

  test("refuses a command without a document", () => {
    const { status, stderr } = run(agentCommand("schema", "sample"), {});
    const names = Object.keys(DOCUMENTS).join(", ");
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `agent: Cannot run schema: operands: wanted one of ${names}\n`,
    });
  });
});

/** A document may be one of several objects, told apart by a field. */
function variantsOf(schema: JsonSchema): readonly JsonSchema[] {
  if (!("anyOf" in schema)) return [schema];
  return (schema.anyOf as readonly JsonSchema[]).flatMap(variantsOf);
}

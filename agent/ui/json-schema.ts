// JSON Schema (draft 2020-12) from the valibot schemas of our JSON documents: what a program that
// reads `--json` can rely on. Knows the kinds of schema that the documents use, and no others.

import { assert } from "../../lib/base/index.ts";

/** The parts of a valibot schema that are looked at. */
interface SchemaNode {
  readonly type: string;
  readonly entries?: Readonly<Record<string, SchemaNode>>;
  readonly item?: SchemaNode;
  readonly items?: readonly SchemaNode[];
  readonly key?: SchemaNode;
  readonly value?: SchemaNode;
  readonly wrapped?: SchemaNode;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
  readonly pipe?: readonly PipeItem[];
}
interface PipeItem {
  readonly kind: string;
  readonly type: string;
  readonly requirement?: unknown;
  readonly description?: string;
}
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The whole document's schema. */
export const jsonSchemaOf = (title: string, schema: unknown): JsonSchema => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title,
  ...convert(schema as SchemaNode),
});

function convert(node: SchemaNode): JsonSchema {
  const description = node.pipe?.findLast(({ type }) => type === "description")?.description;
  return { ...core(node), ...(description === undefined ? {} : { description }) };
}

function core(node: SchemaNode): JsonSchema {
  switch (node.type) {
    case "string":
    case "boolean":
    case "null":
      return { type: node.type };
    case "number":
      return number(node);
    case "picklist":
      return { enum: node.options };
    case "literal":
      return { const: node.literal };
    case "nullable": {
      assert(node.wrapped, "a nullable schema wraps another");
      return { anyOf: [convert(node.wrapped), { type: "null" }] };
    }
    case "array":
      assert(node.item, "an array schema has an item");
      return { type: "array", items: convert(node.item) };
    case "tuple":
    case "strict_tuple":
      return { type: "array", prefixItems: (node.items ?? []).map(convert) };
    case "record":
      assert(node.value, "a record schema has a value");
      return { type: "object", additionalProperties: convert(node.value) };
    case "union":
    case "variant":
      return { anyOf: (node.options as readonly SchemaNode[]).map(convert) };
    case "object":
    case "strict_object":
    case "loose_object":
      return object(node);
    default:
      assert(false, `json-schema: a case for the schema type ${node.type}`);
  }
}

function number({ pipe = [] }: SchemaNode): JsonSchema {
  const isInteger = pipe.some(({ type }) => type === "integer");
  const minimum = pipe.find(({ type }) => type === "min_value")?.requirement;
  const type = isInteger ? "integer" : "number";
  return minimum === undefined ? { type } : { type, minimum };
}

/** Fields may be added in later versions, so a reader must allow others. */
function object({ entries = {} }: SchemaNode): JsonSchema {
  const names = Object.keys(entries).filter((name) => entries[name]!.type !== "optional");
  const properties = Object.fromEntries(
    Object.entries(entries).map(([name, entry]) => {
      return [name, convert(entry.type === "optional" ? entry.wrapped! : entry)];
    }),
  );
  return { type: "object", properties, required: names };
}

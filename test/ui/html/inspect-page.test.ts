// The page of agent inspect as text: complete, well-formed, harmless, small.

import { describe, expect, test } from "bun:test";
import { renderInspectPage } from "../../../agent/ui/inspect-page/page.ts";
import { inspectBytes, inspectPlan } from "../../helpers/inspect-bytes.ts";
import { ATTACK, attackedReport, hugeReport, smallReport } from "../../helpers/inspect-reports.ts";
import { VALID_PLANS } from "../../helpers/stream-builder.ts";

const PAGES = {
  "a PV guest": renderInspectPage(smallReport("pv")),
  "an HVM guest": renderInspectPage(smallReport("hvm")),
  "a stranger": renderInspectPage(inspectBytes(new Uint8Array(100).fill(7), {})),
  "an empty file": renderInspectPage(inspectBytes(new Uint8Array(0), {})),
  "a guest of 64 GiB": renderInspectPage(hugeReport()),
  "an attack": renderInspectPage(attackedReport(smallReport("hvm"))),
} as const;
const EACH = Object.entries(PAGES);

interface Tag {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** The tags as a parser of HTML finds them. */
async function tagsOf(page: string): Promise<Tag[]> {
  const tags: Tag[] = [];
  const rewriter = new HTMLRewriter().on("*", {
    element: ({ tagName: name, attributes }) => {
      tags.push({ name, attributes: new Map(attributes as Iterable<[string, string]>) });
    },
  });
  await rewriter.transform(new Response(page)).text();
  return tags;
}

describe.each(EACH)("the page of %s", (_, page) => {
  test("loads nothing, and has no style or handler in an attribute", async () => {
    for (const { name, attributes } of await tagsOf(page)) {
      for (const [attribute, value] of attributes) {
        const tag = `${name} ${attribute}`;
        expect(["src", "srcset", "data", "action", "style", "ping"]).not.toContain(attribute);
        expect(attribute).not.toStartWith("on");
        if (attribute === "href" && !value.startsWith("#")) throw new Error(`${tag}: ${value}`);
      }
      expect(["img", "link", "iframe", "object", "embed", "base", "form", "image"]).not.toContain(
        name,
      );
    }
  });

  test("has one style sheet and one script, and a policy that names them by hash", () => {
    expect(page.match(/<style/g)).toHaveLength(1);
    expect(page.match(/<script/g)).toHaveLength(1);
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)?.[1];
    const [style, script] = ["style", "script"].map((name) => {
      const text = new RegExp(`<${name}>([^]*?)</${name}>`).exec(page)?.[1] ?? "";
      return `'sha256-${new Bun.CryptoHasher("sha256").update(text).digest("base64")}'`;
    });
    expect(policy).toBe(
      `default-src 'none'; style-src ${style}; script-src ${script}; ` +
        "base-uri 'none'; form-action 'none'",
    );
  });

  test("has a language, one h1, and headings that skip no level", async () => {
    const tags = await tagsOf(page);
    expect(tags.find(({ name }) => name === "html")?.attributes.get("lang")).toBe("en");
    const levels = tags.flatMap(({ name }) => /^h([1-6])$/.exec(name)?.[1] ?? []).map(Number);
    expect(levels[0]).toBe(1);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    for (const [index, level] of levels.entries()) {
      expect(level - (levels[index - 1] ?? 0)).toBeLessThanOrEqual(1);
    }
  });

  test("names an id once, and refers only to those that exist", async () => {
    const tags = await tagsOf(page);
    // As text: the parser takes the rest of a drawing's <title> for its content.
    const ids = [...page.matchAll(/<[^>]* id="([^"]*)"/g)].map(([, id = ""]) => id);
    expect(ids.length).toBe(new Set(ids).size);
    const known = new Set(ids);
    for (const { attributes } of tags) {
      for (const name of ["aria-labelledby", "aria-describedby"]) {
        for (const id of attributes.get(name)?.split(" ") ?? []) expect(known).toContain(id);
      }
      const href = attributes.get("href");
      if (href !== undefined) expect(known).toContain(href.slice(1));
    }
  });

  test("gives every drawing a name or hides it, and every column a head", async () => {
    const tags = await tagsOf(page);
    for (const { attributes } of tags.filter(({ name }) => name === "svg")) {
      const isNamed = attributes.get("role") === "img" && attributes.has("aria-labelledby");
      expect(isNamed || attributes.get("aria-hidden") === "true").toBe(true);
    }
    for (const { attributes } of tags.filter(({ name }) => name === "th")) {
      expect(["col", "row"]).toContain(attributes.get("scope")!);
    }
    const count = (wanted: string): number => tags.filter(({ name }) => name === wanted).length;
    expect(count("caption")).toBe(count("table"));
  });
});

describe("what is on the page", () => {
  test.each([
    ["a PV guest", ["memory", "iterations", "bytes", "records", "vcpus", "policy", "config"]],
    [
      "an HVM guest",
      [
        "memory",
        "iterations",
        "bytes",
        "records",
        "devices",
        "vcpus",
        "platform",
        "policy",
        "config",
      ],
    ],
    ["a stranger", []],
    ["an empty file", []],
  ] as const)("%s: the sections %j", async (name, wanted) => {
    const tags = await tagsOf(PAGES[name]);
    const sections = tags.filter((tag) => tag.name === "section");
    expect(sections.map(({ attributes }) => attributes.get("id")!)).toEqual([...wanted]);
  });

  test("a stranger is said to be none of ours", () => {
    expect(PAGES["a stranger"].includes("Not a guest-state stream")).toBe(true);
    expect(PAGES["a stranger"].includes("Not read: no stream")).toBe(true);
  });

  test("a stream that was cut says where, and shows what could be read", () => {
    const whole = smallReport("pv");
    const stopped = {
      offset: 0x1234,
      truncated: true,
      layer: "libxc",
      record: "PAGE_DATA",
      record_number: 9,
      field: "body",
      expected: "4096 bytes",
      found: "the end of the input after 7 bytes",
    };
    const page = renderInspectPage({ ...whole, complete: false, stopped }).replaceAll(/\s+/g, " ");
    for (const words of [
      "<b>Cut short at 0x1234.</b> What is below was read up to there.",
      "libxc PAGE_DATA.body (record 9): expected 4096 bytes, found the end",
      'id="map-types-t"',
    ]) {
      expect({ words, isThere: page.includes(words) }).toEqual({ words, isThere: true });
    }
  });

  test("without page contents it says how to get them", () => {
    const whole = smallReport("pv");
    const map = { ...whole.memory.map!, zero: null, duplicate: null };
    const page = renderInspectPage({ ...whole, contents: null, memory: { ...whole.memory, map } });
    expect(page.includes("<code>--contents</code>")).toBe(true);
  });

  test("pfns that are too scattered for a map are no failure", () => {
    const whole = smallReport("pv");
    const memory = { ...whole.memory, map: null, pfns: null, populated_pfns: null };
    expect(renderInspectPage({ ...whole, memory }).includes("There is no map")).toBe(true);
  });
});

describe("streams of every kind", () => {
  test.each(Object.entries(VALID_PLANS))(
    "%s: every part has a place and a name of its own",
    (_, plan) => {
      const page = renderInspectPage(inspectPlan(plan(), { contents: true }));
      const ids = [...page.matchAll(/<[^>]* id="([^"]*)"/g)].map(([, id = ""]) => id);
      expect(ids.length).toBe(new Set(ids).size);
      const body = page.slice(page.indexOf("<body>"), page.indexOf("<script>"));
      expect(/.{0,60}(undefined|NaN|Infinity|\[object).{0,20}/.exec(body)).toBeNull();
    },
  );

  test("two vCPUs of one number are two", () => {
    const whole = smallReport("hvm");
    const page = renderInspectPage({ ...whole, vcpus: [whole.vcpus[0]!, whole.vcpus[0]!] });
    const ids = [...page.matchAll(/<[^>]* id="([^"]*)"/g)].map(([, id = ""]) => id);
    expect(ids.length).toBe(new Set(ids).size);
  });
});

describe("a hostile stream", () => {
  test("adds no tag, and its words stand as they are", async () => {
    const attacked = (await tagsOf(PAGES["an attack"])).map(({ name }) => name);
    const known = new Set((await tagsOf(PAGES["an HVM guest"])).map(({ name }) => name));
    for (const name of attacked) expect(known).toContain(name);
    expect(PAGES["an attack"].split("&lt;img src=x onerror=&quot;").length).toBeGreaterThan(50);
    expect(PAGES["an attack"].includes(ATTACK.slice(0, 17))).toBe(false);
    expect(/[\0\u202e]/.test(PAGES["an attack"])).toBe(false);
  });

  test("cannot make the page grow without bound", () => {
    const whole = smallReport("hvm");
    const long = "<".repeat(5_000_000);
    const settings = Array.from({ length: 4096 }, () => ({ name: "<".repeat(256), value: long }));
    const config = { ...whole.config!, text: long, settings };
    const xenstore = settings.map(({ name, value }) => ({ key: name, value }));
    const page = renderInspectPage({ ...whole, config, xenstore, input: long });
    expect(page.length).toBeLessThan(1_500_000);
  });
});

describe("the size of the page", () => {
  test.each([
    ["a PV guest", 150_000],
    ["a guest of 64 GiB", 1_000_000],
  ] as const)("of %s is below %d bytes", (name, most) => {
    expect(new TextEncoder().encode(PAGES[name]).length).toBeLessThan(most);
  });

  test("is made of few elements, also for a guest of 64 GiB", async () => {
    expect((await tagsOf(PAGES["a guest of 64 GiB"])).length).toBeLessThan(40_000);
  });
});

// The page of agent inspect in a real browser: what it loads, how it looks on a laptop and a phone,
// light and dark, and what can be done with a keyboard and told to a screen reader.
//
// With AGENT_TEST_SCREENSHOTS naming a folder, what was seen is kept there.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderInspectPage } from "../../agent/ui/inspect-page/page.ts";
import type { InspectReport } from "../../lib/stream/inspect/index.ts";
import { Browser, CHROMIUM, type Screen, type Tab } from "../helpers/browser.ts";
import { inspectBytes } from "../helpers/inspect-bytes.ts";
import { attackedReport, hugeReport, smallReport } from "../helpers/inspect-reports.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const LAPTOP: Screen = { width: 1440, height: 900, scheme: "light", isPhone: false };
const PHONE: Screen = { width: 390, height: 844, scheme: "light", isPhone: true };
const SCREENS = [
  ["a laptop, light", LAPTOP],
  ["a laptop, dark", { ...LAPTOP, scheme: "dark" }],
  ["a phone, light", PHONE],
  ["a phone, dark", { ...PHONE, scheme: "dark" }],
] as const satisfies readonly (readonly [string, Screen])[];

const REPORTS: Readonly<Record<string, InspectReport>> = {
  pv: smallReport("pv"),
  hvm: smallReport("hvm"),
  stranger: inspectBytes(new Uint8Array(100).fill(7), {}),
  attack: attackedReport(smallReport("hvm")),
  huge: hugeReport(),
};

const browserTest = test.skipIf(CHROMIUM === null);
const KEPT = process.env["AGENT_TEST_SCREENSHOTS"];
const reason = CHROMIUM === null ? " (skipped: there is no chromium)" : "";

describe(`the page of agent inspect in a browser${reason}`, () => {
  const folder = temporaryFolder();
  let browser: Browser;

  beforeAll(async () => {
    if (CHROMIUM === null) return;
    for (const [name, report] of Object.entries(REPORTS)) {
      writeFileSync(join(folder.path, `${name}.html`), renderInspectPage(report));
    }
    browser = await Browser.start();
  }, 30_000);
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const addressOf = (name: string): string =>
    Bun.pathToFileURL(join(folder.path, `${name}.html`)).href;
  const open = (name: string, screen: Screen): Promise<Tab> =>
    browser.open(addressOf(name), screen);

  describe.each(SCREENS)("on %s", (what, screen) => {
    browserTest.each(Object.keys(REPORTS))(
      "%s loads alone, without a complaint, and fits",
      async (name) => {
        const tab = await open(name, screen);
        expect(tab.requests).toEqual([addressOf(name)]);
        const wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        expect(await tab.evaluate<number>(wider)).toBe(0);
        expect(tab.complaints).toEqual([]);
        if (KEPT !== undefined) {
          mkdirSync(KEPT, { recursive: true });
          const height = await tab.evaluate<number>("document.documentElement.scrollHeight");
          const picture = { top: 0, width: screen.width, height: Math.min(height, 8000) };
          writeFileSync(join(KEPT, `${name}, ${what}.png`), await tab.screenshot(picture));
        }
      },
    );

    browserTest("every text has the contrast that it needs", async () => {
      const tab = await open("hvm", screen);
      expect(await tab.evaluate<string[]>(PALE_TEXTS)).toEqual([]);
    });
  });

  browserTest("a large page is there and answers in less than two seconds", async () => {
    const started = performance.now();
    const tab = await open("huge", LAPTOP);
    await tab.evaluate(`${sortButton("passes-table", "Pages")}.click()`);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  browserTest("a table is sorted by its buttons, with a keyboard, and says so", async () => {
    const tab = await open("hvm", LAPTOP);
    const offsets = `[...document.querySelectorAll("#records-table tbody tr")]
      .map((row) => Number(row.cells[3].dataset.v ?? row.cells[3].textContent))`;
    const before = await tab.evaluate<number[]>(offsets);
    await tab.evaluate(`${sortButton("records-table", "Size")}.focus()`);
    const sorted = before.toSorted((left, right) => left - right);
    for (const [key, order, wanted] of [
      ["Enter", "ascending", sorted],
      ["Space", "descending", sorted.toReversed()],
      ["Enter", "none", before],
    ] as const) {
      await tab.press(key);
      const head = `${sortButton("records-table", "Size")}.closest("th")`;
      expect(await tab.evaluate<string>(`${head}.getAttribute("aria-sort")`)).toBe(order);
      expect(await tab.evaluate<number[]>(offsets)).toEqual(wanted);
      const said = `document.querySelector("#records-table [role=status]").textContent`;
      expect(await tab.evaluate<string>(said)).toMatch(/Size, (a|de)scending|order of the stream/);
    }
  });

  browserTest("a table is searched by typing, and Escape shows all again", async () => {
    const tab = await open("hvm", LAPTOP);
    const shown = `[...document.querySelectorAll("#records-table tbody tr:not([hidden])")]
      .map((row) => row.cells[0].textContent.trim())`;
    const all = await tab.evaluate<string[]>(shown);
    await tab.evaluate(`document.querySelector("#records-table input").focus()`);
    await tab.press("emulator");
    const wanted = all.filter((name) => name.includes("EMULATOR"));
    expect(wanted.length).toBeGreaterThan(0);
    expect(await tab.evaluate<string[]>(shown)).toEqual(wanted);
    await tab.press("Escape");
    expect(await tab.evaluate<string[]>(shown)).toEqual(all);
  });

  browserTest("the map is gone through with the arrow keys", async () => {
    const tab = await open("pv", LAPTOP);
    await tab.evaluate(`document.querySelector(".probe input").focus()`);
    const said = `document.querySelector(".probe output").textContent`;
    expect(await tab.evaluate<string>(said)).toStartWith("pfns 0x0 to 0x0, from 0 B: ");
    await tab.press("ArrowRight");
    expect(await tab.evaluate<string>(said)).toStartWith("pfns 0x1 to 0x1, from 4.0 KiB: ");
    await tab.press("End");
    expect(await tab.evaluate<string>(said)).toStartWith("pfns 0x3f to 0x3f, from 252 KiB: ");
    const cursor = `document.querySelector(".map .cursor").getAttribute("visibility")`;
    expect(await tab.evaluate<string>(cursor)).toBe("visible");
  });

  browserTest(
    "the first stop of the keyboard skips to the content, the next is the theme",
    async () => {
      const tab = await open("pv", LAPTOP);
      const focused = "document.activeElement.textContent.trim()";
      await tab.press("Tab");
      expect(await tab.evaluate<string>(focused)).toBe("Skip to the content");
      await tab.press("Tab");
      expect(await tab.evaluate<string>(focused)).toBe("Theme: auto");
      const paper = "getComputedStyle(document.body).backgroundColor";
      const light = await tab.evaluate<string>(paper);
      await tab.press("Enter");
      expect(await tab.evaluate<string>(paper)).toBe(light);
      await tab.press("Enter");
      expect(await tab.evaluate<string>(focused)).toBe("Theme: dark");
      const dark = await tab.evaluate<string>(paper);
      expect(dark).not.toBe(light);
      await tab.press("Enter");
      await tab.setScheme("dark");
      expect(await tab.evaluate<string>(paper)).toBe(dark);
    },
  );

  browserTest("a screen reader is told what everything is called", async () => {
    const tab = await open("hvm", LAPTOP);
    const nodes = await tab.accessibility();
    const named = [
      "button",
      "link",
      "searchbox",
      "slider",
      "table",
      "image",
      "region",
      "figure",
      "heading",
    ];
    const nameless = nodes.filter(({ role, name }) => named.includes(role) && name.trim() === "");
    expect(nameless).toEqual([]);
    const names = (role: string): string[] =>
      nodes.filter((node) => node.role === role).map(({ name }) => name.trim());
    expect(names("image")).toEqual(
      expect.arrayContaining(["By type", "By contents", "Bytes by what they are"]),
    );
    expect(names("table")).toEqual(
      expect.arrayContaining(["HVM parameters", "Entries of the HVM context"]),
    );
    expect(names("searchbox").length).toBeGreaterThan(1);
    expect(names("navigation")).toEqual(["Sections"]);
  });

  browserTest("on paper it is light, takes the whole width, and has no controls", async () => {
    const tab = await open("hvm", LAPTOP);
    await tab.setPaper();
    const widths = `[...document.querySelectorAll(".hero, .section")]
      .map((part) => part.offsetWidth)`;
    expect(new Set(await tab.evaluate<number[]>(widths)).size).toBe(1);
    const ink = await tab.evaluate<string>("getComputedStyle(document.body).color");
    expect(ink).toBe("rgb(21, 32, 43)");
    const controls = `[...document.querySelectorAll("nav, .theme, .tools, .probe")]
      .filter((control) => control.checkVisibility()).length`;
    expect(await tab.evaluate<number>(controls)).toBe(0);
  });

  browserTest(
    "without a script all of it can be read, and nothing is there that does nothing",
    async () => {
      const tab = await browser.open("about:blank", LAPTOP);
      await tab.setScripts(false);
      await tab.load(addressOf("hvm"), LAPTOP);
      await tab.setScripts(true); // For us to look; the page's own script was not run.
      const dead = `[...document.querySelectorAll("button, input")]
      .filter((control) => control.checkVisibility() && !control.disabled).length`;
      expect(await tab.evaluate<number>(dead)).toBe(0);
      const rows = `document.querySelectorAll("tbody tr").length`;
      expect(await tab.evaluate<number>(rows)).toBeGreaterThan(50);
    },
  );
});

const sortButton = (table: string, title: string): string =>
  `[...document.querySelectorAll("#${table} th button")]` +
  `.find((button) => button.textContent === "${title}")`;

/** Texts that are seen, with less than 4.5:1 to the nearest background behind them. */
const PALE_TEXTS = `(() => {
  const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = numbers(colour).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = new Set();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === "" || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [dark, light] = [luminance(ink), luminance(backOf(element))].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) pale.add(element.tagName + "." + element.className + " " + ratio.toFixed(2));
  }
  return [...pale];
})()`;

// Nothing of a stream becomes markup.

import { describe, expect, test } from "bun:test";
import { cut, escapeText, type Html, html } from "../../../agent/ui/html/escape.ts";

describe("a value in a template", () => {
  test.each([
    ["<b>", "&lt;b&gt;"],
    [`"quoted" 'and' \`ticked\``, "&quot;quoted&quot; &#39;and&#39; &#96;ticked&#96;"],
    ["&amp;", "&amp;amp;"],
    ["a\0b\x1b[31m\x7f", "a\\x00b\\x1b[31m\\x7f"],
    ["tab\tand\nline", "tab\tand\nline"],
    ["\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"],
    ["zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"],
    ["\ud800 alone, \u{1f600} whole", "\\ud800 alone, \u{1f600} whole"],
    ["\u0085\u2028", "\\x85\\u2028"],
  ])("%j stands as %j", (text, wanted) => {
    expect(escapeText(text)).toBe(wanted);
    expect(html`<i title="${text}">${text}</i>`.markup).toBe(`<i title="${wanted}">${wanted}</i>`);
  });

  test("is left out where there is nothing, and lists are joined", () => {
    const parts = [html`<b>1</b>`, "<2>", 3, null, undefined, false] as const;
    expect(html`${parts}`.markup).toBe("<b>1</b>&lt;2&gt;3");
  });

  test("is refused where it only looks like markup of ours", () => {
    const forged = { markup: "<script>" } as Html;
    expect(() => html`${forged}`).toThrow("was not made by html``");
  });

  test("keeps its line breaks, while those of the source are narrowed", () => {
    const made = html`<pre>${"a\n    b"}</pre>
      <p></p>`;
    expect(made.markup).toBe("<pre>a\n    b</pre>\n<p></p>");
  });

  test("is cut where it is too long, and says so", () => {
    expect(cut("abc", 3)).toBe("abc");
    expect(cut("abcdef", 3)).toBe("abc \u2026 (6 characters in all)");
  });
});

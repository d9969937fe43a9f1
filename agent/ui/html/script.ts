// The script of a page: it makes good tables and maps better, and nothing depends on it. Plain
// JavaScript for browsers of the last years, run once, named by its hash in the page's policy.

export const SCRIPT = String.raw`"use strict";
(() => {
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const count = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");
const bytes = (value) => {
  let unit = "B";
  for (const next of ["KiB", "MiB", "GiB", "TiB", "PiB"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return (value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)) + " " + unit;
};

// Light, dark, or as the system has it.
const THEMES = ["auto", "light", "dark"];
const toggle = document.querySelector(".theme");
const setTheme = (theme) => {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  toggle.textContent = "Theme: " + theme;
};
const kept = () => { try { return localStorage.getItem("agent-theme"); } catch { return null; } };
const keep = (theme) => { try { localStorage.setItem("agent-theme", theme); } catch {} };
let theme = THEMES.includes(kept()) ? kept() : "auto";
setTheme(theme);
toggle.hidden = false;
toggle.addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  setTheme(theme);
  keep(theme);
});

// Tables: sort by the buttons in their heads, search by the box above.
const keyOf = (cell, isNumber) => {
  const text = cell.dataset.v ?? cell.textContent;
  if (!isNumber) return text.toLowerCase();
  const value = Number(text.replaceAll(",", "").replace(/[%×]$/, ""));
  return Number.isNaN(value) || text === "" ? -Infinity : value;
};
const ORDERS = { none: "ascending", ascending: "descending", descending: "none" };
for (const box of all(".table")) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const status = box.querySelector("[role=status]");
  const heads = all("th[aria-sort]", box);
  for (const head of heads) {
    const button = head.querySelector("button");
    button.disabled = false;
    button.addEventListener("click", () => {
      const order = ORDERS[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order);
      const isNumber = head.classList.contains("n");
      const keys = new Map(rows.map((row) => [row, keyOf(row.cells[head.cellIndex], isNumber)]));
      const sign = order === "descending" ? -1 : 1;
      const compare = (left, right) => isNumber
        ? keys.get(left) === keys.get(right) ? 0 : keys.get(left) < keys.get(right) ? -1 : 1
        : keys.get(left).localeCompare(keys.get(right), undefined, { numeric: true });
      const sorted = order === "none" ? rows : rows.toSorted((a, b) => sign * compare(a, b));
      body.append(...sorted);
      status.textContent = order === "none"
        ? "In the order of the stream"
        : "Sorted by " + button.textContent + ", " + order;
    });
  }
  const tools = box.querySelector(".tools");
  if (!tools) continue;
  tools.hidden = false;
  const input = tools.querySelector("input");
  const found = tools.querySelector(".found");
  const textOf = ({ cells }) => [...cells].map((cell) => cell.textContent).join(" ");
  const texts = rows.map((row) => textOf(row).toLowerCase());
  const search = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [index, row] of rows.entries()) {
      row.hidden = !words.every((word) => texts[index].includes(word));
      if (!row.hidden) shown++;
    }
    found.textContent = words.length > 0 ? count(shown) + " of " + count(rows.length) : "";
    status.textContent = words.length > 0 ? shown + " of " + rows.length + " rows" : "";
  };
  input.addEventListener("input", search);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || input.value === "") return;
    input.value = "";
    search();
    event.preventDefault();
  });
}

// What scrolls must be reachable by keyboard, and only that.
const reachable = (element) => {
  const { scrollWidth, clientWidth, scrollHeight, clientHeight } = element;
  const scrolls = scrollWidth > clientWidth || scrollHeight > clientHeight;
  if (scrolls) element.tabIndex = 0;
  else element.removeAttribute("tabindex");
};
const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => reachable(target)));
for (const element of all(".scroll, pre")) sizes.observe(element);

// Maps: a slider and the pointer choose a bin; all maps beside it mark it.
for (const probe of all(".probe")) {
  const slider = probe.querySelector("input");
  const output = probe.querySelector("output");
  const maps = all(".map svg", probe.parentElement);
  const { pfns, page } = probe.dataset;
  const size = Number(probe.dataset.cell);
  const left = Number(probe.dataset.left);
  const rows = probe.dataset.rows.split(",").map((row) => row.split(" ").map(Number));
  const lists = probe.dataset.lists.split(";").map((list) => {
    const [label, runs] = list.split(":");
    return [label, runs.split(",").flatMap((run) => {
      const [value, times = 1] = run.split("*").map(Number);
      return Array.from({ length: times }, () => value);
    })];
  });
  const place = (bin) => {
    const [first, , y, height, isBand] = rows.find(([start, length]) => bin < start + length);
    return isBand
      ? { x: left, y, width: Number(probe.dataset.width), height }
      : { x: left + (bin - first) * size, y, width: size, height };
  };
  const show = (bin) => {
    const from = bin * pfns;
    const to = from + Number(pfns) - 1;
    const parts = lists
      .filter(([, values]) => values[bin] > 0)
      .map(([label, values]) => count(values[bin]) + " " + label);
    const range = "pfns 0x" + from.toString(16) + " to 0x" + to.toString(16);
    const where = range + ", from " + bytes(from * page);
    const text = where + ": " + (parts.join(", ") || "never sent");
    output.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    const { x, y, width, height } = place(bin);
    for (const map of maps) {
      const cursor = map.querySelector(".cursor");
      const sizes = Object.entries({ x, y, width, height });
      for (const [name, value] of sizes) cursor.setAttribute(name, value);
      cursor.setAttribute("visibility", "visible");
    }
  };
  const binAt = (map, event) => {
    const box = map.getBoundingClientRect();
    const scale = map.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale;
    const y = (event.clientY - box.top) * scale;
    const row = rows.find(([, , top, height]) => y >= top && y < top + height);
    if (!row || x < left) return undefined;
    const [first, length, , , isBand] = row;
    const column = isBand ? 0 : Math.floor((x - left) / size);
    return column < length ? first + column : undefined;
  };
  probe.hidden = false;
  slider.addEventListener("input", () => show(Number(slider.value)));
  slider.addEventListener("focus", () => show(Number(slider.value)));
  output.textContent = "Move the slider, or point at a cell.";
  for (const map of maps) {
    map.addEventListener("pointermove", (event) => {
      const bin = binAt(map, event);
      if (bin === undefined) return;
      slider.value = bin;
      show(bin);
    });
  }
}

// Paper shows all.
let closed = [];
addEventListener("beforeprint", () => {
  closed = all("details:not([open])");
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});

// The section that is being read.
const links = all("nav.sections a");
const reading = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    for (const link of links) {
      if (link.hash === "#" + target.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}, { rootMargin: "-20% 0px -70% 0px" });
for (const part of all(".section")) reading.observe(part);

// A link to a part that is folded away opens it.
const reveal = () => {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
};
addEventListener("hashchange", reveal);
reveal();
})();
`;

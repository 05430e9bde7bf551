// What the account holds by its trades, what it gained, and what was traded. The chart adds up what was realised.

import { call } from "./api.js";
import { amount, clock, element, price, short, token } from "./format.js";

const REFRESH_MS = 30_000;
const SOON_MS = 600;
const FILLS = 25;
const [WIDTH, HEIGHT] = [600, 130];
const SPANS = { day: { every: "hour", ms: 86_400_000, step: 3_600_000 }, month: { every: "day", ms: 30 * 86_400_000, step: 86_400_000 } };
const byId = (id) => document.getElementById(id);

const signed = (value) => `${Number(value) > 0 ? "+" : ""}${amount(value, Math.abs(Number(value)) < 1 ? 6 : 2)}`;

/** What was realised in one quote token, added up over the time shown. */
class Gains {
  constructor(place, which) {
    Object.assign(this, { place, which, stated: null, step: 0 });
    which.addEventListener("change", () => this.#draw());
  }

  show(stated, step) {
    Object.assign(this, { stated, step });
    const quotes = [...new Set(stated.lines.map((line) => line.quoteToken))].sort();
    const chosen = quotes.includes(this.which.value) ? this.which.value : quotes.includes("USDC") ? "USDC" : quotes[0];
    this.which.replaceChildren(...quotes.map((quote) => element("option", { value: quote }, token(quote))));
    this.which.hidden = quotes.length < 2;
    this.which.value = chosen ?? "";
    this.#draw();
  }

  #draw() {
    const [from, to] = [Date.parse(this.stated.from), Math.min(Date.parse(this.stated.to), Date.now() + this.step)];
    const gained = new Map();
    for (const line of this.stated.lines) {
      if (line.quoteToken !== this.which.value) continue;
      const at = Date.parse(line.begin) + this.step;
      gained.set(at, (gained.get(at) ?? 0) + Number(line.realised));
    }
    const points = [[from, 0]];
    for (let at = from + this.step; at <= to + this.step; at += this.step) points.push([at, points.at(-1)[1] + (gained.get(at) ?? 0)]);
    const sum = points.at(-1)[1];
    byId("gains-sum").textContent = `${signed(String(sum))} ${token(this.which.value || "")}`;
    byId("gains-sum").className = sum > 0 ? "up" : sum < 0 ? "down" : "";
    const [low, high] = [Math.min(0, ...points.map(([, y]) => y)), Math.max(0, ...points.map(([, y]) => y))];
    const x = (at) => ((at - from) / (points.at(-1)[0] - from)) * WIDTH;
    const y = (value) => HEIGHT - 6 - ((value - low) / (high - low || 1)) * (HEIGHT - 12);
    const line = points.map(([at, value], n) => `${n ? `H${x(at).toFixed(1)}V` : `M${x(at).toFixed(1)} `}${y(value).toFixed(1)}`).join("");
    this.place.querySelector(".zero").setAttribute("d", `M0 ${y(0).toFixed(1)}H${WIDTH}`);
    this.place.querySelector(".sum").setAttribute("d", line);
    this.place.querySelector(".area").setAttribute("d", `${line}V${y(0).toFixed(1)}H0Z`);
    this.place.toggleAttribute("hidden", !gained.size);
    this.place.classList.toggle("loss", sum < 0);
    this.place.setAttribute("aria-label", `Realised gains over the time shown, in all ${byId("gains-sum").textContent}`);
  }
}

/** Returns a function that reads the books anew soon: something was traded. */
export function start() {
  const card = byId("books");
  const tabs = [...card.querySelectorAll('[role="tab"]')];
  const chart = new Gains(byId("gains"), byId("gains-quote"));
  let waiting = 0;
  let cursor = null;

  const open = () => tabs.find((tab) => tab.getAttribute("aria-selected") === "true").dataset.tab;

  function choose(tab) {
    for (const each of tabs) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      byId(each.getAttribute("aria-controls")).hidden = !chosen;
    }
    load();
  }

  async function load() {
    clearTimeout(waiting);
    waiting = setTimeout(load, REFRESH_MS);
    if (document.hidden) return;
    try {
      await (open() === "positions" ? positions() : fills());
      byId("books-said").textContent = "";
    } catch (error) {
      if (error.status !== 0) byId("books-said").textContent = error.message;
    }
  }

  async function positions() {
    const span = SPANS[byId("gains-span").value];
    const from = new Date(Date.now() - span.ms).toISOString();
    const [held, stated] = await Promise.all([call("/api/positions"), call(`/api/statement?every=${span.every}&from=${from}`)]);
    byId("positions").replaceChildren(...held.positions.map(position));
    byId("positions-empty").hidden = held.positions.length > 0;
    byId("positions-table").hidden = byId("gains-panel").hidden = held.positions.length === 0;
    chart.show(stated, span.step);
  }

  async function fills(after = null) {
    const page = await call(`/api/fills?limit=${FILLS}${after ? `&cursor=${after}` : ""}`);
    const rows = page.fills.map(fill);
    if (after) byId("fills").append(...rows);
    else byId("fills").replaceChildren(...rows);
    cursor = page.next;
    byId("fills-more").hidden = cursor === null;
    byId("fills-empty").hidden = byId("fills").children.length > 0;
    byId("fills-table").hidden = byId("fills").children.length === 0;
  }

  for (const tab of tabs) tab.addEventListener("click", () => choose(tab));
  card.querySelector('[role="tablist"]').addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const next = tabs[(tabs.indexOf(document.activeElement) + 1) % tabs.length];
    next.focus();
    choose(next);
  });
  byId("gains-span").addEventListener("change", load);
  byId("fills-more").addEventListener("click", () => {
    clearTimeout(waiting); // What is read on stays until the tab is opened anew.
    fills(cursor);
  });
  document.addEventListener("visibilitychange", () => document.hidden || load());
  load();
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(load, SOON_MS);
  };
}

function position(of) {
  return element(
    "tr", {},
    element("td", { title: of.mint, "data-label": "Position" }, token(of.token), element("small", {}, ` in ${token(of.quoteToken)}`)),
    number("Amount", amount(of.amount)),
    number("Average", price(of.averagePrice)),
    number("Price", price(of.price)),
    gain("Unrealised", of.unrealised),
    gain("Realised", of.realised),
  );
}

function fill(of) {
  const costs = of.fees.map((fee) => `${fee.kind} ${amount(fee.amount)} of ${short(fee.token)}`).join(", ");
  return element(
    "tr", {},
    element("td", { "data-label": "Time" }, element("time", { datetime: of.at }, clock(of.at))),
    element("td", { "data-label": "Sold" }, `${amount(of.amountIn, 6)} ${token(of.tokenIn)}`),
    element("td", { "data-label": "Bought" }, `${amount(of.amountOut, 6)} ${token(of.tokenOut)}`),
    number("Price", price(of.price)),
    element("td", { "data-label": "Venue", title: costs || "no fees" }, of.venue.toLowerCase()),
  );
}

const number = (label, text) => element("td", { class: "num", "data-label": label }, text);

/** A gain, or that it is not known. */
function gain(label, value) {
  const made = number(label, value === null ? "unknown" : signed(value));
  if (value === null) made.classList.add("quiet");
  else if (Number(value) !== 0) made.classList.add(Number(value) > 0 ? "up" : "down");
  return made;
}

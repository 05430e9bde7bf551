// The ticket's exits: what is sold again, when, and how much of it. Each row is one exit; its line on the chart can be dragged.

import { DECIMAL, plain, typed } from "./decimals.js";
import { element, percent, token } from "./format.js";

const KINDS = {
  takeProfit: { name: "Take-profit", tag: "TP", colour: "good", label: "% above cost", field: "atBps", start: 10, most: 10_000, sign: 1, more: ["slippageBps"], slippage: "0.5" },
  stopLoss: { name: "Stop", tag: "SL", colour: "bad", label: "% below cost", field: "atBps", start: 5, most: 99.99, sign: -1, more: ["slippageBps", "maxSlippageBps"], slippage: "1" },
  trailing: { name: "Trailing stop", tag: "Trail", colour: "warn", label: "% below highest", field: "trailBps", start: 5, least: 0.5, most: 90, sign: -1, more: ["activateAtBps", "slippageBps", "maxSlippageBps"], slippage: "1" },
  timeLimit: { name: "Time limit", label: "minutes after", field: "after", start: 480, most: 527_000, more: ["slippageBps", "maxSlippageBps"], slippage: "1" },
};
/** What has a default: its label and its bounds, in per cent. */
const MORE = {
  activateAtBps: { label: "starts at + %", least: 0.01, most: 10_000, hint: "at once" },
  slippageBps: { label: "% slippage", least: 0, most: 50 },
  maxSlippageBps: { label: "% at most", least: 0, most: 50, hint: "10" },
};
const MAX_TAKE_PROFITS = 8;
const byId = (id) => document.getElementById(id);
const number = (input) => (DECIMAL.test(typed(input)) ? Number(typed(input)) : NaN);

export class Exits {
  #made = 0;
  #entry = null;

  /** `changed()` when a row came, went or was moved; typing is the form's own event. */
  constructor(form, changed) {
    Object.assign(this, { form, changed, rows: byId("exit-rows") });
    byId("exits").addEventListener("click", ({ target }) => {
      if (target.dataset.add) this.#add(target.dataset.add).querySelector("input").focus();
      else if (target.dataset.act === "remove") this.#remove(target.closest(".exit"));
      else return;
      this.changed();
    });
    // What was typed last counts, and the other field follows it.
    byId("exits").addEventListener("input", ({ target }) => {
      const row = target.closest(".exit");
      if (row && (target.dataset.field === "price" || target.dataset.field === "atBps")) row.dataset.by = target.dataset.field;
    });
  }

  /** `none`, `entry`: once the order is filled, or `alone`: of what is held. */
  get mode() {
    const { exits, type } = this.form.elements;
    if (type.value === "schedule") return "none";
    return exits.value === "alone" && type.value !== "market" ? "entry" : exits.value;
  }

  /** `entry` is the price that distances are measured from, quote per token; null where there is none. */
  show([tokenIn, tokenOut], entry) {
    const { mode } = this;
    this.#entry = entry;
    byId("exits").hidden = mode === "none";
    if (mode === "none") return;
    if (!this.rows.children.length) ["takeProfit", "stopLoss"].forEach((kind) => this.#add(kind));
    const [base, quote] = mode === "alone" ? [tokenIn, tokenOut] : [tokenOut, tokenIn];
    byId("exits-said").textContent = mode === "alone" ? `Sells the ${token(base)} that you hold. What fires first cancels the rest.` : `Sells the ${token(base)} that the order brings. What fires first cancels the rest.`;
    const takes = this.#of("takeProfit");
    takes.forEach((row, n) => {
      row.querySelector("b").textContent = takes.length > 1 ? `Take-profit ${n + 1}` : "Take-profit";
      row.querySelector(".portion").hidden = takes.length === 1;
    });
    for (const button of byId("exits").querySelectorAll("[data-add]")) {
      button.hidden = button.dataset.add === "takeProfit" ? takes.length >= MAX_TAKE_PROFITS : this.#of(button.dataset.add).length > 0;
    }
    for (const row of this.rows.children) this.#follow(row, `${token(quote)} per ${token(base)}`);
  }

  /** Other tokens have other prices: only distances stay. */
  forget() {
    for (const row of this.rows.children) delete row.dataset.by;
  }

  /** As the API takes them; what is wrong is said in its row, and null comes back. */
  read() {
    let right = true;
    const exits = [...this.rows.children].map((row) => {
      const { field, least = 0, most } = KINDS[row.dataset.exit];
      const by = row.dataset.by === "price" ? "price" : field;
      const input = row.querySelector(`[data-field="${by}"]`);
      const value = number(input);
      const wrong = !(value > 0) || (by !== "price" && (value < least || value > most));
      this.#error(row, by, wrong ? (by === "price" ? "Enter a number greater than 0." : `A number from ${least || "above 0"} to ${most}.`) : "");
      right &&= !wrong;
      const exit = { kind: row.dataset.exit };
      if (by === "price") exit.price = typed(input);
      else exit[by] = by === "after" ? `PT${Math.round(value * 60)}S` : Math.round(value * 100);
      const portion = row.querySelector('[data-field="portionBps"]');
      if (portion && this.#of("takeProfit").length > 1) {
        exit.portionBps = Math.round(number(portion) * 100);
        if (!(exit.portionBps >= 1 && exit.portionBps <= 10_000)) {
          this.#error(row, "portionBps", "A portion is from 0.01 to 100 %.");
          right = false;
        }
      }
      for (const name of KINDS[row.dataset.exit].more) {
        const more = row.querySelector(`[data-field="${name}"]`);
        if (!more.value.trim()) continue;
        exit[name] = Math.round(number(more) * 100);
        if (number(more) >= MORE[name].least && number(more) <= MORE[name].most) continue;
        this.#error(row, name, `From ${MORE[name].least} to ${MORE[name].most} %.`);
        right = false;
      }
      return exit;
    });
    const said = exits.length ? "" : "Add an exit, or place the order without.";
    byId("exits-error").textContent = said;
    return right && !said ? exits : null;
  }

  /** Where the engine refused an exit: whether it is said beside it. */
  refused(name, message) {
    const [, n, field] = /^exits\[(\d+)\]\.?(\w*)/.exec(name) ?? [];
    if (this.rows.children[n]) this.#error(this.rows.children[n], field, message);
    else if (name === "exits") byId("exits-error").textContent = message;
    else return false;
    return true;
  }

  /** For the chart; `shown` makes a price of the chart of one of an exit, and the other way round. */
  lines(shown) {
    if (this.mode === "none") return [];
    return [...this.rows.children].flatMap((row) => {
      const kind = KINDS[row.dataset.exit];
      const value = this.#price(row);
      if (!value) return [];
      const several = this.#of(row.dataset.exit).length > 1;
      return [{
        key: row.dataset.key, tag: several ? `${kind.tag}${this.#of(row.dataset.exit).indexOf(row) + 1}` : kind.tag, name: row.querySelector("b").textContent,
        said: this.#said(row, kind, value), value: shown(value), colour: kind.colour, draft: true, move: (at) => this.#move(row, shown(at)),
      }];
    });
  }

  #said(row, { sign, field }, value) {
    if (!this.#entry) return "";
    const started = this.#activation(row);
    if (started) return `${percent(number(row.querySelector(`[data-field="${field}"]`)) * 100)} below +${percent(started * 100)}`;
    const bps = (value / this.#entry - 1) * 10_000;
    return `${bps < 0 ? "−" : sign ? "+" : ""}${percent(Math.abs(bps))}`;
  }

  /** Per cent above the cost from which a trailing stop follows; 0: at once. */
  #activation(row) {
    const input = row.querySelector('[data-field="activateAtBps"]');
    return (input && number(input)) || 0;
  }

  #move(row, value) {
    const { field, sign, least = 0.1, most } = KINDS[row.dataset.exit];
    if (field === "atBps") {
      row.dataset.by = "price";
      row.querySelector('[data-field="price"]').value = plain(value);
    } else {
      const away = (value / (this.#entry * (1 + this.#activation(row) / 100)) - 1) * 100 * sign;
      row.querySelector(`[data-field="${field}"]`).value = plain(Math.round(Math.min(most, Math.max(least, away)) * 100) / 100);
    }
    this.changed();
  }

  /** Quote per token; null where it is not known. */
  #price(row) {
    const { field, sign } = KINDS[row.dataset.exit];
    const [by, from] = row.dataset.by === "price" ? ["price", null] : [field, this.#entry && this.#entry * (1 + this.#activation(row) / 100)];
    const value = number(row.querySelector(`[data-field="${by}"]`));
    if (!(value > 0)) return null;
    if (by === "price") return value;
    const at = sign && from ? from * (1 + (sign * value) / 100) : 0;
    return at > 0 ? at : null;
  }

  #follow(row, unit) {
    const price = row.querySelector('[data-field="price"]');
    if (!price) return;
    row.querySelector(".unit-of").textContent = unit;
    const value = this.#price(row);
    const away = row.querySelector('[data-field="atBps"]');
    const byPrice = row.dataset.by === "price";
    away.classList.toggle("follows", byPrice);
    price.classList.toggle("follows", !byPrice);
    const { sign } = KINDS[row.dataset.exit];
    if (!byPrice) price.value = value ? plain(value) : "";
    else if (this.#entry) away.value = value ? plain(Math.round((value / this.#entry - 1) * sign * 10_000) / 100) : "";
  }

  #of(kind) {
    return [...this.rows.querySelectorAll(`[data-exit="${kind}"]`)];
  }

  #error(row, field, message) {
    row.querySelector(".error").textContent = message;
    for (const input of row.querySelectorAll("input")) input.removeAttribute("aria-invalid");
    const input = row.querySelector(`[data-field="${field || row.dataset.by}"]`) ?? row.querySelector("input");
    if (!message) return;
    input.setAttribute("aria-invalid", "true");
    if (input.closest("details")) input.closest("details").open = true;
  }

  #add(kind) {
    const { name, label, start, field, more, slippage } = KINDS[kind];
    const key = `exit-${(this.#made += 1)}`;
    const takes = this.#of("takeProfit").length;
    const input = (of, value, text, attributes = {}) => element("label", attributes, element("input", { inputmode: "decimal", autocomplete: "off", "data-field": of, value, "aria-describedby": `${key}-error` }), text);
    const row = element(
      "div", { class: "exit", "data-exit": kind, "data-key": key, role: "group", "aria-labelledby": `${key}-name` },
      element("b", { id: `${key}-name` }, name),
      element("button", { type: "button", class: "icon", "data-act": "remove", "aria-label": `Remove: ${name}` }, "✕"),
      input(field, plain(kind === "takeProfit" ? start * (takes + 1) : start), element("span", {}, label)),
      ...(field === "atBps" ? [input("price", "", element("span", { class: "unit-of" }, "price"))] : []),
      ...(kind === "takeProfit" ? [input("portionBps", "50", element("span", {}, "% of it"), { class: "portion" })] : []),
      element("details", {}, element("summary", {}, more.includes("activateAtBps") ? "Start, slippage" : "Slippage"), element("div", {}, ...more.map((of) => {
        const made = input(of, "", element("span", {}, MORE[of].label));
        made.firstChild.placeholder = MORE[of].hint ?? slippage;
        return made;
      }))),
      element("p", { class: "error", role: "alert", id: `${key}-error` }),
    );
    const order = Object.keys(KINDS);
    this.rows.insertBefore(row, [...this.rows.children].find((each) => order.indexOf(each.dataset.exit) > order.indexOf(kind)) ?? null);
    return row;
  }

  #remove(row) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next?.querySelector("button") ?? byId("exits").querySelector("[data-add]:not([hidden])"))?.focus();
  }
}

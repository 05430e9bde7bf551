// The ticket's schedule: an amount in slices over a time (TWAP), or the same amount again and again (DCA), with a preview of its slices.

import { DECIMAL, inverse, plain, typed } from "./decimals.js";
import { clock, element, exact, spoken, token } from "./format.js";
import { begins, cut } from "./slicing.js";

const WHOLE = /^[1-9]\d{0,3}$/;
const MAX_SLICES = 1000;
const MIN_EVERY_S = 1;
const MIN_ENDLESS_S = 60;
const MAX_EVERY_S = 366 * 86_400;
const BARS = 60;
const ENDLESS_BARS = 12;
const ROWS = 100;
const UNITS = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 };
/** The ticket's field for each name of the API that is another one. */
export const FIELDS = { window: "duration", every: "duration", sliceAmount: "amount" };
const byId = (id) => document.getElementById(id);

export class Slices {
  constructor(form) {
    this.form = form;
    byId("slices-all").addEventListener("toggle", () => this.#rows());
  }

  get wanted() {
    return this.form.elements.type.value === "schedule";
  }

  /** TWAP: `amount` is spent in all. DCA: each time. */
  get spread() {
    return this.form.elements.scheme.value === "twap";
  }

  /** `never`, `times` or `total`: when a DCA ends. */
  get #ends() {
    return this.spread ? "times" : this.form.elements.ends.value;
  }

  /** Labels and fields for what is chosen. `turned`: prices count tokenIn per tokenOut. */
  show([tokenIn, tokenOut], turned) {
    if (!this.wanted) return;
    byId("duration-label").textContent = this.spread ? "Over" : "Every";
    byId("slices-label").textContent = this.spread ? "Slices" : "How many";
    byId("ends-field").hidden = this.spread;
    byId("slices-field").hidden = this.#ends !== "times";
    byId("total-field").hidden = this.#ends !== "total";
    byId("total-label").textContent = `In all, ${token(tokenIn)}`;
    byId("catchUp-field").hidden = this.#ends !== "times";
    byId("band-unit").textContent = turned ? `${token(tokenIn)} per ${token(tokenOut)} ⇄` : `${token(tokenOut)} per ${token(tokenIn)} ⇄`;
  }

  /** The plan as the API takes it, of an order's fields; what is wrong goes into `wrong`, by the ticket's fields. */
  read({ tokenIn, tokenOut, amount, slippageBps }, wrong, { turned, places }) {
    const plan = { kind: "schedule", tokenIn, tokenOut, slippageBps };
    const number = (name, least, most, said) => {
      const text = this.#text(name);
      if (text && !(DECIMAL.test(text) && Number(text) >= least && Number(text) <= most)) wrong[name] = said;
      return text && !wrong[name] ? Number(text) : null;
    };
    plan[this.spread ? "amount" : "sliceAmount"] = amount;
    if (this.#ends === "times") {
      if (WHOLE.test(this.#text("slices")) && Number(this.#text("slices")) <= MAX_SLICES) plan.slices = Number(this.#text("slices"));
      else wrong.slices = `A whole number from 1 to ${MAX_SLICES}.`;
      if (this.form.elements.catchUp.value === "spread") plan.catchUp = "spread";
    } else if (this.#ends === "total") {
      plan.amount = this.#text("total");
      if (!DECIMAL.test(plan.amount) || Number(plan.amount) <= 0) wrong.total = "Enter a number greater than 0.";
    }
    const seconds = this.#seconds();
    plan[this.spread ? "window" : "every"] = `PT${seconds}S`;
    const every = this.spread ? seconds / (plan.slices ?? 1) : seconds;
    const least = this.#ends === "never" ? MIN_ENDLESS_S : MIN_EVERY_S;
    if (!(every >= least && every <= MAX_EVERY_S)) wrong.duration = `From ${spoken(least)} to a year for each slice.`;
    if (!Object.keys(wrong).length && !cut(this.#wish(amount), places)) wrong[this.spread ? "slices" : "total"] = this.spread ? "A slice would be less than the token can be divided into." : "Less than one slice.";
    this.#band(plan, wrong, turned);
    const jitter = number("jitterBps", 0, 90, "From 0 to 90 %.");
    if (jitter) plan.jitterBps = Math.round(jitter * 100);
    const failures = number("stopAfterFailures", 1, MAX_SLICES, `A whole number from 1 to ${MAX_SLICES}.`);
    if (failures && !Number.isInteger(failures)) wrong.stopAfterFailures = "A whole number.";
    else if (failures) plan.stopAfterFailures = failures;
    const { startAt } = this.form.elements;
    if (startAt.value) plan.startAt = new Date(startAt.value).toISOString();
    if (startAt.value && Date.parse(plan.startAt) < Date.now() - 60_000) wrong.startAt = "This is in the past.";
    return plan;
  }

  /** Prices as the API counts them: turned, the lowest is the highest. Rounded so that the band is never wider than asked. */
  #band(plan, wrong, turned) {
    const [low, high] = ["minPrice", "maxPrice"].map((name) => {
      const text = this.#text(name);
      if (text && !(DECIMAL.test(text) && Number(text) > 0)) wrong[name] = "A number greater than 0, or nothing.";
      return text && !wrong[name] ? text : null;
    });
    if (low && high && Number(low) >= Number(high)) wrong.maxPrice = "Not above the lowest.";
    if (wrong.minPrice || wrong.maxPrice) return;
    const [least, most] = turned ? [high && inverse(high, true), low && inverse(low, false)] : [low, high];
    if (least) plan.minPrice = least;
    if (most) plan.maxPrice = most;
  }

  /** The band on the chart; `changed()` after a line was moved. */
  lines(changed) {
    if (!this.wanted) return [];
    return [["minPrice", "Lowest", "Lowest price of a slice"], ["maxPrice", "Highest", "Highest price of a slice"]].flatMap(([name, tag, said]) => {
      const value = DECIMAL.test(this.#text(name)) ? Number(this.#text(name)) : NaN;
      const move = (to) => {
        this.form.elements[name].value = plain(to);
        changed(this.form.elements[name]);
      };
      return value > 0 ? [{ key: name, tag, name: said, said: "", value, colour: "accent", draft: true, move }] : [];
    });
  }

  /** Draws the slices. Returns what one of them spends, for the quote; null where that is open. */
  preview(amount, tokenIn, places) {
    const seconds = this.#seconds();
    const wish = this.#wish(amount);
    const fits = this.wanted && DECIMAL.test(amount) && seconds > 0 && wish;
    const made = fits ? cut(wish, places) : null;
    byId("slices-preview").hidden = !made;
    this.made = made && { ...made, tokenIn, everyS: this.spread ? seconds / made.slices : seconds, startMs: this.#start(), jitterBps: Math.min(9000, Number(this.#text("jitterBps")) * 100 || 0) };
    if (!made) return null;
    this.#bars();
    this.#say();
    this.#rows();
    return made.each;
  }

  #wish(amount) {
    const slices = WHOLE.test(this.#text("slices")) ? Math.min(MAX_SLICES, Number(this.#text("slices"))) : null;
    const total = this.#text("total");
    if (this.#ends === "never") return { each: amount };
    if (this.#ends === "total") return DECIMAL.test(total) && Number(total) > 0 ? { each: amount, total } : null;
    return slices && { [this.spread ? "total" : "each"]: amount, slices };
  }

  #bars() {
    const { each, last, slices, jitterBps } = this.made;
    const shown = Math.min(slices ?? ENDLESS_BARS, BARS);
    const most = Math.max(Number(each), Number(last ?? 0));
    byId("slices-bars").classList.toggle("endless", shown !== slices);
    byId("slices-bars").style.setProperty("--late", `${jitterBps / 100}%`);
    byId("slices-bars").replaceChildren(...Array.from({ length: shown }, (_, n) => {
      const bar = element("i");
      bar.style.setProperty("--size", `${Math.max(8, (Number(n === slices - 1 ? last : each) / most) * 100)}%`);
      return bar;
    }));
  }

  #say() {
    const { each, last, slices, total, tokenIn, everyS, jitterBps } = this.made;
    const odd = slices > 1 && last !== each ? `, the last ${exact(last)}` : "";
    const count = slices === null ? "No end" : slices === 1 ? "1 slice" : `${exact(slices)} slices`;
    const late = jitterBps ? `, up to ${spoken((everyS * jitterBps) / 10_000)} later` : "";
    const all = total === null ? "" : ` ${exact(total)} ${token(tokenIn)} in all.`;
    byId("slices-said").textContent = `${count}: ${exact(each)} ${token(tokenIn)}${odd}, ${slices === 1 ? "once" : `one every ${spoken(everyS)}`}${late}.${all}`;
  }

  /** Every slice, as far as somebody looks: of many the first and the last ones. */
  #rows() {
    const all = byId("slices-all");
    if (!this.made || !all.open) return;
    const { slices, each, last, tokenIn } = this.made;
    const shown = Math.min(slices ?? ENDLESS_BARS, ROWS);
    byId("slices-unit").textContent = `Spends ${token(tokenIn)}`;
    const row = (n) => element("tr", {}, element("td", {}, String(n)), element("td", {}, span(...begins(n, this.made))), element("td", { class: "num" }, exact(n === slices ? last : each)));
    const rows = Array.from({ length: shown }, (_, n) => row(n + 1));
    const more = slices === null ? "and so on" : slices > shown + 1 ? `${slices - shown - 1} more like these` : "";
    if (more) rows.push(element("tr", {}, element("td", {}, "…"), element("td", { colspan: 2 }, more)));
    if (slices > shown) rows.push(row(slices));
    byId("slices-rows").replaceChildren(...rows);
  }

  #start() {
    const { value } = this.form.elements.startAt;
    return Math.max(Date.now(), value ? Date.parse(value) : 0);
  }

  /** NaN where there is no number. */
  #seconds() {
    const text = this.#text("duration");
    return DECIMAL.test(text) ? Math.round(Number(text) * UNITS[this.form.elements.unit.value] * 1000) / 1000 : NaN;
  }

  #text(name) {
    return typed(this.form.elements[name]);
  }
}

/** Between two moments; the day is said once. */
function span(from, until) {
  const [one, other] = [clock(from), clock(until)];
  if (one === other) return one;
  const [day] = one.split(", ");
  return `${one} – ${other.startsWith(`${day}, `) ? other.slice(day.length + 2) : other}`;
}

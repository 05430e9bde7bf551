// The order ticket: errors stand beside their field, the expected result above the button.

import { ApiError, call, isMeant } from "./api.js";
import { DECIMAL, plain, typed } from "./decimals.js";
import { Exits } from "./exits.js";
import { element, percent, price, token } from "./format.js";
import { Preview } from "./preview.js";
import { FIELDS, Slices } from "./slices.js";

const HELP = {
  market: "Executes at once at the better venue.",
  limit: "Waits until the best price reaches yours.",
  sniper: "Waits for a launch, for liquidity or for a burst of volume, then buys.",
  twap: "Spreads an amount over a time, in slices.",
  dca: "Trades the same amount again and again.",
};
const ERRORS = ["amount", "limitPrice", "slippageBps", "minLiquidity", "volumeFactor", "maxPriceImpactBps", "duration", "slices", "total", "startAt", "minPrice", "maxPrice", "jitterBps", "stopAfterFailures"];
const MINT = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;
const byId = (id) => document.getElementById(id);

const far = (value, now) => `${value < now ? "−" : "+"}${percent(Math.abs(value / now - 1) * 10_000)}`;

export class Ticket {
  #pairListeners = [];
  onTurn = () => {};
  #idempotency = null;
  #farPriceMeant = false;

  /** `placed(answer, order)` after the engine took an order or a plan; `quotes` for the present price; `lines(lines)` draws what is waited for. */
  constructor({ placed, quotes, lines }) {
    Object.assign(this, { placed, quotes, lines });
    this.form = byId("ticket");
    this.exits = new Exits(this.form, () => this.#changed(null));
    this.slices = new Slices(this.form);
    this.preview = new Preview(() => this.#wish());
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.#place(); });
    this.form.addEventListener("input", (event) => this.#changed(event.target));
    byId("flip").addEventListener("click", () => this.#flip());
    for (const id of ["limit-unit", "band-unit"]) byId(id).addEventListener("click", () => this.#turn());
    this.#changed(null);
  }

  get pair() {
    const { tokenIn, tokenOut } = this.form.elements;
    return `${tokenIn.value}-${tokenOut.value}`;
  }

  get type() {
    return this.form.elements.type.value;
  }

  onPair(listener) {
    this.#pairListeners.push(listener);
    listener();
  }

  /** New quotes have come. */
  quoted() {
    this.preview.quoted();
    this.#hint();
  }

  #flip() {
    const { tokenIn, tokenOut } = this.form.elements;
    [tokenIn.value, tokenOut.value] = [tokenOut.value, tokenIn.value];
    this.#changed(tokenIn);
  }

  /** Prices count the other token from now on; those that stand there are turned along, and the lowest is then the highest. */
  #turn() {
    const { priceIn, limitPrice, minPrice, maxPrice } = this.form.elements;
    priceIn.value = priceIn.value === "tokenIn" ? "tokenOut" : "tokenIn";
    for (const field of [limitPrice, minPrice, maxPrice]) {
      const text = typed(field);
      if (DECIMAL.test(text) && Number(text) > 0) field.value = plain(1 / Number(text), 8);
    }
    [minPrice.value, maxPrice.value] = [maxPrice.value, minPrice.value];
    this.#changed(limitPrice);
  }

  /** Whether prices on the page are tokenIn per tokenOut. */
  get turned() {
    return this.form.elements.priceIn.value === "tokenIn";
  }

  /** The ticket and the chart of one token counted in another, the way round that prices are counted in already. */
  choose(one, counted) {
    const { tokenIn, tokenOut } = this.form.elements;
    [[tokenIn, this.turned ? counted : one], [tokenOut, this.turned ? one : counted]].forEach(([select, label]) => this.#select(select, label));
    this.#changed(tokenIn);
  }

  #select(select, label, { decimals = 18, mint = label } = {}) {
    const there = [...select.options].find((option) => option.value === label);
    (there ?? select.insertBefore(element("option", { value: label, "data-decimals": decimals, "data-mint": mint }, token(label)), select.lastElementChild)).selected = true;
  }

  /** A token that is not in the list, by its mint; without one the first token stands there. */
  async #other(select) {
    const mint = prompt("Mint of the token")?.trim() ?? "";
    const known = MINT.test(mint) ? await call(`/api/tokens?query=${mint}`).catch(() => ({ tokens: [] })) : { tokens: [] };
    const found = known.tokens.find((each) => each.mint === mint);
    if (MINT.test(mint)) this.#select(select, found?.verified ? found.symbol : mint, { decimals: found?.decimals, mint });
    else select.selectedIndex = 0;
    this.#changed(select);
  }

  #changed(field) {
    if (field instanceof HTMLSelectElement && field.value === "" && field.name.startsWith("token")) return void this.#other(field);
    this.#idempotency = null;
    this.#farPriceMeant = false;
    const { elements } = this.form;
    // What is bought is priced in what is paid, as its exits are.
    if (field?.name === "exits" && (this.exits.mode === "entry") !== this.turned) return this.#turn();
    if (field?.name === "exits" || field?.name === "tokenIn" || field?.name === "tokenOut") this.exits.forget();
    if (field?.name === "tokenIn" || field?.name === "tokenOut") {
      const other = field.name === "tokenIn" ? elements.tokenOut : elements.tokenIn;
      if (other.value === field.value) other.selectedIndex = (other.selectedIndex + 1) % (other.options.length - 1);
      for (const name of ["limitPrice", "minPrice", "maxPrice"]) elements[name].value = "";
      this.#pairListeners.forEach((listener) => listener());
    }
    for (const part of this.form.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(this.type);
    for (const part of this.form.querySelectorAll("[data-kind]")) part.hidden = part.dataset.kind !== elements.kind.value;
    const { mode } = this.exits;
    const alone = mode === "alone";
    elements.exits.querySelector('[value="alone"]').disabled = this.type !== "market";
    if (elements.exits.value !== mode && this.type !== "schedule") elements.exits.value = mode;
    byId("slippage-field").hidden = alone;
    const scheme = this.slices.wanted ? elements.scheme.value : null;
    byId("amount-label").textContent = alone ? "You hold" : { twap: "You pay in all", dca: "You pay each time" }[scheme] ?? "You pay";
    byId("type-help").textContent = alone ? "Sells what you hold at the exit that fires first." : HELP[scheme ?? this.type];
    byId("place").textContent = alone ? "Place exits" : scheme ? `Start ${scheme.toUpperCase()}` : `Place ${this.type} order${mode === "entry" ? " with exits" : ""}`;
    if (this.quotes.turn(this.turned)) this.onTurn();
    const [counted, one] = this.turned ? [elements.tokenIn, elements.tokenOut] : [elements.tokenOut, elements.tokenIn];
    byId("limit-unit").textContent = `${token(counted.value)} per ${token(one.value)} ⇄`;
    const [above, below] = elements.triggerCondition.options;
    above.textContent = `at or ${this.turned ? "below" : "above"} (limit)`;
    below.textContent = `at or ${this.turned ? "above" : "below"} (stop)`;
    this.slices.show(this.pair.split("-"), this.turned);
    field?.closest?.(".exit")?.querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
    if (field?.closest?.(".exit")) field.closest(".exit").querySelector(".error").textContent = "";
    byId("exits-error").textContent = "";
    if (field?.name) this.#error(field.name === "slippage" ? "slippageBps" : field.name, "");
    if (field?.name === "scheme" || field?.name === "ends" || field?.name === "unit") for (const name of ["duration", "slices", "total"]) this.#error(name, "");
    this.#error("form", "");
    this.#hint();
    this.preview.soon();
  }

  /** How far the wanted price is from the present one. */
  #hint() {
    const { limitPrice, triggerCondition } = this.form.elements;
    const wanted = this.type === "limit" && DECIMAL.test(typed(limitPrice)) ? Number(typed(limitPrice)) : null;
    const { now } = this.quotes;
    const { mode } = this.exits;
    const alike = (mode === "entry") === this.turned;
    const shown = (value) => (alike ? value : 1 / value);
    const entry = wanted ?? now;
    this.exits.show(this.pair.split("-"), entry && shown(entry));
    const moved = (value) => {
      limitPrice.value = plain(value);
      this.#changed(limitPrice);
    };
    const line = wanted > 0 ? [{ key: "limit", tag: triggerCondition.value === "gte" ? "Limit" : "Stop", name: "Price of the order", said: now ? far(wanted, now) : "", value: wanted, colour: "accent", draft: true, move: moved }] : [];
    this.lines([...line, ...this.exits.lines(shown), ...this.slices.lines((field) => this.#changed(field))]);
    if (!now) return void (byId("limit-hint").textContent = "");
    const away = wanted ? (wanted / now - 1) * 10_000 : null;
    const fires = wanted && ((triggerCondition.value === "gte") !== this.turned ? now >= wanted : now <= wanted);
    byId("limit-hint").textContent = !wanted ? `Best now: ${price(now)}` : fires ? `Fires at once: best is ${price(now)}.` : `${percent(Math.abs(away))} ${away > 0 ? "above" : "below"} the best price, ${price(now)}.`;
  }

  /** The order as the API takes it. Marks what is wrong and returns null. */
  #order() {
    const { elements } = this.form;
    const wrong = {};
    const text = (name) => typed(elements[name]);
    const decimal = (name, field = name) => {
      const value = text(name);
      if (!DECIMAL.test(value) || Number(value) <= 0) wrong[field] = "Enter a number greater than 0.";
      return value;
    };
    const order = { tokenIn: elements.tokenIn.value, tokenOut: elements.tokenOut.value, type: this.type, amount: decimal("amount") };
    const { places } = this;
    if (!wrong.amount && (order.amount.split(".")[1] ?? "").length > places) wrong.amount = `${token(order.tokenIn)} has ${places} decimal places.`;
    const slippage = text("slippage");
    order.slippageBps = Math.round(Number(slippage) * 100);
    if (!DECIMAL.test(slippage) || order.slippageBps > 5000) wrong.slippageBps = "From 0 to 50 %.";
    if (this.type === "limit") Object.assign(order, { limitPrice: decimal("limitPrice"), triggerCondition: elements.triggerCondition.value });
    if (this.type === "limit" && this.turned) order.priceIn = "tokenIn";
    if (this.#farPriceMeant) order.allowFarPrice = true;
    if (this.type === "sniper") {
      order.trigger = { kind: elements.kind.value };
      if (order.trigger.kind === "liquidity") order.trigger.minLiquidity = decimal("minLiquidity");
      if (order.trigger.kind === "volume") order.trigger.volumeFactor = decimal("volumeFactor");
      const impact = text("maxPriceImpactBps");
      if (impact && !/^\d{1,5}$/.test(impact)) wrong.maxPriceImpactBps = "A whole number of basis points, or nothing.";
      else if (impact) order.maxPriceImpactBps = Number(impact);
    }
    if (this.slices.wanted) return this.#checked(this.slices.read(order, wrong, this), wrong);
    if (this.exits.mode !== "none") {
      order.kind = "bracket";
      order.exits = this.exits.read();
      if (!order.exits) wrong.exits = "";
      if (this.exits.mode === "alone") {
        order.entry = false;
        delete order.slippageBps;
        delete wrong.slippageBps;
      }
    }
    if (this.type !== "market" && elements.expires.value) order.expiresAt = new Date(Date.now() + 1000 * Number(elements.expires.value)).toISOString();
    return this.#checked(order, wrong);
  }

  #checked(order, wrong) {
    for (const name of ERRORS) this.#error(name, wrong[name] ?? "");
    return Object.keys(wrong).length ? null : order;
  }

  #error(name, message) {
    const place = byId(`${name}-error`);
    if (!place) return false;
    if (place.textContent !== message) place.textContent = message;
    if (message && place.closest("details")) place.closest("details").open = true;
    const field = this.form.elements[name === "slippageBps" ? "slippage" : name];
    if (field instanceof HTMLInputElement) message ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
    return true;
  }

  /** Decimal places of what is paid. */
  get places() {
    return Number(this.form.elements.tokenIn.selectedOptions[0].dataset.decimals);
  }

  async #place() {
    const order = this.#order();
    if (!order) return this.form.querySelector("[aria-invalid]")?.focus();
    const button = byId("place");
    button.disabled = true;
    this.#error("form", "");
    // Pressed again after a lost answer, the engine takes it for the same order.
    this.#idempotency ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    try {
      const answer = await call(order.kind ? "/api/plans" : "/api/orders/execute", { method: "POST", body: order, headers: { "Idempotency-Key": this.#idempotency } });
      this.#idempotency = null;
      this.placed(answer, order);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#refused(error);
      if (order.entry === false || order.kind === "schedule" || !isMeant(error)) return;
      this.#farPriceMeant = true;
      await this.#place();
    } finally {
      button.disabled = false;
    }
  }

  #refused(error) {
    let shown = false;
    for (const [name, messages] of Object.entries(error.details)) {
      const message = messages.join(", ");
      shown = this.exits.refused(name, message) || this.#error(this.#field(name), message) || shown;
    }
    if (!shown) this.#error("form", error.message);
    (this.form.querySelector("[aria-invalid]") ?? byId("place")).focus();
  }

  /** The ticket's field for what the API calls so. */
  #field(name) {
    const last = name.split(".").at(-1);
    if (!this.slices.wanted) return last;
    if (this.turned && (last === "minPrice" || last === "maxPrice")) return last === "minPrice" ? "maxPrice" : "minPrice";
    return last === "amount" && !this.slices.spread ? "total" : FIELDS[last] ?? last;
  }

  /** What the preview asks for. */
  #wish() {
    const { amount, slippage, limitPrice, triggerCondition } = this.form.elements;
    const pair = this.pair.split("-");
    const [value, limit] = [typed(amount), typed(limitPrice)];
    const each = this.slices.preview(value, pair[0], this.places);
    const limited = this.type === "limit" && DECIMAL.test(limit) && triggerCondition.value === "gte";
    const least = limited ? { limitPrice: limit, ...(this.turned ? { priceIn: "tokenIn" } : {}) } : {};
    return { amount: this.slices.wanted ? each : value, pair, type: this.exits.mode === "alone" ? "exits" : this.type, turned: this.turned, least, slippageBps: Math.round(Number(typed(slippage)) * 100) || 0 };
  }
}

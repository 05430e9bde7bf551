// Both venues' live quotes and the better of them: tiles, the large price, the chart.

import { known } from "./api.js";
import { Chart } from "./chart.js";
import { compact, element, percent, price, token } from "./format.js";
import { Live } from "./live.js";

const STALE_MS = 3000;
const byId = (id) => document.getElementById(id);

export class Quotes {
  #live = null;
  #receivedAt = 0;
  #shown = {};
  pair = null;
  best = null;
  turned = false;

  /** `changed()` is called with every new quote, `state` as `Live`'s. */
  constructor(changed, state) {
    this.changed = changed;
    this.state = state;
    this.chart = new Chart(byId("chart"));
    this.tiles = Object.fromEntries([...document.querySelectorAll(".tile")].map((tile) => [tile.dataset.venue, tile]));
    setInterval(() => this.#age(), 1000);
  }

  watch(tokenIn, tokenOut) {
    const pair = `${tokenIn}-${tokenOut}`;
    if (pair === this.pair || !known()) return;
    this.#live?.close();
    this.pair = pair;
    this.best = null;
    this.#receivedAt = 0;
    this.chart.clear();
    this.#show({});
    byId("chart-empty").hidden = tokenIn === tokenOut;
    if (tokenIn !== tokenOut) this.#live = new Live(() => `/ws/quotes/${pair}`, (message) => this.#receive(message), this.state);
  }

  /** Counts prices as tokenIn per tokenOut, or as they are traded: tokenOut per tokenIn. Returns whether that is new. */
  turn(turned) {
    if (turned === this.turned) return false;
    this.turned = turned;
    this.chart.turn();
    if (this.pair) this.#show(this.#shown);
    return true;
  }

  /** The best price as it is shown, or null. */
  get now() {
    const best = this.counted(this.best);
    return Number.isFinite(best) && best > 0 ? best : null;
  }

  counted(quote) {
    const value = Number(quote?.netPrice ?? quote?.price);
    return this.turned ? 1 / value : value;
  }

  #receive(message) {
    if (message.type !== "quotes" || message.pair !== this.pair) return;
    this.#receivedAt = Date.now();
    const { raydium, meteora, best, slow } = message;
    this.best = best ?? null;
    const prices = {};
    for (const [venue, quote] of Object.entries({ raydium, meteora })) if (quote) prices[venue] = this.counted(quote);
    if (Object.keys(prices).length) {
      this.chart.add(Date.now(), prices);
      byId("chart-empty").hidden = true;
    }
    this.#show({ raydium, meteora, best, slow });
    this.changed();
  }

  #show(quotes) {
    this.#shown = quotes;
    const [one, other] = this.turned ? this.pair.split("-").reverse() : this.pair.split("-");
    byId("market-title").replaceChildren(token(one), " ", element("span", {}, `/ ${token(other)}`));
    for (const [venue, tile] of Object.entries(this.tiles)) {
      const quote = quotes[venue];
      tile.querySelector("output").textContent = price(quote ? this.counted(quote) : null);
      const late = quotes.slow?.find((each) => each.venue.toLowerCase() === venue);
      tile.querySelector("small").textContent = late ? delay(quote) : note(venue, quote);
      tile.classList.toggle("wins", Boolean(quotes.best) && quotes.best.venue?.toLowerCase() === venue);
      tile.classList.remove("stale");
    }
    const slow = byId("slow");
    const said = (quotes.slow ?? []).map((each) => `${name(each.venue)} is slow: ${reason(each)}`).join(" · ");
    slow.hidden = !said;
    if (slow.textContent !== said) slow.textContent = said;
    const now = this.counted(quotes.best);
    byId("price").textContent = price(now);
    const first = this.chart.first;
    const change = byId("change");
    if (!first || !Number.isFinite(now)) return void (change.textContent = "");
    const bps = (now / first[1] - 1) * 10_000;
    change.textContent = `${bps >= 0 ? "+" : "−"}${percent(Math.abs(bps))}`;
    change.className = bps >= 0 ? "up quiet" : "down quiet";
    document.title = `${price(now)} ${token(one)}-${token(other)} · orderengine`;
  }

  #age() {
    const old = Date.now() - this.#receivedAt > STALE_MS;
    for (const tile of Object.values(this.tiles)) tile.classList.toggle("stale", old);
    if (old && this.#receivedAt) this.tiles.best.querySelector("small").textContent = `${Math.round((Date.now() - this.#receivedAt) / 1000)} s old`;
  }
}

const name = (venue) => `${venue[0]}${venue.slice(1).toLowerCase()}`;

const REASONS = {
  VENUE_RATE_LIMITED: "its rate limit lets it be asked less often than prices are wanted",
  VENUE_TIMEOUT: "it answers too late",
  VENUE_UNAVAILABLE: "it does not answer",
  VENUE_RESTING: "it failed too often and is asked again in a moment",
};

/** Short words for what the engine says of a venue that does not keep up. */
function reason({ code, message }) {
  return REASONS[code] ?? message;
}

function delay(quote) {
  return quote ? `${Math.round(quote.ageMs / 1000)} s old` : "no price now";
}

function note(venue, quote) {
  if (!quote) return venue === "best" ? "no fresh quote" : "not trading";
  if (venue === "best") return quote.venue ? `at ${name(quote.venue)}` : "";
  const fee = quote.feeBps === undefined ? "" : `fee ${percent(quote.feeBps)}`;
  return quote.liquidity === undefined ? fee : `${fee} · ${compact(quote.liquidity)} deep`;
}

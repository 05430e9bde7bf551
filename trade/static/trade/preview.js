// What the ticket's order would get now: asked again as the ticket and the market change, shown above the button.

import { ApiError, call } from "./api.js";
import { DECIMAL } from "./decimals.js";
import { amount, facts, percent, price, token } from "./format.js";

const AFTER_MS = 220;
const EVERY_MS = 1500;
const byId = (id) => document.getElementById(id);

export class Preview {
  #timer = null;
  #at = 0;
  #asking = null;

  /** `wish()` is what to ask for: `{amount, pair, slippageBps, type, turned, least}`, `least` the worst price of a limit as the query has it. */
  constructor(wish) {
    this.wish = wish;
  }

  /** The ticket has changed: asked once nobody types. */
  soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), AFTER_MS);
  }

  /** New quotes have come: the preview follows, not faster than it can be read. */
  quoted() {
    if (Date.now() - this.#at > EVERY_MS) this.#ask();
  }

  async #ask() {
    this.#at = Date.now();
    this.#asking?.abort();
    const wish = this.wish();
    const [tokenIn, tokenOut] = wish.pair;
    if (!DECIMAL.test(wish.amount ?? "") || Number(wish.amount) <= 0 || !tokenIn || !tokenOut || tokenIn === tokenOut) return this.#empty("Enter an amount to see what to expect.");
    const query = new URLSearchParams({ amount: wish.amount, slippageBps: wish.slippageBps, ...wish.least });
    this.#asking = new AbortController();
    try {
      this.#show(await call(`/api/preview/${tokenIn}-${tokenOut}?${query}`, { signal: this.#asking.signal }), wish);
    } catch (error) {
      if (error instanceof ApiError) this.#empty(error.message);
    }
  }

  #show(preview, { type, turned, pair: [tokenIn, tokenOut] }) {
    if (preview.expectedOut === null) return this.#empty(type === "sniper" ? "Not trading yet: the sniper waits for it." : preview.reason);
    const [sliced, now] = [type === "schedule", type === "exits"];
    byId("expected").textContent = `≈ ${amount(preview.expectedOut, 6)}${sliced ? " each" : ""}`;
    facts(byId("preview").firstElementChild, [
      [type === "market" ? "Price" : "Price now", turned ? `${price(1 / preview.netPrice)} ${token(tokenIn)}` : `${price(preview.netPrice)} ${token(tokenOut)}`],
      [sliced ? "A slice at least" : "At least", now ? null : `${amount(preview.minOut, 6)} ${token(tokenOut)}`],
      ["Price impact", percent(preview.impactBps)],
      ["Venue", preview.venue],
    ]);
    byId("preview").lastElementChild.textContent = `${preview.reason}.`;
  }

  #empty(message) {
    byId("expected").textContent = "–";
    byId("preview").firstElementChild.replaceChildren();
    byId("preview").lastElementChild.textContent = message;
  }
}

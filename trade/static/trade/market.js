// Controls of the mock market and of the localnet, for operators.

import { call } from "./api.js";
import { token } from "./format.js";

const byId = (id) => document.getElementById(id);

/** `ticket` knows the pair, `quotes` its last quotes. */
export function start(ticket, quotes) {
  const form = byId("controls");
  if (!form) return;
  const said = byId("controls-said");

  async function move(change, what, pair = ticket.pair) {
    said.textContent = "";
    try {
      await call("/api/mock/market", { method: "POST", body: { pair, ...change } });
      said.textContent = `${pair}: ${what}.`;
    } catch (error) {
      said.textContent = error.message;
    }
  }

  function set(name) {
    const value = byId(`move-${name}`).value.trim();
    if (value) move({ [name]: value }, `${name} is ${value}`);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    set(document.activeElement?.id === "move-liquidity" ? "liquidity" : "price");
  });
  form.addEventListener("click", (event) => {
    const { move: name, nudge, act } = event.target.dataset;
    if (name) set(name);
    if (nudge && quotes.best) {
      const price = (Number(quotes.best.price ?? quotes.best.netPrice) * (1 + Number(nudge))).toPrecision(8);
      move({ price }, `price moved to ${price}`);
    }
    if (act === "spike") move({ volume: String(Math.round(10 * (quotes.volume || 500_000))) }, "volume spiked");
    if (act === "list") move({ listed: true }, "listed", "NEW-USDC");
    if (act === "delist") move({ listed: false }, "delisted", "NEW-USDC");
  });
  for (const venue of ["raydium", "meteora"]) byId(venue)?.addEventListener("change", ({ target }) => move({ [venue]: target.value }, `${venue} is ${target.value}`));
  byId("hold").addEventListener("change", ({ target }) => move({ hold: target.checked }, target.checked ? "price held" : "price wanders"));
  ticket.onPair(() => { form.querySelector("[data-pair]").textContent = ticket.pair.split("-").map(token).join("-"); });
}

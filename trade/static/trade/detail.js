// One order: its stages as they happen, what was quoted, what was sent, why it failed.

import { amount, clock, duration, element, facts, percent, price, short, symbol, token, trade } from "./format.js";
import { Live } from "./live.js";
import { after, wish } from "./orders.js";
import { draw, FINAL } from "./stepper.js";

const TICK_MS = 100;
const byId = (id) => document.getElementById(id);

export class Detail {
  #live = null;
  #order = null;
  #events = [];
  #skew = 0;
  #said = "";

  /** `changed(order)` with every newer state, `act(name, order)` when a button is pressed, `closed()`. */
  constructor({ changed, act, closed }) {
    Object.assign(this, { changed, act, closed });
    this.card = byId("detail");
    this.card.addEventListener("click", (event) => {
      const name = event.target.closest("[data-act]")?.dataset.act;
      if (name === "close") this.close();
      else if (name) this.act(name, this.#order);
    });
    setInterval(() => this.#order && !FINAL.has(this.#order.status) && this.#stepper(), TICK_MS);
  }

  get id() {
    return this.#order?.orderId ?? null;
  }

  open(order) {
    if (this.id === order.orderId) return;
    this.#live?.close();
    this.#order = order;
    this.#events = [];
    this.#said = "";
    this.card.hidden = false;
    this.#show();
    this.#watch();
  }

  close() {
    this.#live?.close();
    this.#live = null;
    this.#order = null;
    this.card.hidden = true;
    this.closed();
  }

  /** From the account's feed: an order that is watched here no more was sent round again. */
  onEvent(order) {
    if (order.orderId === this.id && order.seq > this.#order.seq && FINAL.has(this.#order.status)) this.#watch();
  }

  #watch() {
    const id = this.id;
    this.#live?.close();
    this.#live = new Live(() => `/ws/${id}?after=${this.#events.at(-1)?.seq ?? 0}`, (message) => this.#receive(message));
  }

  #receive(message) {
    const seen = this.#events.at(-1)?.seq ?? 0;
    if (message.type === "snapshot") {
      this.#order = message.order;
      this.#events.push(...message.events.filter(({ seq }) => seq > seen));
    } else if (message.type === "event" && message.seq === seen + 1) {
      this.#order = after(this.#order, message);
      this.#events.push(message);
      this.#skew = Math.min(Date.now() - Date.parse(message.at), 2000);
    } else return;
    this.#show();
    this.changed(this.#order);
  }

  #show() {
    const order = this.#order;
    byId("detail-title").textContent = trade(order);
    const badge = byId("detail-status");
    badge.textContent = order.resting ? "waiting" : order.status;
    badge.dataset.status = order.status;
    // The engine refuses to change an order of a plan by itself (PART_OF_PLAN).
    this.card.querySelector('[data-act="plan"]').hidden = !order.planId;
    this.card.querySelector('[data-act="cancel"]').hidden = order.status !== "pending" || Boolean(order.planId);
    this.card.querySelector('[data-act="amend"]').hidden = !order.resting || Boolean(order.planId);
    byId("failure").hidden = !order.failure;
    byId("failure").textContent = order.failure ? `${order.failure.code}: ${order.failure.message}` : "";
    const logs = this.#events.findLast(({ data }) => data.error?.logs)?.data.error.logs ?? [];
    byId("detail-logs").hidden = !logs.length;
    byId("detail-logs").querySelector("pre").textContent = logs.join("\n");
    this.#stepper();
    this.#facts();
    this.#gates();
    this.#quotes();
    this.#history();
  }

  #stepper() {
    const said = draw(byId("stepper"), this.#order, this.#events, Date.now() - Math.min(this.#skew, 0));
    if (said !== this.#said) byId("stage").textContent = `Order ${said}`;
    this.#said = said;
  }

  #facts() {
    const order = this.#order;
    const sent = this.#events.findLast(({ status }) => status === "submitted")?.data;
    const done = this.#events.findLast(({ status }) => status === "confirmed")?.data;
    const started = this.#events.findLast(({ status }) => status === "routing");
    const final = FINAL.has(order.status) && started ? Date.parse(order.updatedAt) - Date.parse(started.at) : null;
    facts(byId("facts"), [
      ["Type", wish(order)],
      ["Paid", order.exactOut && order.amountIn && `${amount(order.amountIn)} ${token(order.tokenIn)}`],
      ["Received", order.amountOut && `${amount(order.amountOut)} ${token(order.tokenOut)}`],
      ["Price", order.executedPrice && price(order.executedPrice)],
      ["Venue", order.venue ?? sent?.venue],
      ["Divided", parts((done ?? sent)?.parts, order), "long"],
      ["Chosen first", sent?.refusals?.map(({ venue, message }) => `${venue}: ${message}`).join(" · "), "long"],
      ["Venue's fee", order.fee && `${amount(order.fee)} ${token(order.tokenOut)}`],
      ["The chain's fees", order.fees && costs(order.fees), "long"],
      ["Fees at most", order.maxFeeLamports && `${amount(order.maxFeeLamports / 1e9)} SOL`],
      ["At least", sent && !sent.maxIn ? `${amount(sent.minOut)} ${token(order.tokenOut)}` : null],
      ["Paid at most", (sent?.maxIn ?? order.amountInMax) && `${amount(sent?.maxIn ?? order.amountInMax)} ${token(order.tokenIn)}`],
      ["Slippage", `${percent(order.slippageBps)} at most`],
      ["Attempts", order.attempts || null],
      ["Execution took", final && duration(final)],
      ["Expires", order.expiresAt && clock(order.expiresAt)],
      ["Part of its plan", order.leg],
      ["Client order id", order.clientOrderId],
      ["Slot", order.slot && String(order.slot)],
      ["Compute units", done?.units && amount(done.units)],
      ["Wallet", order.wallet, "long"],
      ["Transaction", transaction(order.txHash ?? sent?.signature), "long"],
      ["Order id", order.orderId, "long"],
    ]);
  }

  /** What the last attempt found of a token that a sniper buys: what keeps it from buying comes first. */
  #gates() {
    const found = this.#events.findLast(({ data }) => data.gates)?.data.gates ?? [];
    byId("detail-gates").hidden = !found.length;
    const rows = VERDICTS.flatMap(([verdict, said, status]) => found.filter((each) => each.verdict === verdict).map((each) => element(
      "tr", {},
      element("td", {}, GATES[each.gate] ?? each.gate.replace(/^extension/, "Extension ")),
      element("td", {}, element("span", { class: "badge", "data-status": status }, said)),
      element("td", {}, each.found),
    )));
    table(byId("detail-gates"), ["Gate", "Verdict", "Found"], rows, []);
  }

  #quotes() {
    const rounds = this.#events.filter(({ data }) => data.quotes);
    byId("detail-quotes").hidden = !rounds.length;
    const rows = rounds.flatMap(({ data }) => [
      ...list(data.quotes).map((quote) => element(
        "tr", { class: quote.venue === data.venue && "won" },
        element("td", {}, `${quote.venue}${quote.venue === data.venue ? " ✓" : ""}`),
        element("td", { class: "num" }, quote.amountIn ? `${amount(quote.amountIn)} ${token(this.#order.tokenIn)}` : `${amount(quote.amountOut)} ${token(this.#order.tokenOut)}`),
        element("td", { class: "num" }, price(quote.netPrice)),
        element("td", { class: "num" }, percent(quote.feeBps)),
        element("td", { class: "num" }, percent(quote.impactBps)),
      )),
      ...list(data.refusals).map((refusal) => element("tr", {}, element("td", {}, refusal.venue), element("td", { colspan: 4 }, `${refusal.code}: ${refusal.message}`))),
      element("tr", {}, element("td", { colspan: 5 }, element("span", { class: "quiet" }, `Attempt ${data.attempt ?? 1}: ${data.reason ?? "no venue could be used"}.`))),
    ]);
    table(byId("detail-quotes"), ["Venue", this.#order.exactOut ? "Takes" : "Pays", "Net price", "Fee", "Impact"], rows, [1, 2, 3, 4]);
  }

  #history() {
    const start = Date.parse(this.#events[0]?.at ?? this.#order.createdAt);
    const rows = this.#events.map(({ seq, status, at, data }) => element(
      "tr", {},
      element("td", {}, String(seq)),
      element("td", {}, element("span", { class: "badge", "data-status": status }, status)),
      element("td", { class: "num" }, `+${duration(Date.parse(at) - start)}`),
      element("td", {}, element("code", {}, summary(data))),
    ));
    table(byId("detail-events"), ["#", "Status", "After", "What"], rows, [2]);
  }
}

/** What the chain took, by kind: the venue's own fee stands apart. */
function costs(fees) {
  return fees.filter(({ kind }) => kind !== "venue").map(({ kind, amount: part, token: mint }) => `${kind} ${amount(part)} ${symbol(mint)}`).join(" · ");
}

/** Of a split: what each pool takes of what is sold and pays for it; before it has landed, at least. */
function parts(split, { tokenIn, tokenOut }) {
  return split?.map(({ venue, amountIn, amountOut }) => `${amount(amountIn)} ${token(tokenIn)} for ${amount(amountOut)} ${token(tokenOut)} at ${venue}`).join(" · ");
}

/** A link to the explorer where the mode has one. */
function transaction(signature) {
  const { explorer } = document.body.dataset;
  if (!signature || !explorer) return signature;
  return element("a", { href: explorer.replace("{signature}", signature), target: "_blank", rel: "noopener noreferrer" }, signature);
}

const VERDICTS = [["fail", "fails", "failed"], ["unknown", "not known", "pending"], ["pass", "passes", "confirmed"]];
const GATES = {
  mint: "Token", mintAuthority: "Nobody makes more of it", freezeAuthority: "Nobody can freeze it", transferFee: "No fee on transfers",
  defaultFrozen: "Accounts are not frozen", nonTransferable: "It can be moved", permanentDelegate: "Nobody can take it away",
  transferHook: "No program decides over transfers", pausable: "Transfers cannot be stopped", sellable: "It can be sold again",
  topHolders: "Not in few hands", poolSize: "The pool is large enough", poolAge: "The pool is old enough", lpBurnt: "Liquidity stays",
};

const list = (value) => (Array.isArray(value) ? value : []);

function summary(data) {
  const { quotes, refusals, gates, ...rest } = data;
  if (rest.error) return `${rest.error.code}: ${rest.error.message}${rest.retryInMs ? `; again in ${duration(rest.retryInMs)}` : ""}`;
  return Object.entries(rest)
    .map(([name, value]) => `${name} ${typeof value === "object" && value !== null ? JSON.stringify(value) : short(String(value), 20, 8)}`)
    .join(" · ");
}

function table(details, heads, rows, numeric) {
  const head = element("tr", {}, heads.map((name, n) => element("th", { scope: "col", class: numeric.includes(n) && "num" }, name)));
  details.querySelector(".scroll").replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, rows)));
}

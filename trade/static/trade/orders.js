// The account's orders: the newest from the feed, older ones from REST, every change as it happens.

import { call } from "./api.js";
import { amount, clock, element, limit, percent, token, trade } from "./format.js";
import { Live } from "./live.js";
import { dots, FINAL } from "./stepper.js";

const MAX_KEPT = 400;
const SHOWN = 50;
const REFRESH_MS = 300;
const byId = (id) => document.getElementById(id);

/** The order after an event, as `GET /api/orders/{id}` would say it. */
export function after(order, event) {
  const { data } = event;
  const next = { ...order, seq: event.seq, status: event.status, updatedAt: event.at, resting: Boolean(data.resting), ...data.amended };
  for (const name of ["venue", "executedPrice", "amountIn", "amountOut", "fee", "txHash"]) if (data[name] !== undefined) next[name] = data[name];
  if (data.amended?.askedPrice !== undefined) {
    const asked = data.amended.askedPrice;
    Object.assign(next, { priceIn: asked === null ? "tokenOut" : "tokenIn", limitPrice: asked ?? data.amended.limitPrice });
  }
  if (data.attempt) next.attempts = data.attempt;
  if (event.status === "routing") next.attempts = Math.max(order.attempts, data.attempt ?? order.attempts + 1);
  if (event.status === "failed") next.failure = data.error ?? order.failure;
  if (data.requeued) Object.assign(next, { failure: null, attempts: 0 });
  return next;
}

export class Orders {
  #orders = new Map();
  #rows = new Map();
  #shown = SHOWN;
  #older = null;
  #frame = null;
  #refreshing = null;

  /** `open(id)`, `act(name, order)` when somebody asks for it; `onEvent(order, event)` with every event. */
  constructor({ open, act, onEvent, state }) {
    Object.assign(this, { open, act, onEvent });
    this.body = byId("orders");
    this.selected = null;
    this.body.addEventListener("click", (event) => this.#clicked(event));
    byId("more").addEventListener("click", () => this.#more());
    for (const id of ["filter", "filter-type"]) byId(id).addEventListener("change", () => this.#filtered());
    this.live = new Live(() => "/ws/orders", (message) => this.#message(message), state);
  }

  get(id) {
    return this.#orders.get(id);
  }

  put(order) {
    const known = this.#orders.get(order.orderId);
    if (known && known.seq > order.seq) return;
    this.#orders.set(order.orderId, order);
    this.#draw();
  }

  select(id) {
    this.selected = id;
    this.#draw();
  }

  #message(message) {
    if (message.type === "snapshot") {
      const told = new Set(message.orders.map(({ orderId }) => orderId));
      for (const order of message.orders) this.put(order);
      this.#again([...this.#orders.values()].filter(({ orderId, status }) => !told.has(orderId) && !FINAL.has(status)));
      if (this.#older === null && message.orders.length >= SHOWN) this.#older = true;
      return this.#draw();
    }
    if (message.type !== "event") return;
    const order = this.#orders.get(message.orderId);
    if (!order) return this.#refresh();
    if (message.seq > order.seq + 1) return this.#again([order]);
    if (message.seq <= order.seq) return;
    this.put(after(order, message));
    this.onEvent(this.#orders.get(message.orderId), message);
  }

  /** Orders that others placed: one question for all that are seen within a moment. */
  #refresh() {
    this.#refreshing ??= setTimeout(async () => {
      this.#refreshing = null;
      const { orders } = await call(`/api/orders?limit=${SHOWN}`).catch(() => ({ orders: [] }));
      for (const order of orders) this.put(order);
    }, REFRESH_MS);
  }

  /** Older orders, of which a snapshot says nothing: they may have changed while nobody listened. */
  async #again(orders) {
    for (const { orderId } of orders) {
      const order = await call(`/api/orders/${orderId}`).catch(() => null);
      if (order) this.put(order);
    }
  }

  #filtered() {
    this.#shown = SHOWN;
    this.#older = true;
    this.#fetch(null);
    this.#draw();
  }

  #more() {
    this.#shown += SHOWN;
    this.#fetch(this.#list().at(-1)?.orderId ?? null);
  }

  async #fetch(cursor) {
    const query = new URLSearchParams({ limit: SHOWN });
    const status = byId("filter").value;
    if (status && status !== "open" && status !== "resting") query.set("status", status);
    if (status === "resting") query.set("status", "pending");
    if (byId("filter-type").value) query.set("type", byId("filter-type").value);
    if (cursor) query.set("cursor", cursor);
    const page = await call(`/api/orders?${query}`).catch(() => null);
    if (!page) return;
    this.#older = page.next !== null;
    for (const order of page.orders) this.put(order);
    this.#draw();
  }

  #list() {
    const status = byId("filter").value;
    const type = byId("filter-type").value;
    return [...this.#orders.values()]
      .filter((order) => !type || order.type === type)
      .filter((order) => !status || order.status === status || (status === "open" && !FINAL.has(order.status)) || (status === "resting" && order.resting))
      .sort((a, b) => (a.orderId < b.orderId ? 1 : -1));
  }

  #draw() {
    this.#frame ??= requestAnimationFrame(() => { this.#frame = null; this.#paint(); });
  }

  #paint() {
    this.#purge();
    const list = this.#list();
    const shown = list.slice(0, this.#shown);
    const focused = document.activeElement?.closest?.("tr")?.dataset.id;
    const rows = shown.map((order) => this.#row(order));
    if (rows.length !== this.body.children.length || rows.some((row, n) => this.body.children[n] !== row)) {
      this.body.replaceChildren(...rows);
      if (focused && focused !== document.activeElement?.closest?.("tr")?.dataset.id) this.#rows.get(focused)?.row.querySelector(".open")?.focus();
    }
    byId("orders-empty").hidden = list.length > 0;
    byId("orders-empty").textContent = this.#orders.size ? "No order of this kind." : "No orders yet. Place one and watch it go through.";
    byId("more").hidden = !(this.#older || list.length > this.#shown) || !list.length;
  }

  /** A busy account must not fill the browser: the oldest final ones go. */
  #purge() {
    const most = Math.max(MAX_KEPT, this.#shown * 2);
    if (this.#orders.size <= most) return;
    const ids = [...this.#orders.keys()].sort();
    for (const id of ids.slice(0, this.#orders.size - most)) {
      if (id === this.selected) continue;
      this.#orders.delete(id);
      this.#rows.delete(id);
    }
  }

  #row(order) {
    const known = this.#rows.get(order.orderId);
    const row = known?.row ?? element("tr", { "data-id": order.orderId, class: "new" });
    if (order.orderId === this.selected) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
    if (known?.seq === order.seq) return row;
    const cells = [
      element("td", {}, element("time", { datetime: order.createdAt }, clock(order.createdAt))),
      element("td", {}, element("button", { class: "open", type: "button" }, trade(order))),
      element("td", {}, wish(order)),
      element("td", { class: "stage" }, dots(order), element("span", { class: "badge", "data-status": order.status }, order.resting ? "waiting" : order.status)),
      element("td", { class: "num" }, result(order)),
      element("td", {}, ...buttons(order)),
    ];
    if (known && row.contains(document.activeElement)) {
      const at = [...row.querySelectorAll("button")].indexOf(document.activeElement);
      row.replaceChildren(...cells);
      (row.querySelectorAll("button")[at] ?? row.querySelector("button")).focus();
    } else row.replaceChildren(...cells);
    this.#rows.set(order.orderId, { row, seq: order.seq });
    return row;
  }

  #clicked(event) {
    const id = event.target.closest("tr")?.dataset.id;
    if (!id) return;
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act) this.act(act, this.#orders.get(id));
    else this.open(id);
  }
}

export function wish(order) {
  if (order.trailBps) return `trailing stop, ${percent(order.trailBps)} below the highest`;
  if (order.type === "limit") return `limit ${limit(order)}`;
  if (order.type !== "sniper") return order.type;
  const { kind, minLiquidity, volumeFactor } = order.trigger ?? {};
  if (kind === "liquidity") return `sniper: liquidity ≥ ${amount(minLiquidity)}`;
  return kind === "volume" ? `sniper: volume × ${amount(volumeFactor)}` : "sniper: launch";
}

function result(order) {
  if (order.status === "confirmed") return `${amount(order.amountOut, 6)} ${token(order.tokenOut)}`;
  return order.status === "failed" ? (order.failure?.code ?? "").replaceAll("_", " ").toLowerCase() : "";
}

function buttons(order) {
  const named = (act, text, kind = "") => element("button", { type: "button", class: `small ${kind}`, "data-act": act, "aria-label": `${act === "plan" ? "Show the plan of" : text} the order of ${trade(order, "for")}` }, text);
  if (order.planId) return [named("plan", "Plan")];
  if (!order.resting) return [];
  return [named("amend", "Amend"), " ", named("cancel", "Cancel", "danger")];
}

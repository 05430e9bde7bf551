// One plan: its orders as they go, how far it is, what it paid on average. Its exits stand on the chart and can be moved there.

import { call } from "./api.js";
import { plain } from "./decimals.js";
import { amount, clock, duration, element, facts, percent, price, spoken, token } from "./format.js";
import { Live } from "./live.js";
import { ENDED, exitOf, kindOf, meter, progressOf, titleOf, tokensOf } from "./plans.js";

const SOON_MS = 120;
const LEGS_SHOWN = 60;
const NAMES = { takeProfit: "Take-profit", stopLoss: "Stop", trailing: "Trailing stop", timeLimit: "Time limit" };
const byId = (id) => document.getElementById(id);

export class PlanCard {
  #live = null;
  #plan = null;
  #events = [];
  #timer = 0;

  /** `orders` has the newest state of an order; `changed(plan)`, `lines()` when the chart is to follow, `openOrder(id)`, `amend(leg, plan)`, `closed()`, `toast(text)`. */
  constructor(given) {
    Object.assign(this, given);
    this.card = byId("plan");
    this.card.addEventListener("click", (event) => this.#clicked(event));
  }

  get id() {
    return this.#plan?.planId ?? null;
  }

  get plan() {
    return this.#plan;
  }

  open(plan) {
    if (this.id === plan.planId) return;
    this.#live?.close();
    this.#plan = plan;
    this.#events = [];
    byId("plan-error").textContent = "";
    this.card.hidden = false;
    this.#show();
    this.#live = new Live(() => `/ws/plans/${plan.planId}?after=${this.#events.at(-1)?.seq ?? 0}`, (message) => this.#receive(message));
  }

  close() {
    this.#live?.close();
    clearTimeout(this.#timer);
    this.#live = this.#plan = null;
    this.card.hidden = true;
    this.lines();
    this.closed();
  }

  /** One of its orders has gone on. */
  onOrder(order) {
    if (order.planId !== this.id || !this.#plan) return;
    if (this.#plan.legs.some(({ orderId }) => orderId === order.orderId)) this.#show();
    else this.#soon();
  }

  put(plan) {
    if (plan.planId !== this.id || plan.seq < this.#plan.seq) return;
    this.#plan = plan;
    this.#show();
    this.changed(plan);
  }

  #receive(message) {
    const seen = this.#events.at(-1)?.seq ?? 0;
    if (message.type === "snapshot") {
      this.#events.push(...message.events.filter(({ seq }) => seq > seen));
      this.put(message.plan);
    } else if (message.type === "event" && message.seq === seen + 1) {
      this.#events.push(message);
      Object.assign(this.#plan, { seq: message.seq, status: message.status, progress: message.data.progress ?? this.#plan.progress });
      this.#show();
      this.#soon();
    }
  }

  /** The event says what has changed; sizes and prices of all orders are read with one question. */
  #soon() {
    clearTimeout(this.#timer);
    const { id } = this;
    this.#timer = setTimeout(async () => {
      const plan = await call(`/api/plans/${id}`).catch(() => null);
      if (plan && id === this.id) this.put(plan);
    }, SOON_MS);
  }

  async #clicked({ target }) {
    const button = target.closest("button");
    const { act, order, leg } = button?.dataset ?? {};
    if (order) return this.openOrder(order);
    if (act === "close") return this.close();
    if (act === "amend") return this.amend(this.#legs().find((each) => each.leg === leg), this.#plan);
    if (!act) return;
    byId("plan-error").textContent = "";
    const path = `/api/plans/${this.id}`;
    button.disabled = true;
    try {
      this.put(await (act === "cancel" ? call(path, { method: "DELETE" }) : call(`${path}/${act}`, { method: "POST" })));
      this.toast({ cancel: ENDED.has(this.#plan?.status) ? "The plan is cancelled." : "The plan ends with what is being executed.", pause: "The plan is paused.", resume: "The plan goes on." }[act]);
    } catch (error) {
      byId("plan-error").textContent = error.message;
    } finally {
      button.disabled = false;
    }
  }

  /** The newest order of each leg as far as it is known, with the leg's exit; legs that wait to be made have none. */
  #legs() {
    const { kind, spec, legs } = this.#plan;
    const known = legs.map((leg) => {
      const order = this.orders.get(leg.orderId);
      return order && order.seq >= leg.seq ? { ...leg, ...order, failure: order.failure?.code ?? null } : leg;
    });
    if (kind === "schedule") return known.reverse();
    const newest = (name) => known.findLast(({ leg }) => leg === name);
    const entry = spec.entry ? [newest("entry") ?? { leg: "entry" }] : [];
    return [...entry, ...spec.exits.map((exit) => ({ leg: exit.leg, ...newest(exit.leg), exit }))];
  }

  #show() {
    const plan = this.#plan;
    const ended = ENDED.has(plan.status);
    byId("plan-title").textContent = titleOf(plan);
    const badge = byId("plan-status");
    badge.textContent = plan.status;
    badge.dataset.status = plan.status;
    const button = (act) => this.card.querySelector(`[data-act="${act}"]`);
    button("cancel").hidden = ended || plan.status === "closing";
    button("pause").hidden = plan.kind !== "schedule" || plan.status !== "active";
    button("resume").hidden = plan.status !== "paused";
    const [share, words] = progressOf(plan);
    byId("plan-progress").replaceChildren(...meter([ended && plan.status === "completed" && plan.kind === "schedule" ? 1 : share, words]));
    this.#facts();
    this.#rows();
    this.#history();
    this.lines();
  }

  #facts() {
    const { kind, spec, progress, nextAt, createdAt, clientPlanId, planId, finishedAt } = this.#plan;
    const [sold, bought] = tokensOf(this.#plan).map(token);
    const next = ["Next", nextAt && clock(nextAt)];
    const rest = [["Made", clock(createdAt)], ["Ended", finishedAt && clock(finishedAt)], ["Client plan id", clientPlanId], ["Plan id", planId, "long"]];
    if (kind === "schedule") {
      const average = progress.averagePrice;
      return facts(byId("plan-facts"), [
        ["Bought", progress.spent && `${amount(progress.bought, 6)} ${bought}`],
        ["Average price", average && `${price(average)} ${bought}`],
        ["That is", average && `${price(1 / average)} ${sold} per ${bought}`],
        ["Failed", progress.failed || null], ["Expired", progress.expired || null], ["Skipped", progress.skipped || null],
        ["Each", `every ${spoken(spec.everyS)}`], next, ...rest,
      ]);
    }
    const [base, quote] = [token(spec.token), token(spec.quote)];
    const gain = progress.averagePrice && spec.entry ? (progress.averagePrice / progress.cost - 1) * 10_000 : null;
    facts(byId("plan-facts"), [
      ["Kind", kindOf(this.#plan)],
      [spec.entry ? "Cost" : "Price when made", progress.cost && `${price(progress.cost)} ${quote} per ${base}`],
      ["Left", progress.position && `${amount(progress.remaining, 6)} ${base}`],
      ["Sold on average at", progress.averagePrice && `${price(progress.averagePrice)} ${quote}`],
      ["Proceeds", progress.averagePrice && `${amount(progress.proceeds, 6)} ${quote}`],
      ["Against the cost", gain === null ? null : `${gain < 0 ? "−" : "+"}${percent(Math.abs(gain))}`],
      next, ...rest,
    ]);
  }

  #rows() {
    const { kind, spec } = this.#plan;
    const legs = this.#legs();
    const [, bought] = tokensOf(this.#plan);
    const focused = this.card.contains(document.activeElement) ? { ...document.activeElement.dataset } : {};
    byId("plan-legs").replaceChildren(...legs.slice(0, LEGS_SHOWN).map((leg) => {
      const into = kind === "schedule" || leg.leg === "entry" ? bought : spec.quote;
      const from = kind === "schedule" ? spec.tokenIn : leg.leg === "entry" ? spec.quote : spec.token;
      return element(
        "tr", {},
        element("td", {}, leg.orderId ? element("button", { type: "button", class: "open", "data-order": leg.orderId, "aria-label": `Show the order: ${this.#name(leg)}` }, this.#name(leg)) : this.#name(leg)),
        element("td", { "data-label": "When" }, this.#when(leg)),
        element("td", { class: "num", "data-label": "Amount" }, leg.amount ? `${amount(leg.amount, 6)} ${token(from)}` : ""),
        element("td", {}, element("span", { class: "badge", "data-status": leg.status ?? "" }, leg.resting ? "waiting" : leg.status ?? this.#unmade())),
        element("td", { class: "num", "data-label": "Received" }, leg.amountOut ? `${amount(leg.amountOut, 6)} ${token(into)}` : (leg.failure ?? "").replaceAll("_", " ").toLowerCase()),
        element("td", {}, ...(leg.resting && amendable(leg) ? [element("button", { type: "button", class: "small", "data-act": "amend", "data-leg": leg.leg, "aria-label": `Amend: ${this.#name(leg)}` }, "Amend")] : [])),
      );
    }));
    byId("plan-legs-more").textContent = legs.length > LEGS_SHOWN ? `${legs.length - LEGS_SHOWN} earlier ones are in the list of orders.` : "";
    const again = focused.order ? `[data-order="${focused.order}"]` : focused.leg ? `[data-leg="${focused.leg}"]` : null;
    if (again) byId("plan-legs").querySelector(again)?.focus();
  }

  #name({ leg, round, exit }) {
    if (leg === "entry") return "Entry";
    if (!exit) return `Slice ${round}`;
    const several = exit.kind === "takeProfit" && this.#plan.spec.exits.filter(({ kind }) => kind === "takeProfit").length > 1;
    return `${NAMES[exit.kind]}${several ? ` ${leg.slice(2)}` : ""}`;
  }

  #when({ leg, exit, createdAt, finishedAt, executedPrice, type, limitPrice }) {
    const { spec } = this.#plan;
    if (executedPrice) return `done at ${price(executedPrice)}`;
    if (exit) return exit.kind === "timeLimit" ? `after ${spoken(exit.afterS)}` : amendable({ exit }) && limitPrice ? `at ${price(limitPrice)} ${token(spec.quote)}` : exitOf(exit, spec.quote);
    if (leg === "entry") return type === "limit" && limitPrice ? `limit ${price(limitPrice)}` : spec.entry.type;
    return createdAt ? clock(finishedAt ?? createdAt) : "";
  }

  #unmade() {
    return ENDED.has(this.#plan.status) ? "not needed" : "later";
  }

  #history() {
    const start = Date.parse(this.#plan.createdAt);
    byId("plan-events").replaceChildren(...this.#events.map(({ seq, status, at, data }) => element(
      "tr", {},
      element("td", {}, String(seq)),
      element("td", {}, element("span", { class: "badge", "data-status": status }, status)),
      element("td", { class: "num" }, `+${duration(Date.parse(at) - start)}`),
      element("td", {}, element("code", {}, happened(data))),
    )));
  }

  /** For the chart of a pair: the exits that can fire, where the chart shows the price they wait for. */
  chartLines([tokenIn, tokenOut], turned) {
    const plan = this.#plan;
    if (!plan || plan.kind !== "bracket" || plan.status !== "active") return [];
    const [one, counted] = turned ? [tokenOut, tokenIn] : [tokenIn, tokenOut];
    const { token: base, quote } = plan.spec;
    const same = one === base && counted === quote;
    if (!same && !(one === quote && counted === base)) return [];
    const shown = (value) => (same ? value : 1 / value);
    return this.#legs().filter((leg) => leg.exit && leg.resting && amendable(leg)).map((leg) => {
      const take = leg.exit.kind === "takeProfit";
      const away = plan.progress.cost && (leg.limitPrice / plan.progress.cost - 1) * 10_000;
      return {
        key: `${plan.planId}-${leg.leg}`, tag: take ? leg.leg.toUpperCase() : "SL", name: `${this.#name(leg)} of the plan`,
        said: away ? `${away < 0 ? "−" : "+"}${percent(Math.abs(away))}` : "", value: shown(Number(leg.limitPrice)), colour: take ? "good" : "bad",
        commit: (value) => this.#moved(leg, plain(shown(value))),
      };
    });
  }

  async #moved({ leg }, wanted) {
    try {
      this.put(await call(`/api/plans/${this.id}`, { method: "PATCH", body: { exits: [{ leg, price: wanted }] } }));
      this.toast(`${leg === "stop" ? "The stop" : "The take-profit"} is at ${price(wanted)} now.`);
    } catch (error) {
      this.toast(error.message);
    }
  }
}

const amendable = ({ exit }) => exit?.kind === "takeProfit" || exit?.kind === "stopLoss";

function happened({ progress, legs, created, cancelled, amended, exits, skipped, reason, alert, by }) {
  const named = (list) => list?.map(({ leg, round, amount: size }) => `${leg}${round > 1 || leg === "slice" ? ` ${round}` : ""}${size ? ` (${amount(size, 6)})` : ""}`).join(", ");
  const said = {
    created: named(created), cancelled: named(cancelled), amended: named(amended), changed: exits && Object.keys(exits).join(", "),
    skipped: skipped && `${skipped[0]}${skipped.length > 1 ? `–${skipped.at(-1)}` : ""}`, reason, alert: alert && `${alert.code}${alert.failure ? `: ${alert.failure}` : ""}`, by: by && String(by),
  };
  const parts = Object.entries(said).filter(([, text]) => text).map(([name, text]) => `${name} ${text}`);
  return parts.join(" · ") || (legs ?? []).map(({ leg, status }) => `${leg} ${status}`).join(" · ") || JSON.stringify(progress);
}

// One plan: its orders as they go, how far it is, what it paid on average. Its exits stand on the chart and can be moved there.

import { call } from "./api.js";
import { amount, clock, duration, element, facts, percent, price, spoken, token } from "./format.js";
import { legsOf, linesOf, pairOf, rows, unseen } from "./legs.js";
import { Live } from "./live.js";
import { ENDED, kindOf, meter, progressOf, titleOf, tokensOf } from "./plans.js";

const SOON_MS = 120;
const FOLLOW_MS = 3000; // How often a trailing stop is looked at: the price that it follows is no event.
const byId = (id) => document.getElementById(id);

export class PlanCard {
  #live = null;
  #plan = null;
  #events = [];
  #timer = 0;
  #following = 0;

  /**
   * `orders` has the newest state of an order; `changed(plan)`, `lines()` when the chart is to follow, `chart(pair)` when it is to show
   * another pair, `openOrder(id)`, `amend(leg, plan)`, `closed()`, `toast(text)`.
   */
  constructor(given) {
    Object.assign(this, given);
    this.card = byId("plan");
    this.card.addEventListener("click", (event) => this.#clicked(event));
    // Nothing is read while nobody looks.
    document.addEventListener("visibilitychange", () => document.hidden || !this.#plan || this.#read());
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
    clearTimeout(this.#following);
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
    this.#timer = setTimeout(() => this.#read(), SOON_MS);
  }

  async #read() {
    const { id } = this;
    const plan = document.hidden ? null : await call(`/api/plans/${id}`).catch(() => null);
    if (id !== this.id) return;
    if (plan) this.put(plan);
    else this.#follow();
  }

  #follow() {
    clearTimeout(this.#following);
    const trails = !ENDED.has(this.#plan.status) && this.#plan.legs.some(({ trailBps, resting }) => trailBps && resting);
    if (trails) this.#following = setTimeout(() => this.#read(), FOLLOW_MS);
  }

  async #clicked({ target }) {
    const button = target.closest("button");
    const { act, order, leg } = button?.dataset ?? {};
    if (order) return this.openOrder(order);
    if (act === "close") return this.close();
    if (act === "chart") return this.chart(pairOf(this.#plan));
    if (act === "amend") return this.#amend(leg);
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
      this.#keepFocus(button);
    }
  }

  #amend(leg) {
    this.amend(this.#legs.find((each) => each.leg === leg), this.#plan);
    // The rows may have been drawn anew meanwhile: then the dialog has no button to give the focus back to.
    const back = () => document.activeElement === document.body && (byId("plan-legs").querySelector(`[data-leg="${leg}"]`) ?? this.card).focus();
    byId("amend").addEventListener("close", back, { once: true });
  }

  /** A button that has gone leaves the focus to what stands in its place, or to the card. */
  #keepFocus(button) {
    if (document.activeElement !== document.body && document.activeElement !== button) return;
    const next = button.hidden ? this.card.querySelector(".card-head [data-act='pause']:not([hidden]), .card-head [data-act='resume']:not([hidden])") : button;
    (next ?? this.card).focus({ preventScroll: true });
  }

  get #legs() {
    return legsOf(this.#plan, this.orders);
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
    this.#follow();
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
        ["Failed", progress.failed || null], ["Expired", progress.expired || null], ["Cancelled", progress.cancelled || null], ["Skipped", progress.skipped || null],
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
    const legs = this.#legs;
    const focused = this.card.contains(document.activeElement) ? { ...document.activeElement.dataset } : {};
    byId("plan-legs").replaceChildren(...rows(this.#plan, legs));
    byId("plan-legs-more").textContent = unseen(legs) ? `${unseen(legs)} earlier ones are in the list of orders.` : "";
    const again = focused.order ? `[data-order="${focused.order}"]` : focused.leg ? `[data-leg="${focused.leg}"]` : null;
    if (again) byId("plan-legs").querySelector(again)?.focus({ preventScroll: true });
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

  /** For the chart of a pair: what the plan waits for. Where the chart shows another pair, the card says so. */
  chartLines([tokenIn, tokenOut], turned) {
    const elsewhere = byId("plan-elsewhere");
    elsewhere.hidden = true;
    if (!this.#plan) return [];
    const [base, counted] = pairOf(this.#plan);
    const lines = (shown) => linesOf(this.#plan, this.#legs, shown, (leg, change) => this.#moved(leg, change));
    const [one, other] = turned ? [tokenOut, tokenIn] : [tokenIn, tokenOut];
    if (one === base && other === counted) return lines((value) => value);
    if (one === counted && other === base) return lines((value) => 1 / value);
    elsewhere.hidden = !lines((value) => value).length;
    elsewhere.querySelector("button").textContent = `Show ${token(base)} / ${token(counted)}`;
    return [];
  }

  async #moved({ leg, exit }, change) {
    try {
      this.put(await call(`/api/plans/${this.id}`, { method: "PATCH", body: { exits: [{ leg, ...change }] } }));
      const what = { stopLoss: "The stop", takeProfit: "The take-profit", trailing: "The trailing stop" }[exit.kind];
      this.toast(`${what} is ${change.price ? `at ${price(change.price)}` : `${percent(change.trailBps)} below the highest price`} now.`);
    } catch (error) {
      this.toast(error.message);
    }
  }
}

function happened({ progress, legs, created, cancelled, amended, exits, skipped, reason, alert, by }) {
  const named = (list) => list?.map(({ leg, round, amount: size }) => `${leg}${round > 1 || leg === "slice" ? ` ${round}` : ""}${size ? ` (${amount(size, 6)})` : ""}`).join(", ");
  const said = {
    created: named(created), cancelled: named(cancelled), amended: named(amended), changed: exits && Object.keys(exits).join(", "),
    skipped: skipped && `${skipped[0]}${skipped.length > 1 ? `–${skipped.at(-1)}` : ""}`, reason, alert: alert && `${alert.code}${alert.failure ? `: ${alert.failure}` : ""}`, by: by && String(by),
  };
  const parts = Object.entries(said).filter(([, text]) => text).map(([name, text]) => `${name} ${text}`);
  return parts.join(" · ") || (legs ?? []).map(({ leg, status }) => `${leg} ${status}`).join(" · ") || JSON.stringify(progress);
}

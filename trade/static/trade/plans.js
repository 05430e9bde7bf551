// The account's plans: those that are open, and the newest that have ended.

import { call } from "./api.js";
import { amount, clock, element, percent, price, token } from "./format.js";

const PAGE = 10;
const OPEN_PAGE = 100;
const REFRESH_MS = 30_000;
const SOON_MS = 400;
const byId = (id) => document.getElementById(id);

export const ENDED = new Set(["completed", "cancelled", "expired", "failed"]);

/** What a plan buys and sells: `{sold, bought}`, and for exits alone what they sell it for. */
export function tokensOf({ kind, spec }) {
  if (kind === "schedule") return [spec.tokenIn, spec.tokenOut];
  return spec.entry ? [spec.quote, spec.token] : [spec.token, spec.quote];
}

export function titleOf({ kind, spec }) {
  const [sold, bought] = tokensOf({ kind, spec }).map(token);
  if (kind === "schedule") return `${spec.total ? amount(spec.total) : `${amount(spec.sliceAmount)} each of`} ${sold} → ${bought}`;
  const { exactOut, percent: share, amount: size } = spec.entry ?? spec;
  if (exactOut) return `${sold} → ${amount(exactOut)} ${bought}`;
  return `${share ? `${share} % of` : amount(size)} ${sold} → ${bought}`;
}

export function kindOf({ kind, spec }) {
  if (kind === "schedule") return spec.slices && spec.total ? `${spec.slices} slices` : "schedule";
  return spec.entry ? `${spec.entry.type} with exits` : "exits";
}

/** How far a plan is, from 0 to 1, and in words. */
export function progressOf({ kind, spec, progress }) {
  const [sold] = tokensOf({ kind, spec }).map(token);
  if (kind === "schedule") {
    const spent = `${amount(progress.spent ?? 0, 6)}${spec.total ? ` of ${amount(spec.total, 6)}` : ""} ${sold}`;
    const share = spec.total ? Number(progress.spent ?? 0) / Number(spec.total) : null;
    return [share, `${progress.done ?? 0}${spec.slices ? ` of ${spec.slices}` : ""} done, ${spent}`];
  }
  if (!progress.position) return [0, "waits for its entry"];
  return [Number(progress.sold) / Number(progress.position), `${amount(progress.sold, 6)} of ${amount(progress.position, 6)} ${token(spec.token)} sold`];
}

/** What an exit waits for. */
export function exitOf(exit, quote) {
  if (exit.kind === "trailing") return `${percent(exit.trailBps)} below the highest${exit.activateAtBps ? `, once it was ${percent(exit.activateAtBps)} above the cost` : ""}`;
  if (exit.kind === "timeLimit") return "at its time";
  if (exit.price) return `at ${price(exit.price)} ${token(quote)}`;
  return `${percent(exit.atBps)} ${exit.kind === "takeProfit" ? "above" : "below"} the cost`;
}

export function meter([share, words]) {
  if (share === null) return [element("span", {}, words)];
  return [element("progress", { value: String(share), max: "1", "aria-label": words }), element("small", {}, words)];
}

export class Plans {
  #plans = new Map();
  #next = null;
  #timer = 0;
  selected = null;

  /** `open(plan)` when somebody chooses one. */
  constructor(open) {
    this.body = byId("plans");
    this.body.addEventListener("click", ({ target }) => {
      const plan = this.#plans.get(target.closest("tr")?.dataset.id);
      if (plan) open(plan);
    });
    byId("plans-more").addEventListener("click", () => this.#older());
    document.addEventListener("visibilitychange", () => document.hidden || this.#load());
    this.#load();
  }

  get(id) {
    return this.#plans.get(id);
  }

  put(plan) {
    const known = this.#plans.get(plan.planId);
    if (known && known.seq > plan.seq) return;
    this.#plans.set(plan.planId, plan);
    this.#draw();
  }

  select(id) {
    this.selected = id;
    this.#draw();
  }

  /** Something has happened to a plan. */
  soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(), SOON_MS);
  }

  async #load() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(), REFRESH_MS);
    if (document.hidden) return;
    try {
      const [open, newest] = await Promise.all([call(`/api/plans?status=active,paused,closing&limit=${OPEN_PAGE}`), call(`/api/plans?limit=${PAGE}`)]);
      this.#next ??= newest.next ?? "";
      for (const plan of [...open.plans, ...newest.plans]) this.put(plan);
    } catch { /* the pill says that the engine is away; it is asked again */ }
  }

  async #older() {
    const page = await call(`/api/plans?limit=${PAGE}&cursor=${this.#next}`).catch(() => null);
    if (!page) return;
    this.#next = page.next ?? "";
    for (const plan of page.plans) this.put(plan);
    this.#draw();
  }

  #draw() {
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.id : null;
    const list = [...this.#plans.values()].sort((a, b) => ENDED.has(a.status) - ENDED.has(b.status) || (a.planId < b.planId ? 1 : -1));
    byId("plans-card").hidden = !list.length;
    byId("plans-more").hidden = !this.#next;
    this.body.replaceChildren(...list.map((plan) => element(
      "tr", { "data-id": plan.planId, "aria-current": plan.planId === this.selected && "true" },
      element("td", {}, element("time", { datetime: plan.createdAt }, clock(plan.createdAt))),
      element("td", {}, element("button", { class: "open", type: "button" }, titleOf(plan))),
      element("td", {}, kindOf(plan)),
      element("td", {}, element("span", { class: "badge", "data-status": plan.status }, plan.status)),
      element("td", {}, ...meter(progressOf(plan))),
    )));
    if (focused) this.body.querySelector(`[data-id="${focused}"] .open`)?.focus();
  }
}

// Builds the page: ticket, quotes, orders, one order in detail.

import { amendExit, amendOrder } from "./amend.js";
import { call, removeKey, known, useKey } from "./api.js";
import { start as startBooks } from "./books.js";
import { Detail } from "./detail.js";
import { element } from "./format.js";
import { Handles } from "./handles.js";
import { start as startMarket } from "./market.js";
import { Orders } from "./orders.js";
import { pin } from "./pinned.js";
import { PlanCard } from "./plan.js";
import { Plans } from "./plans.js";
import { Quotes } from "./quotes.js";
import { start as startRisk } from "./risk.js";
import { FINAL } from "./stepper.js";
import { start as startTheme } from "./theme.js";
import { Ticket } from "./ticket.js";
import { start as startWallet } from "./wallet.js";

const TOAST_MS = 6000;
const byId = (id) => document.getElementById(id);

function toast(text) {
  const shown = element("p", { class: "toast" }, text);
  byId("toasts").append(shown);
  setTimeout(() => shown.remove(), TOAST_MS);
}

let retryAt = 0;

function connection(state, detail) {
  if (state === "closed") return detail === 4401 && signIn();
  if (state === "connecting" && retryAt) return;
  const pill = byId("link");
  pill.dataset.state = state;
  pill.lastElementChild.textContent = state;
  retryAt = state === "offline" ? Date.now() + detail : 0;
  countdown();
}

function countdown() {
  const banner = byId("offline");
  banner.hidden = !retryAt && navigator.onLine;
  if (banner.hidden) return;
  const left = Math.max(0, retryAt - Date.now());
  const text = navigator.onLine ? `Connection lost. Orders go on without this page; trying again in ${Math.ceil(left / 1000)} s.` : "You are offline. Orders go on without this page.";
  if (banner.textContent !== text) banner.textContent = text;
}
setInterval(countdown, 500);
for (const name of ["online", "offline"]) addEventListener(name, countdown);

function signIn() {
  removeKey();
  byId("sign-in").hidden = false;
  byId("ticket").hidden = true;
  byId("link").dataset.state = "offline";
  byId("link").lastElementChild.textContent = "not signed in";
}

async function act(name, order) {
  if (name === "plan") return showPlan(order.planId);
  if (name === "amend") return amendOrder(order, (changed) => { orders.put(changed); toast("The order is amended."); });
  try {
    const changed = await call(`/api/orders/${order.orderId}`, { method: "DELETE" });
    orders.put(changed);
    toast("The order is cancelled.");
  } catch (error) {
    toast(error.message);
  }
}

function show(id, { scroll = true } = {}) {
  const order = orders.get(id);
  if (!order) return;
  detail.open(order);
  orders.select(id);
  if (scroll) scrollTo(byId("detail"));
}

function scrollTo(card) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  card.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

/** A plan by its id, or as it was just made. */
async function showPlan(given) {
  try {
    const plan = given.planId ? given : plans.get(given) ?? await call(`/api/plans/${given}`);
    plans.put(plan);
    plans.select(plan.planId);
    planCard.open(plan);
    scrollTo(planCard.card);
  } catch (error) {
    toast(error.message);
  }
}

/** An order of a plan, which may be older than the list. */
async function showOrder(id) {
  try {
    if (!orders.get(id)) orders.put(await call(`/api/orders/${id}`));
    show(id);
  } catch (error) {
    toast(error.message);
  }
}

function placed(answer, order) {
  if (!orders.get(answer.orderId)) {
    orders.put({
      ...order, ...answer, seq: 1, resting: order.type !== "market", attempts: 0, venue: null, executedPrice: null, amountOut: null,
      fee: null, txHash: null, failure: null, limitPrice: order.limitPrice ?? null, priceIn: order.priceIn ?? "tokenOut", trigger: order.trigger ?? null, updatedAt: answer.createdAt,
    });
  }
  show(answer.orderId);
  byId("stage").textContent = "Order accepted";
}

let orders;
let detail;
let plans;
let planCard;
let refreshWallet = () => {};
let refreshBooks = () => {};

function start() {
  byId("sign-in").hidden = true;
  byId("ticket").hidden = false;
  const quotes = new Quotes(() => ticket.quoted(), () => {});
  const handles = new Handles(byId("plot"), quotes.chart, byId("lines-said"));
  const ticket = new Ticket({ placed: (answer, order) => (answer.planId && answer.kind ? showPlan(answer) : placed(answer, order)), quotes, lines: (lines) => handles.set("ticket", lines) });
  const planLines = () => handles.set("plan", planCard.chartLines(ticket.pair.split("-"), quotes.turned));
  detail = new Detail({ changed: (order) => orders.put(order), act, closed: () => orders.select(null) });
  orders = new Orders({ open: show, act, onEvent, state: connection });
  plans = new Plans(showPlan);
  const amend = (leg, plan) => amendExit(leg, plan, (changed) => { planCard.put(changed); toast("The exit is amended."); });
  planCard = new PlanCard({ orders, changed: (plan) => plans.put(plan), lines: planLines, openOrder: showOrder, amend, chart: (pair) => ticket.choose(...pair), closed: () => plans.select(null), toast });
  ticket.onTurn = planLines;
  ticket.onPair(() => { quotes.watch(...ticket.pair.split("-")); planLines(); });
  pin(byId("market"), byId("plot"), ["plan", "exits", "band"].map(byId));
  startTheme(() => quotes.chart.draw());
  startMarket(ticket, quotes);
  refreshWallet = startWallet(toast);
  refreshBooks = startBooks();
  startRisk(toast, Boolean(document.body.dataset.staff));
}

function onEvent(order, event) {
  detail.onEvent(order);
  planCard.onOrder(order);
  if (order.planId) plans.soon();
  if (FINAL.has(event.status) || event.status === "submitted") refreshWallet();
  if (event.status === "confirmed") refreshBooks();
  if (!FINAL.has(event.status) || order.orderId === detail.id) return;
  if (event.status === "failed") toast(`An order failed: ${order.failure?.message ?? "see its events"}`);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
  const wanted = { n: "amount", "/": "filter" }[event.key];
  if (!wanted) return;
  event.preventDefault();
  byId(wanted).focus();
  byId(wanted).select?.();
});
byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim());
  location.reload();
});

if (known()) start();
else {
  startTheme(() => {});
  signIn();
}

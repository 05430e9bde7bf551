// Builds the page: ticket, quotes, orders, one order in detail.

import { call, removeKey, isMeant, known, useKey } from "./api.js";
import { start as startBooks } from "./books.js";
import { Detail } from "./detail.js";
import { element, token } from "./format.js";
import { Handles } from "./handles.js";
import { start as startMarket } from "./market.js";
import { Orders } from "./orders.js";
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
  if (name === "amend") return amend(order);
  try {
    const changed = await call(`/api/orders/${order.orderId}`, { method: "DELETE" });
    orders.put(changed);
    toast("The order is cancelled.");
  } catch (error) {
    toast(error.message);
  }
}

/** One dialog for an order, and for an exit of a plan, whose size follows from its plan. `leg` is that exit. */
function amend(order, { leg, plan } = {}) {
  const dialog = byId("amend");
  const [amountField, priceField, slippageField] = ["amend-amount", "amend-price", "amend-slippage"].map(byId);
  const error = dialog.querySelector(".error");
  const priced = order.type === "limit";
  amountField.disabled = typeof order.amount === "object"; // A share cannot be amended.
  amountField.value = amountField.disabled ? "" : order.amount;
  priceField.value = order.limitPrice ?? "";
  slippageField.value = order.slippageBps / 100;
  byId("amend-title").textContent = plan ? "Amend the exit" : "Amend the order";
  byId("amend-price-label").textContent = plan ? `Price, ${token(plan.spec.quote)} per ${token(plan.spec.token)}` : "Limit price";
  byId("amend-amount-field").hidden = Boolean(plan);
  byId("amend-price-field").hidden = !priced;
  error.textContent = "";
  dialog.querySelector("form").onsubmit = async (event) => {
    if (event.submitter?.value === "close") return;
    event.preventDefault();
    const body = {};
    if (!plan && !amountField.disabled && amountField.value !== order.amount) body.amount = amountField.value.trim();
    const price = priceField.value.trim();
    if (priced && price !== order.limitPrice) body[plan ? "price" : "limitPrice"] = price;
    if (Number(slippageField.value) * 100 !== order.slippageBps) body.slippageBps = Math.round(Number(slippageField.value) * 100);
    if (!Object.keys(body).length) return dialog.close();
    const send = async () => {
      try {
        if (plan) planCard.put(await call(`/api/plans/${plan.planId}`, { method: "PATCH", body: { exits: [{ leg, ...body }] } }));
        else orders.put(await call(`/api/orders/${order.orderId}`, { method: "PATCH", body }));
        dialog.close();
        toast(plan ? "The exit is amended." : "The order is amended.");
      } catch (failure) {
        error.textContent = Object.values(failure.details ?? {}).flat().join(", ") || failure.message;
        if (plan || !isMeant(failure)) return;
        body.allowFarPrice = true;
        await send();
      }
    };
    return send();
  };
  dialog.showModal();
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
  const handles = new Handles(byId("plot"), quotes.chart);
  const ticket = new Ticket({ placed: (answer, order) => (answer.planId && answer.kind ? showPlan(answer) : placed(answer, order)), quotes, lines: (lines) => handles.set("ticket", lines) });
  const planLines = () => handles.set("plan", planCard.chartLines(ticket.pair.split("-"), quotes.turned));
  detail = new Detail({ changed: (order) => orders.put(order), act, closed: () => orders.select(null) });
  orders = new Orders({ open: show, act, onEvent, state: connection });
  plans = new Plans(showPlan);
  planCard = new PlanCard({ orders, changed: (plan) => plans.put(plan), lines: planLines, openOrder: showOrder, amend: (leg, plan) => amend(leg, { leg: leg.leg, plan }), closed: () => plans.select(null), toast });
  ticket.onTurn = planLines;
  ticket.onPair(() => { quotes.watch(...ticket.pair.split("-")); planLines(); });
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

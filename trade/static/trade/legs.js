// The orders of a plan: what each waits for or has done, as rows of its card and as lines of the chart.

import { plain } from "./decimals.js";
import { amount, clock, element, percent, price, spoken, token } from "./format.js";
import { ENDED, exitOf } from "./plans.js";

const SHOWN = 60;
const NAMES = { takeProfit: "Take-profit", stopLoss: "Stop", trailing: "Trailing stop", timeLimit: "Time limit" };
const TRAIL_BPS = [50, 9000];

/** The newest order of each leg as far as it is known, with the leg's exit; legs that wait to be made have none. A schedule's newest first. */
export function legsOf({ kind, spec, legs }, orders) {
  const known = legs.map((leg) => {
    const order = orders.get(leg.orderId);
    return order && order.seq >= leg.seq ? { ...leg, ...order, limitPrice: priceOf(order), failure: order.failure?.code ?? null } : leg;
  });
  if (kind === "schedule") return known.reverse();
  const newest = (name) => known.findLast(({ leg }) => leg === name);
  const entry = spec.entry ? [newest("entry") ?? { leg: "entry" }] : [];
  return [...entry, ...spec.exits.map((exit) => ({ leg: exit.leg, ...newest(exit.leg), exit }))];
}

/** tokenOut per tokenIn, also of a limit that was asked for the other way round. */
function priceOf({ limitPrice, priceIn }) {
  return limitPrice && priceIn === "tokenIn" ? String(1 / limitPrice) : limitPrice;
}

function nameOf({ leg, round, exit }, { spec }) {
  if (leg === "entry") return "Entry";
  if (!exit) return `Slice ${round}`;
  const several = exit.kind === "takeProfit" && spec.exits.filter(({ kind }) => kind === "takeProfit").length > 1;
  return `${NAMES[exit.kind]}${several ? ` ${leg.slice(2)}` : ""}`;
}

/** Of an exit that is not being executed, or is yet to be made, price, distance and slippage can be changed. */
const amendable = ({ exit, status, resting }, plan) => exit && plan.status === "active" && (!status || resting);

/** Whether a trailing stop follows the price: it has begun to, where it waits for a price first. */
const follows = ({ high, activationPrice }) => Boolean(high) && !(Number(high) < Number(activationPrice));

/** What a leg waits for, or at which price it was done; a bracket counts every price as its exits do, quote per token. */
function when(leg, { spec, kind }) {
  const { exit, createdAt, finishedAt, executedPrice, type, limitPrice } = leg;
  if (kind === "schedule") return executedPrice ? `done at ${price(executedPrice)} ${token(spec.tokenOut)}` : createdAt ? clock(finishedAt ?? createdAt) : "";
  const counted = (value) => `${price(exit ? value : 1 / value)} ${token(spec.quote)}`;
  if (executedPrice) return `done at ${counted(executedPrice)}`;
  if (!exit) return type === "limit" && limitPrice ? `limit ${counted(limitPrice)}` : spec.entry.type;
  if (exit.kind === "timeLimit") return `after ${spoken(exit.afterS)}`;
  if (exit.kind === "trailing") return `${exitOf(exit, spec.quote)}${leg.resting && follows(leg) ? `, ${counted(leg.high)}` : ""}`;
  return limitPrice ? `at ${counted(limitPrice)}` : exitOf(exit, spec.quote);
}

/** What it sells; of an entry that says what it buys, or a share, what it has sold. */
const sold = ({ amount: size, amountIn }) => size ?? amountIn;

export function rows(plan, legs) {
  const { status } = plan;
  const [base, counted] = pairOf(plan);
  return legs.slice(0, SHOWN).map((leg) => {
    const [from, into] = leg.leg === "entry" ? [counted, base] : [base, counted];
    const name = nameOf(leg, plan);
    const stage = leg.resting ? "waiting" : leg.status ?? (ENDED.has(status) ? "not needed" : "later");
    return element(
      "tr", {},
      element("td", {}, leg.orderId ? element("button", { type: "button", class: "open", "data-order": leg.orderId, "aria-label": `Show the order: ${name}` }, name) : name),
      element("td", { "data-label": "When" }, when(leg, plan)),
      element("td", { class: "num", "data-label": "Amount" }, sold(leg) ? `${amount(sold(leg), 6)} ${token(from)}` : leg.exactOut ? `for ${amount(leg.exactOut, 6)} ${token(into)}` : ""),
      element("td", {}, element("span", { class: "badge", "data-status": leg.status ?? "" }, stage)),
      element("td", { class: "num", "data-label": "Received" }, leg.amountOut ? `${amount(leg.amountOut, 6)} ${token(into)}` : (leg.failure ?? "").replaceAll("_", " ").toLowerCase()),
      element("td", {}, ...(amendable(leg, plan) ? [element("button", { type: "button", class: "small", "data-act": "amend", "data-leg": leg.leg, "aria-label": `Amend: ${name}` }, "Amend")] : [])),
    );
  });
}

/** How many legs have no row. */
export const unseen = (legs) => Math.max(0, legs.length - SHOWN);

/** One of one token in another: what the plan's prices count. */
export const pairOf = ({ kind, spec }) => (kind === "schedule" ? [spec.tokenIn, spec.tokenOut] : [spec.token, spec.quote]);

/** For the chart: what the plan waits for. `shown` makes a price of the chart of one of the plan and back; `moved(leg, change)` asks for a change. */
export function linesOf(plan, legs, shown, moved) {
  if (ENDED.has(plan.status) || plan.status === "closing") return [];
  if (plan.kind === "schedule") return band(plan, shown);
  return legs.filter((leg) => leg.exit && leg.resting).map((leg) => lineOf(leg, plan, shown, moved)).filter(Boolean);
}

function lineOf(leg, plan, shown, moved) {
  const line = { key: `${plan.planId}-${leg.leg}`, name: `${nameOf(leg, plan)} of the plan` };
  if (leg.exit.kind === "trailing") return trailing(leg, line, shown, moved);
  const take = leg.exit.kind === "takeProfit";
  const away = plan.progress.cost && (leg.limitPrice / plan.progress.cost - 1) * 10_000;
  const said = away ? `${away < 0 ? "−" : "+"}${percent(Math.abs(away))}` : "";
  return { ...line, tag: take ? leg.leg.toUpperCase() : "SL", said, value: shown(Number(leg.limitPrice)), colour: take ? "good" : "bad", commit: (value) => moved(leg, { price: plain(shown(value)) }) };
}

/** It fires at a distance below the highest price; until it follows one, its line is where it begins to. */
function trailing({ leg, exit, high, activationPrice }, line, shown, moved) {
  const started = follows({ high, activationPrice });
  if (!started && !activationPrice) return null;
  if (!started) return { ...line, tag: "Trail", said: `from ${price(activationPrice)}`, value: shown(Number(activationPrice)), colour: "warn" };
  const trailBps = (value) => Math.min(TRAIL_BPS[1], Math.max(TRAIL_BPS[0], Math.round((1 - shown(value) / high) * 10_000)));
  return { ...line, tag: "Trail", said: `−${percent(exit.trailBps)}`, value: shown(high * (1 - exit.trailBps / 10_000)), colour: "warn", commit: (value) => moved({ leg, exit }, { trailBps: trailBps(value) }) };
}

function band({ planId, spec }, shown) {
  return [["minPrice", "Lowest"], ["maxPrice", "Highest"]].filter(([name]) => spec[name])
    .map(([name, tag]) => ({ key: `${planId}-${name}`, tag, name: `${tag} price of the plan`, said: "", value: shown(Number(spec[name])), colour: "accent" }));
}

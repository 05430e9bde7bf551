// The dialog that changes what waits: an order, or an exit of a plan, whose size follows from its plan.

import { call, isMeant } from "./api.js";
import { DECIMAL, plain, typed } from "./decimals.js";
import { token } from "./format.js";

const FIELDS = ["amount", "price", "trail", "portion", "slippage", "widest"];
const byId = (id) => document.getElementById(id);
const percent = (bps) => plain(bps / 100, 6);

export function amendOrder(order, done) {
  const given = { price: order.type === "limit" && !order.trailBps ? ["limitPrice", order.limitPrice] : null, slippage: ["slippageBps", percent(order.slippageBps)] };
  if (typeof order.amount !== "object") given.amount = ["amount", order.amount]; // A share cannot be amended.
  if (order.exactOut) given.amount = ["amountOut", order.exactOut];
  if (order.trailBps) given.trail = ["trailBps", percent(order.trailBps)];
  const change = (body) => call(`/api/orders/${order.orderId}`, { method: "PATCH", body });
  const amountLabel = order.exactOut ? `Amount received, ${token(order.tokenOut)}` : "Amount";
  open({ title: "Amend the order", priceLabel: "Limit price", amountLabel, given, change, done, far: true });
}

/** `leg` as its row shows it. What the engine has widened of its slippage is not what was asked for. */
export function amendExit(leg, plan, done) {
  const { kind, price, trailBps, portionBps = 10_000, slippageBps = 50, maxSlippageBps = 50 } = leg.exit;
  const takes = plan.spec.exits.filter((exit) => exit.kind === "takeProfit");
  const given = { slippage: ["slippageBps", percent(slippageBps)] };
  if (kind === "takeProfit" || kind === "stopLoss") given.price = ["price", leg.limitPrice ?? price ?? ""];
  if (kind === "trailing") given.trail = ["trailBps", percent(trailBps)];
  if (kind === "takeProfit" && takes.length > 1) given.portion = ["portionBps", percent(portionBps)];
  if (kind !== "takeProfit") given.widest = ["maxSlippageBps", percent(maxSlippageBps)];
  const change = (body) => call(`/api/plans/${plan.planId}`, { method: "PATCH", body: { exits: [{ leg: leg.leg, ...body }] } });
  open({ title: "Amend the exit", priceLabel: `Price, ${token(plan.spec.quote)} per ${token(plan.spec.token)}`, given, change, done });
}

/** `given` has the API's name and the present text of each field to show; only what differs is sent. */
function open({ title, priceLabel, amountLabel = "Amount", given, change, done, far = false }) {
  const dialog = byId("amend");
  const error = dialog.querySelector(".error");
  byId("amend-title").textContent = title;
  byId("amend-price-label").textContent = priceLabel;
  byId("amend-amount-label").textContent = amountLabel;
  for (const name of FIELDS) {
    byId(`amend-${name}-field`).hidden = !given[name];
    byId(`amend-${name}`).value = given[name]?.[1] ?? "";
    byId(`amend-${name}`).removeAttribute("aria-invalid");
  }
  error.textContent = "";
  const read = () => {
    const body = {};
    for (const name of FIELDS.filter((each) => given[each])) {
      const [field, was] = given[name];
      const input = byId(`amend-${name}`);
      const text = typed(input);
      const wrong = text !== was && !DECIMAL.test(text);
      wrong ? input.setAttribute("aria-invalid", "true") : input.removeAttribute("aria-invalid");
      if (wrong) {
        error.textContent = "Enter a number.";
        input.focus();
        return null;
      }
      if (text !== was) body[field] = field.endsWith("Bps") ? Math.round(Number(text) * 100) : text;
    }
    return body;
  };
  dialog.querySelector("form").onsubmit = async (event) => {
    if (event.submitter?.value === "close") return;
    event.preventDefault();
    const body = read();
    if (!body) return;
    if (!Object.keys(body).length) return dialog.close();
    const send = async () => {
      try {
        const changed = await change(body);
        dialog.close();
        done(changed);
      } catch (failure) {
        error.textContent = Object.values(failure.details ?? {}).flat().join(", ") || failure.message;
        if (!far || !isMeant(failure)) return;
        body.allowFarPrice = true;
        await send();
      }
    };
    return send();
  };
  dialog.showModal();
}

// The stages of an order, from its events.

import { clock, duration, element } from "./format.js";

export const FINAL = new Set(["confirmed", "failed", "cancelled", "expired"]);
const STAGES = ["pending", "routing", "building", "submitted", "confirmed"];
const MARKS = { failed: "✕", cancelled: "–", expired: "–" };
const KINDS = { failed: "bad", cancelled: "over", expired: "over" };

/** Each stage's state (done, now, bad, over or nothing), when it began and how long it took, of the latest attempt. */
export function stages(order, events) {
  let reached = [];
  for (const event of events) {
    if (event.status === "pending") reached = [event];
    else reached = [...reached, event];
  }
  const began = Object.fromEntries(reached.map((event) => [event.status, Date.parse(event.at)]));
  const last = reached.at(-1);
  return STAGES.map((name, n) => {
    const ending = n === STAGES.length - 1;
    if (ending && KINDS[order.status]) return { name: order.status, state: KINDS[order.status], mark: MARKS[order.status], began: began[order.status] };
    const state = !began[name] ? "" : last?.status === name && !FINAL.has(name) ? "now" : "done";
    const next = reached[reached.findIndex((event) => event.status === name) + 1];
    return { name, state, mark: state === "done" ? "✓" : String(n + 1), began: began[name], took: next && began[name] ? Date.parse(next.at) - began[name] : null };
  });
}

function label(stage, order) {
  if (stage.name !== "pending") return stage.name;
  return order.resting ? "waiting" : order.attempts > 0 && stage.state === "now" ? "retrying" : "pending";
}

/** Draws into the list; returns the text for screen readers. */
export function draw(list, order, events, now) {
  const steps = stages(order, events);
  list.replaceChildren(
    ...steps.map((stage) => {
      let time = "";
      if (stage.state === "now") time = `${duration(now - stage.began)} …`;
      else if (stage.took !== null && stage.took !== undefined) time = duration(stage.took);
      else if (stage.began) time = clock(stage.began);
      return element(
        "li",
        { class: stage.state, "data-stage": stage.name, "aria-current": stage.state === "now" && "step" },
        element("i", { "aria-hidden": "true" }, stage.mark),
        element("b", {}, label(stage, order)),
        element("time", {}, time),
      );
    }),
  );
  return `${order.resting ? "waiting for its trigger" : order.status}${order.attempts > 1 ? `, attempt ${order.attempts}` : ""}`;
}

/** Five small bars for a row of the list. */
export function dots(order) {
  const at = STAGES.indexOf(order.status);
  const made = element("span", { class: "dots", "aria-hidden": "true" });
  for (let n = 0; n < STAGES.length; n += 1) {
    let kind = n < at || order.status === "confirmed" ? "done" : n === at ? "now" : "";
    if (KINDS[order.status]) kind = KINDS[order.status];
    if (order.resting) kind = "";
    made.append(element("i", { class: kind }));
  }
  return made;
}

// The trading state in the header, and the button that stops trading or lets it go on.

import { call } from "./api.js";

const REFRESH_MS = 3_000;
const MEANINGS = {
  ACTIVE: "Trading",
  REDUCING: "Only sales",
  HALTED: "Halted",
};
const byId = (id) => document.getElementById(id);

/** `staff`: the button stops everybody. Anybody else stops the own account. */
export function start(toast, staff) {
  const [badge, button, dialog] = ["trading-state", "trading-switch", "halt"].map(byId);
  let state = null;
  let account = null;

  function show() {
    const stopped = state !== "ACTIVE";
    badge.hidden = button.hidden = false;
    badge.dataset.state = state;
    badge.lastElementChild.textContent = MEANINGS[state];
    button.textContent = stopped ? "Go on" : "Halt";
    button.classList.toggle("danger", !stopped);
  }

  async function load() {
    if (!document.hidden) {
      try {
        ({ account, tradingState: state } = await call("/api/risk"));
        show();
      } catch { /* the pill beside it says that the engine is away */ }
    }
    setTimeout(load, REFRESH_MS);
  }

  async function set(wanted) {
    try {
      await call("/api/trading-state", { method: "POST", body: staff ? { state: wanted } : { state: wanted, account } });
      ({ tradingState: state } = await call("/api/risk"));
      show();
      toast(state === wanted ? `Trading is ${wanted.toLowerCase()} ${staff ? "for everybody" : "for this account"}.` : `It is ${state.toLowerCase()} still: everybody's state and the account's both count.`);
    } catch (error) {
      toast(error.message);
    }
  }

  button.addEventListener("click", () => {
    const stopped = state !== "ACTIVE";
    byId("halt-title").textContent = stopped ? "Let trading go on?" : "Halt trading?";
    byId("halt-said").textContent = stopped
      ? "Orders that wait for their trigger, and plans, are executed again."
      : "Within a second nothing more is submitted, resting orders and plans included. What is submitted runs to its end; market orders that wait to be submitted fail. Orders can still be cancelled.";
    byId("halt-whose").textContent = staff ? "For everybody." : "For this account.";
    byId("halt-do").textContent = stopped ? "Let it go on" : "Halt";
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "do") set(state === "ACTIVE" ? "HALTED" : "ACTIVE");
  });
  load();
}

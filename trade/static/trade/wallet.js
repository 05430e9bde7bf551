// The account's wallets: what they hold, what open orders may still spend, and the faucet of chains that have one.

import { call } from "./api.js";
import { amount, element, short } from "./format.js";

const REFRESH_MS = 10_000;
const SOON_MS = 400;
const byId = (id) => document.getElementById(id);

/** Returns a function that asks for new balances soon. On the mock there are no wallets. */
export function start(toast) {
  const card = byId("wallet");
  if (!card) return () => {};
  const which = byId("wallet-which");
  let wallets = [];
  let waiting = 0;

  function show() {
    card.hidden = false;
    const wallet = wallets.find(({ id }) => String(id) === which.value) ?? wallets.find((each) => each.default) ?? wallets[0];
    card.classList.toggle("none", !wallet);
    which.hidden = wallets.length < 2;
    if (which.children.length !== wallets.length) which.replaceChildren(...wallets.map(({ id, name }) => element("option", { value: id }, name)));
    if (wallet) which.value = String(wallet.id);
    byId("wallet-address").textContent = wallet?.address ?? "This account has no wallet: manage.py wallets create makes one.";
    const rows = (wallet?.balances ?? []).map(({ token, mint, amount: held, reserved }) => element(
      "tr", {}, element("td", { title: mint }, short(token, 6, 4)), element("td", { class: "num" }, amount(held)), element("td", { class: "num" }, Number(reserved) ? amount(reserved) : "–"),
    ));
    byId("balances").replaceChildren(...rows);
    byId("balances-empty").hidden = rows.length > 0 || !wallet;
    return wallet;
  }

  async function load() {
    clearTimeout(waiting);
    waiting = setTimeout(load, REFRESH_MS);
    if (document.hidden) return;
    try {
      wallets = (await call("/api/wallets")).wallets;
      show();
    } catch (error) {
      if (error.status !== 0) byId("wallet-said").textContent = error.message;
    }
  }

  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(load, SOON_MS);
  };
  which.addEventListener("change", show);
  card.querySelector('[data-act="copy"]').addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(byId("wallet-address").textContent);
      toast("The address is copied.");
    } catch {
      toast("The browser does not let this page copy: select the address instead.");
    }
  });
  byId("faucet")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wallet = show();
    const [token, wanted] = [byId("faucet-token").value, byId("faucet-amount").value.trim()];
    if (!wallet) return;
    try {
      await call(`/api/wallets/${wallet.id}/airdrop`, { method: "POST", body: { token, amount: wanted } });
      byId("wallet-said").textContent = `${wanted} ${token} are on their way.`;
    } catch (error) {
      byId("wallet-said").textContent = error.message;
    }
    soon();
  });
  document.addEventListener("visibilitychange", () => document.hidden || load());
  load();
  return soon;
}
